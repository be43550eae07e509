/** Collects the kernel calls of a plan. Lowerings add tensors and calls here, node by node. */
import type { Node } from '../../../graph/graph.js';
import type { Padding } from '../../../ops/window.js';
import type { Shape } from '../../../tensor/shape.js';
import type { Tensor } from '../../../tensor/tensor.js';
import type { Coordinate } from '../kernels/expression.js';
import type { KernelBody, Read } from '../kernels/javascript.js';
import { layouts } from '../layout/layouts.js';
import { PACK } from '../layout/packed.js';
import { EXACT_INTEGERS, type Layout } from '../layout/types.js';
import type { GpuMode } from '../mode.js';
import { unavailable } from '../unavailable.js';
import type { HostValues, Kernel, KernelCall, PlannedTensor, WriteStaged } from './plan.js';

/** One function for each input, which reads it. */
export type Reads<Inputs extends readonly PlannedTensor[]> = { readonly [I in keyof Inputs]: Read };

/** Kernel for gpu.js, described by what it computes for one element. */
export interface ElementKernel<Inputs extends readonly PlannedTensor[]> {
  readonly inputs: Inputs;
  /** Shape of the result. */
  readonly shape: Shape;
  /** Padding to store around the result. Default none. */
  readonly padding?: Padding;
  /**
   * Writes the kernel.
   * @param read - one function for each input.
   * @param at - coordinates of the element.
   */
  readonly body: (read: Reads<Inputs>, at: readonly string[]) => KernelBody;
}

/** Most arrays that a kernel may read: WebGPU guarantees eight storage buffers, and the result takes one. */
export const MAX_INPUTS = 7;

/** Plan under construction, as the lowering of a node sees it. */
export class PlanBuilder {
  /**
   * @param mode - interface that kernels are generated for.
   * @param node - node that the calls are for.
   * @param calls - calls of all nodes.
   * @param checks - checks before each run.
   */
  constructor(
    readonly mode: GpuMode,
    readonly node: Node,
    readonly calls: KernelCall[],
    readonly checks: ((host: HostValues) => void)[],
  ) {}

  /** Gives the layout of a shape in this mode. */
  layout(shape: Shape, padding?: Padding): Layout {
    return layouts[this.mode](shape, padding);
  }

  /** Adds the call of a kernel that gpu.js translates. */
  kernel<const Inputs extends readonly PlannedTensor[]>({
    inputs,
    shape,
    padding,
    body,
  }: ElementKernel<Inputs>): PlannedTensor {
    const layout = this.layout(shape, padding);
    const { statements, at, inside } = layout.outputCoordinates();
    const names = inputs.map((_, index) => `a${index}`);
    // An array that maps a tuple has its length, which the type of `map` does not tell.
    const read = inputs.map(
      (input, index) => (where: readonly Coordinate[]) => `${names[index]}${input.layout.indexOf(where)}`,
    ) as Reads<Inputs>;
    const { statements: before = '', value } = body(read, at);
    const work = `${before}\nresult = ${value};`;
    const text = `function (${names.join(', ')}) {
${statements}
let result = 0.0;
${inside ? `if (${inside}) {\n${work}\n}` : work}
return result;
}`;
    return this.call({ language: 'javascript', text }, inputs, layout, 'element by element');
  }

  /**
   * Adds a kernel call.
   * @throws BackendUnavailable where an extent is too large for indices in float32, and for too many inputs.
   */
  call(kernel: Kernel, inputs: readonly PlannedTensor[], layout: Layout, algorithm: string): PlannedTensor {
    const { node } = this;
    for (const { dims, shape } of [layout, ...inputs.map((input) => input.layout)])
      if (dims.some((extent) => extent >= EXACT_INTEGERS))
        throw unavailable(
          `${node.graph.at(node.path)}: ${node.op} has a tensor of ${shape.join('x')}, with ${Math.max(...dims)} values along a dimension of its kernel; the gpu back end has indices up to ${EXACT_INTEGERS - 1}.`,
        );
    if (inputs.length > MAX_INPUTS)
      throw unavailable(
        `${node.graph.at(node.path)}: a kernel of ${node.op} reads ${inputs.length} arrays; the gpu back end reads at most ${MAX_INPUTS}.`,
      );
    const call: KernelCall = { kernel, layout, inputs, node, algorithm };
    this.calls.push(call);
    return { layout, origin: { kind: 'call', call } };
  }

  /** Gives a tensor that never changes. */
  constant(values: Tensor, padding?: Padding): PlannedTensor {
    return { layout: this.layout(values.shape, padding), origin: { kind: 'constant', values } };
  }

  /** Gives a constant that `write` puts in the order in which a kernel reads it. */
  prepacked(shape: Shape, write: WriteStaged): PlannedTensor {
    return { layout: this.layout(shape), origin: { kind: 'prepacked', write } };
  }

  /** Gives a constant that `write` puts in a WebGL2 texture's order: a quarter of the texels per layer. */
  prepackedLayers(texels: number, write: WriteStaged): PlannedTensor {
    return {
      layout: { ...this.layout([texels, PACK]), layerMajor: true },
      origin: { kind: 'prepacked', write },
    };
  }

  /** Gives a tensor that the host uploads for each run. */
  fed(shape: Shape, of: (host: HostValues) => Float32Array, padding?: Padding): PlannedTensor {
    return { layout: this.layout(shape, padding), origin: { kind: 'fed', of } };
  }

  /** Gives a parameter that runs update, with its first values. */
  state(name: string, values: Tensor): PlannedTensor {
    return { layout: this.layout(values.shape), origin: { kind: 'state', name, values } };
  }

  /** Adds a check that runs before each run; it throws where a fed value is not legal. */
  check(test: (host: HostValues) => void): void {
    this.checks.push(test);
  }
}
