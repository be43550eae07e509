/** What a graph becomes before a device sees it: kernels as text, the calls of them, and where values come from. */
import { BackendUnavailable } from '../../../errors.js';
import type { Node } from '../../../graph/graph.js';
import type { Shape } from '../../../tensor/shape.js';
import type { Tensor } from '../../../tensor/tensor.js';
import type { Coordinate } from '../kernels/expression.js';
import { PACK } from '../layout/packed.js';
import { EXACT, type Frame, indexOf, type Layout, layoutOf, placeOf } from '../layout/planar.js';

/** The two interfaces to a GPU that kernels are written for. */
export type Mode = 'webgpu' | 'webgl2';

/** The values of a run's inputs, as the host has them. */
export type HostValues = (input: string) => Float32Array;

/** Writes values as they lie on the device, frame and all, over zeros. */
export type Write = (held: Float32Array) => void;

/** Where a value comes from. */
export type Origin =
  /** Stays on the device. The values are asked for once, for the upload, while the device compiles. */
  | { readonly kind: 'constant'; readonly values: Tensor }
  /** A constant in the order in which a kernel reads it: `write` is called once, on zeros. */
  | { readonly kind: 'arranged'; readonly write: Write }
  /** A parameter that runs update: stays on the device too, and is replaced by its new value. */
  | { readonly kind: 'state'; readonly name: string; readonly values: Tensor }
  /** Given anew for each run. */
  | { readonly kind: 'fed'; readonly of: (host: HostValues) => Float32Array }
  /** The result of a kernel. */
  | { readonly kind: 'call'; readonly call: KernelCall };

/** A tensor in a plan. */
export interface Value {
  readonly layout: Layout;
  readonly origin: Origin;
}

/** A kernel as text. Calls of the same text share one compiled kernel. */
export type Kernel =
  /** A function for gpu.js, which computes one element of the result. */
  | { readonly language: 'javascript'; readonly text: string }
  /**
   * A compute shader for WebGPU: binding 0 holds `sizes`, then come the inputs and the result, which it
   * writes without touching the frame.
   */
  | {
      readonly language: 'wgsl';
      readonly text: string;
      readonly sizes: readonly number[];
      readonly workgroups: readonly [number, number, number];
    }
  /**
   * A function for WebGL2, `void compute(int quad)`: four texels of the result, y0 to y3, from `sizes` and the
   * inputs, of which `fetch0` and so on read a texel, `layer0` one of the four texels of a quad.
   */
  | { readonly language: 'glsl'; readonly text: string; readonly sizes: readonly number[] };

/** One call of a kernel. */
export interface KernelCall {
  readonly kernel: Kernel;
  /** How the result lies. */
  readonly layout: Layout;
  readonly inputs: readonly Value[];
  /** The node it belongs to; several calls may. */
  readonly node: Node;
  /** What profiles call it. */
  readonly algorithm: string;
}

/** Reads an element of an input: the expression for the given coordinates. */
export type Read = (at: readonly Coordinate[]) => string;

/** What a kernel computes for one element. */
export interface Body {
  /** Statements that come first. Default none. */
  readonly statements?: string;
  /** The value. */
  readonly value: string;
}

/** What a lowering asks for. */
export interface KernelRequest {
  readonly inputs: readonly Value[];
  readonly shape: Shape;
  readonly frame?: Frame;
  /** Writes the kernel, given how to read each input and the coordinates of the element. */
  readonly body: (read: readonly Read[], at: readonly string[]) => Body;
}

/** Arrays a kernel may read: WebGPU promises eight storage buffers, and the result takes one. */
export const MOST_INPUTS = 7;

/** Collects the calls of a plan. */
export class PlanBuilder {
  readonly calls: KernelCall[] = [];
  readonly checks: ((host: HostValues) => void)[] = [];
  readonly #node: () => Node;

  /**
   * @param mode - what kernels are written for.
   * @param node - tells which node is being lowered.
   */
  constructor(
    readonly mode: Mode,
    node: () => Node,
  ) {
    this.#node = node;
  }

  /** How a value of this shape lies in this mode. */
  layout(shape: Shape, frame?: Frame): Layout {
    return layoutOf(shape, frame, this.mode === 'webgl2');
  }

  /** A call of the kernel that is described, element by element, for gpu.js. */
  kernel({ inputs, shape, frame, body }: KernelRequest): Value {
    const layout = this.layout(shape, frame);
    const { statements, at, inside } = placeOf(layout);
    const names = inputs.map((_, index) => `a${index}`);
    const read = inputs.map(
      (input, index) => (where: readonly Coordinate[]) => `${names[index]}${indexOf(input.layout, where)}`,
    );
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

  /** A call of a kernel that is there as text. */
  call(kernel: Kernel, inputs: readonly Value[], layout: Layout, algorithm: string): Value {
    const node = this.#node();
    for (const { dims, shape: held } of [layout, ...inputs.map((input) => input.layout)])
      if (dims.some((extent) => extent >= EXACT))
        throw new BackendUnavailable(
          'gpu',
          `${node.graph.at(node.path)}: ${node.op} has a value of ${held.join('x')}, which lies in rows of ${Math.max(...dims)} values; the gpu back end counts up to ${EXACT - 1}. Use the wasm back end.`,
        );
    if (inputs.length > MOST_INPUTS)
      throw new BackendUnavailable(
        'gpu',
        `A kernel reads at most ${MOST_INPUTS} arrays, ${node.op} asks for ${inputs.length}.`,
      );
    const call: KernelCall = { kernel, layout, inputs, node, algorithm };
    this.calls.push(call);
    return { layout, origin: { kind: 'call', call } };
  }

  /** A value that never changes. */
  constant(values: Tensor, frame?: Frame): Value {
    return { layout: this.layout(values.shape, frame), origin: { kind: 'constant', values } };
  }

  /** A value that never changes, in the order in which a kernel reads it. */
  arranged(shape: Shape, write: Write): Value {
    return { layout: this.layout(shape), origin: { kind: 'arranged', write } };
  }

  /** The same for so many texels, written layer by layer of a texture, of which each gets a quarter of the values. */
  layers(texels: number, write: Write): Value {
    return { layout: { ...this.layout([texels, PACK]), layered: true }, origin: { kind: 'arranged', write } };
  }

  /** A value that the host gives for each run. */
  fed(shape: Shape, of: (host: HostValues) => Float32Array, frame?: Frame): Value {
    return { layout: this.layout(shape, frame), origin: { kind: 'fed', of } };
  }

  /** A parameter that runs update, as it is at first. */
  state(name: string, values: Tensor): Value {
    return { layout: this.layout(values.shape), origin: { kind: 'state', name, values } };
  }

  /** Runs before each run; throws when a fed value is not legal. */
  check(test: (host: HostValues) => void): void {
    this.checks.push(test);
  }
}

/** A graph as calls of kernels. */
export interface Plan {
  readonly calls: readonly KernelCall[];
  readonly checks: readonly ((host: HostValues) => void)[];
  readonly outputs: ReadonlyMap<string, Value>;
  /** The parameters that runs update: what they are and what they become. */
  readonly updates: ReadonlyMap<string, { readonly state: Value; readonly next: Value }>;
}
