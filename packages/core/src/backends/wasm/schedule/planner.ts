/**
 * Plans a graph: locates values in memory, generates each kernel once, packs weights, lends workspace, and
 * records the kernel calls of every thread, phase by phase. Lowerings of ops call it.
 */
import { type Graph, isInput, isParameter, type Node } from '../../../graph/graph.js';
import { weightOf } from '../../../graph/weightOf.js';
import { BACKWARD } from '../../../ops/define.js';
import { findDefinition } from '../../../ops/index.js';
import { sizeOf } from '../../../tensor/shape.js';
import type { Tensor, Weights } from '../../../tensor/tensor.js';
import type { Engine } from '../codegen/engine.js';
import type { FunctionBuilder } from '../codegen/index.js';
import {
  type ArgumentsOf,
  argumentsOf,
  FLOAT,
  type Kernel,
  type KernelParameters,
  kernelFunction,
} from '../codegen/kernel.js';
import { type Dense, type Pixels, type Value, valueAt } from '../memory/layout.js';
import { Arena, type Pointer, Region, requireAddressable } from '../memory/region.js';
import { type Fusion, findFusions } from './fusions.js';
import { type Allocation, isBatchTile, type Placement, placeValues } from './placement.js';
import { type UpdateChain, updateChains } from './updates.js';

/** A call of a kernel. */
export interface Call {
  /** Index of the kernel in {@link Planner.kernels}. */
  readonly kernel: number;
  /** Arguments in the order of the kernel's parameters. Pointers become addresses when memory is laid out. */
  readonly parameters: readonly (number | Pointer)[];
}

/** Makes calls of a kernel from named arguments. Names that are no parameter of the kernel do not compile. */
export type CallMaker<P extends KernelParameters> = <T extends ArgumentsOf<P, Pointer>>(
  args: T & { readonly [K in Exclude<keyof T, keyof P>]: never },
) => Call;

/** The work of all threads between two barriers. */
export interface Phase {
  /** Node that the phase belongs to. */
  readonly node: Node;
  /** Algorithm label, shown in profiles. */
  readonly algorithm: string;
  /** Calls by thread, in order. */
  readonly calls: readonly (readonly Call[])[];
}

/** Memory for a constant, and the function that fills it while a program is loaded. */
interface ConstantFill {
  readonly at: Pointer;
  /** Size in float32 values. */
  readonly floats: number;
  /** Fills a piece of the constant. `target` is all of its memory, zero at first; pieces come in order. */
  readonly fill: (target: Float32Array, piece: number) => void;
  /** Number of pieces. */
  readonly pieces: number;
}

/** Key of the algorithms in `ops/conv/winograd/transforms.ts`. */
export type WinogradMethod = 'f2x2' | 'f4x4' | 'f2x2Stride2' | 'f4x4TransposedStride2';

/** The weight of a convolution, and the order in which it is read. */
export interface ConvolutionWeight {
  readonly weight: Node;
  /** Index of the first value, and strides along each axis, in float32 values. */
  readonly order: {
    readonly start: number;
    readonly out: number;
    readonly in: number;
    readonly row: number;
    readonly column: number;
  };
  /** Input channels. */
  readonly channels: number;
  /** Output channels. */
  readonly out: number;
}

/**
 * Adds the phase that transforms and packs the weight of a Winograd convolution in every run.
 * @param panel - output channels of a panel.
 * @param elementStride - bytes from the matrix of one element of the transformed tile to the next.
 * @returns the address of the packed weights.
 */
export type TransformChangingWeights = (
  planner: Planner,
  weight: ConvolutionWeight,
  method: WinogradMethod,
  panel: number,
  elementStride: number,
) => Pointer;

/** Most values that are packed without yielding to the event loop: less than a millisecond of work. */
export const PIECE_VALUES = 2 ** 18;

/** Returns a thread's share of `total` units of work: from `from` up to but not including `to`. */
export const shareOf = (
  total: number,
  thread: number,
  threads: number,
): readonly [from: number, to: number] => [
  Math.floor((total * thread) / threads),
  Math.floor((total * (thread + 1)) / threads),
];

/** A plan under construction. Lowerings add phases to it; the program and the memory image read it. */
export class Planner {
  // Analyses of the graph, made by the constructor.

  /** Fused nodes, by the last node of each fusion. */
  readonly fusions: ReadonlyMap<Node, Fusion>;
  /** Optimizer steps that the update phases compute in place. */
  readonly updateChains: readonly UpdateChain[];
  /** Allocations of all values but inputs and parameters. */
  readonly placement: Placement;
  /** True if the graph computes gradients, as a training step does. */
  readonly hasGradients: boolean;

  // Memory. The memory image sets the base addresses of the regions.

  /** Region of parameters, packed weights and other constants. Only update phases change it. */
  readonly constants = new Region();
  /** I/O region: inputs and outputs in the host's order, and inputs converted from it. */
  readonly io = new Region();
  /** Region of all other values and of workspace; an address is reused when its value is dead. */
  readonly arena = new Arena();
  /** Inputs by name, in the I/O region. Shapes are those of the whole batch, even if the graph is tiled. */
  readonly inputs = new Map<string, Dense>();
  /**
   * Functions that fill the constants while a program is loaded. They keep the weights from being
   * garbage-collected.
   */
  readonly constantFills: ConstantFill[] = [];

  // Code and commands.

  /** Generated kernels, in the order of the module's function table. */
  readonly kernels: FunctionBuilder[] = [];
  /** Phases in the order in which they run. */
  readonly phases: Phase[] = [];
  /** Number of phases that compute; the phases after them apply updates. `planGraph` sets it. */
  computePhaseCount = 0;
  /** Host-side checks that run before each inference; kernels cannot report errors. */
  readonly hostChecks: ((feeds: ReadonlyMap<string, Tensor>) => void)[] = [];
  /** Transforms weights of Winograd convolutions that change. `planGraph` sets it if the graph has any. */
  transformChangingWeights?: TransformChangingWeights;

  // For profiles.

  /** Seconds that the cost model predicts for all tiles of a node. Nodes without a prediction are missing. */
  readonly expectedSeconds = new Map<Node, number>();
  /** Number of batch tiles of a node. Nodes that compute the whole batch at once are missing. */
  readonly tileCounts = new Map<Node, number>();

  readonly #kernelIndex = new Map<string, number>();
  readonly #internedConstants = new Map<string, Pointer>();
  readonly #values = new Map<Node, Value>();
  readonly #converted = new Map<Node, Pixels>();
  readonly #addresses = new Map<Allocation, Pointer>();
  /** Current node: the one that new phases belong to. */
  #node!: Node;
  /** Algorithm label of new phases. */
  #algorithm = '';
  /** True while `withAlgorithm` fixes the label. */
  #algorithmFixed = false;
  /** Workspace of the current node. */
  #workspace: Pointer[] = [];

  /**
   * @param graph - its nodes in the order in which they run, tiled by `tileBatch`.
   * @param weights - values of the parameters, read while a program is loaded.
   * @param engine - instructions and tile sizes for which kernels are generated.
   * @param threads - number of threads that share each phase.
   */
  constructor(
    readonly graph: Graph,
    readonly weights: Weights,
    readonly engine: Engine,
    readonly threads: number,
  ) {
    this.fusions = findFusions(graph);
    this.hasGradients = graph.nodes.some((node) => findDefinition(node)?.gradient === BACKWARD);
    this.updateChains = updateChains(graph);
    this.placement = placeValues(
      graph,
      this.fusions,
      new Set(this.updateChains.flatMap(({ nodes }) => nodes)),
    );
    const tiles = graph.nodes.find(isBatchTile)?.attrs.tiles ?? 1;
    for (const { attrs, shape } of graph.nodes.filter(isInput)) {
      const bytes = sizeOf(shape) * FLOAT;
      const at = this.io.reserve(tiles * bytes).withTileStride(bytes);
      this.inputs.set(attrs.name, {
        kind: 'dense',
        at,
        shape: shape.map((extent, axis) => (axis === 0 ? tiles * extent : extent)),
      });
    }
  }

  /** Plans the nodes in order; `lower` adds the phases of one node. */
  plan(lower: (node: Node) => void): void {
    const { values, skipped } = this.placement;
    const allocations = new Set([...values.values()].map(({ allocation }) => allocation));
    for (const [index, node] of this.graph.nodes.entries()) {
      for (const allocation of allocations)
        if (allocation.firstWrite === index)
          this.#addresses.set(allocation, this.arena.acquire(allocation.floats * FLOAT));
      // Checks the size before planning: listing the calls of a value that exceeds memory takes seconds.
      requireAddressable(this.io.bytes + this.arena.bytes);
      this.beginNode(node);
      if (!isInput(node) && !isParameter(node) && !skipped.has(node)) lower(node);
      for (const pointer of this.#workspace.splice(0)) this.arena.release(pointer);
      for (const allocation of allocations)
        if (allocation.lastRead === index) this.arena.release(this.#addresses.get(allocation)!);
      if (isBatchTile(node)) this.#repeatForTiles(node.attrs.tiles);
    }
  }

  /** Repeats all phases, which compute the first batch tile, with the addresses of the other tiles. */
  #repeatForTiles(tiles: number): void {
    for (const [node, seconds] of this.expectedSeconds) this.expectedSeconds.set(node, tiles * seconds);
    const firstTile = [...this.phases];
    for (const { node } of firstTile) this.tileCounts.set(node, tiles);
    for (let tile = 1; tile < tiles; tile++) {
      const inTile = ({ kernel, parameters }: Call): Call => ({
        kernel,
        parameters: parameters.map((value) => (typeof value === 'number' ? value : value.inTile(tile))),
      });
      for (const phase of firstTile)
        this.phases.push({ ...phase, calls: phase.calls.map((calls) => calls.map(inTile)) });
    }
  }

  /** Makes a node the current one. */
  beginNode(node: Node): void {
    this.#node = node;
  }

  /** Returns a node's value in memory. Call it once the node is the current one, not before. */
  value(node: Node): Value {
    const known = this.#values.get(node);
    if (known) return known;
    const located = this.#locate(node);
    this.#values.set(node, located);
    return located;
  }

  #locate(node: Node): Value {
    if (isInput(node)) return { ...this.inputs.get(node.attrs.name)!, shape: node.shape };
    if (isParameter(node)) {
      const weight = weightOf(node, this.weights);
      const at = this.addConstant(sizeOf(node.shape), (target) => target.set(weight.data));
      return { kind: 'dense', at, shape: node.shape };
    }
    const { allocation, value } = this.placement.values.get(node)!;
    return value(this.#addresses.get(allocation)!);
  }

  /**
   * Returns a node's value in NHWC order; it must have two or four dimensions. Of the inputs and parameters,
   * rows and images with one channel are in this order on the host. The others get memory in the I/O region,
   * into which `convert` copies them; it is called once per node.
   */
  pixels(node: Node, convert: (from: Dense, to: Pixels) => void): Pixels {
    const value = this.#converted.get(node) ?? this.value(node);
    if (value.kind === 'pixels') return value;
    const [n, c, h = 1, w = 1] = node.shape as [number, number, number?, number?];
    if (c === 1 || h * w === 1) {
      const pixelStride = c * FLOAT;
      const rowStride = w * pixelStride;
      const imageStride = h * rowStride;
      return { kind: 'pixels', at: value.at, n, c, h, w, imageStride, rowStride, pixelStride };
    }
    const stored = valueAt(this.io.reserve(0), node.shape) as Pixels;
    const converted = { ...stored, at: this.io.reserve(n * stored.imageStride) };
    convert(value, converted);
    this.#converted.set(node, converted);
    return converted;
  }

  /** Returns the value of a parameter that no run changes; undefined for all other nodes. */
  constantValue(node: Node): Tensor | undefined {
    return isParameter(node) && !this.graph.updates.has(node.attrs.name)
      ? weightOf(node, this.weights)
      : undefined;
  }

  /** Adds a host-side check of a node's values before each run. Only inputs and constants are checked. */
  addHostCheck(node: Node, test: (data: Float32Array) => void): void {
    const constant = this.constantValue(node);
    if (constant) this.hostChecks.push(() => test(constant.data));
    if (isInput(node)) this.hostChecks.push((feeds) => test(feeds.get(node.attrs.name)!.data));
  }

  /**
   * Reserves memory for a constant.
   * @param floats - size in float32 values.
   * @param fill - fills one piece of the memory, which is zero at first, while the program is loaded.
   * @param pieces - number of calls of `fill`, between which loading yields to the event loop.
   */
  addConstant(floats: number, fill: ConstantFill['fill'], pieces = 1): Pointer {
    const at = this.constants.reserve(floats * FLOAT);
    this.constantFills.push({ at, floats, fill, pieces });
    return at;
  }

  /** Reserves memory for a constant once per name: later calls return the same memory and ignore `fill`. */
  internConstant(name: string, floats: number, fill: ConstantFill['fill']): Pointer {
    const at = this.#internedConstants.get(name) ?? this.addConstant(floats, fill);
    this.#internedConstants.set(name, at);
    return at;
  }

  /** Lends memory until the current node is lowered. */
  workspace(bytes: number): Pointer {
    const at = this.arena.acquire(bytes);
    this.#workspace.push(at);
    return at;
  }

  /** Lends memory of this size to each thread. */
  workspacePerThread(bytes: number): readonly Pointer[] {
    return Array.from({ length: this.threads }, () => this.workspace(bytes));
  }

  /** Generates a kernel for a shape, once, and returns a function that makes calls of it. */
  kernel<S, P extends KernelParameters>(kernel: Kernel<S, P>, shape: NoInfer<S>): CallMaker<P> {
    const key = `${kernel.name} ${JSON.stringify(shape)}`;
    const index = this.#kernelIndex.get(key) ?? this.kernels.length;
    if (index === this.kernels.length) {
      this.kernels.push(kernelFunction(kernel, { engine: this.engine, shape }));
      this.#kernelIndex.set(key, index);
    }
    return (args) => ({ kernel: index, parameters: argumentsOf<P, Pointer>(kernel, args) });
  }

  /** Sets the algorithm label of the phases that follow, unless `withAlgorithm` fixes it. */
  setAlgorithm(label: string): void {
    if (!this.#algorithmFixed) this.#algorithm = label;
  }

  /** Adds seconds to the cost model's prediction for the current node. */
  addExpectedSeconds(seconds: number): void {
    this.expectedSeconds.set(this.#node, (this.expectedSeconds.get(this.#node) ?? 0) + seconds);
  }

  /** Gives all phases that `lower` adds one algorithm label. */
  withAlgorithm(label: string, lower: () => void): void {
    this.#algorithm = label;
    this.#algorithmFixed = true;
    lower();
    this.#algorithmFixed = false;
  }

  /** Adds a phase to the current node. `calls` returns a thread's part. */
  addPhase(calls: (thread: number) => readonly Call[]): void {
    this.phases.push({
      node: this.#node,
      algorithm: this.#algorithm,
      calls: Array.from({ length: this.threads }, (_, thread) => calls(thread)),
    });
  }

  /** Adds a phase of independent units of work; `calls` gets a thread's range of them, never an empty one. */
  parallelFor(units: number, calls: (from: number, to: number, thread: number) => readonly Call[]): void {
    this.addPhase((thread) => {
      const [from, to] = shareOf(units, thread, this.threads);
      return to > from ? calls(from, to, thread) : [];
    });
  }
}
