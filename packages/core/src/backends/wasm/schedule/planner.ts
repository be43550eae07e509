/**
 * What an op's lowering works with: it says where values are, generates each kernel once, keeps packed
 * weights, lends scratch memory, and collects the calls that every thread makes, phase by phase. All
 * threads meet between phases.
 */
import type { Graph, Node } from '../../../graph/graph.js';
import { isInput, isParameter } from '../../../graph/graph.js';
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
import { Arena, type Pointer, Region } from '../memory/region.js';
import type { WinogradMethod } from '../ops/conv/winograd/transforms.js';
import { findGroups, type Group } from './fusions.js';
import { isTurns, type Place, type Placement, placeValues } from './placement.js';
import { type UpdateChain, updateChains } from './updates.js';

/** One call of a kernel. */
export interface Call {
  /** Index of the kernel. */
  readonly kernel: number;
  /** Its parameters in order. */
  readonly parameters: readonly (number | Pointer)[];
}

/** Makes calls of a kernel from named arguments. A name that the kernel does not have does not compile. */
export type CallMaker<P extends KernelParameters> = <T extends ArgumentsOf<P, Pointer>>(
  args: T & { readonly [K in Exclude<keyof T, keyof P>]: never },
) => Call;

/** What all threads do between two barriers. */
export interface Phase {
  readonly node: Node;
  readonly algorithm: string;
  /** The calls of each thread. */
  readonly calls: readonly (readonly Call[])[];
}

/** Fills a part of the weights' memory. */
interface Packing {
  readonly at: Pointer;
  readonly floats: number;
  /** Fills one piece; called for each of them in order. */
  readonly fill: (target: Float32Array, piece: number) => void;
  readonly pieces: number;
}

/** The weight of a convolution, and how it is read: where its first value is, and the strides from one to the next, in floats. */
export interface ConvolutionWeight {
  readonly weight: Node;
  readonly order: {
    readonly start: number;
    readonly out: number;
    readonly in: number;
    readonly row: number;
    readonly column: number;
  };
  /** Input and output channels. */
  readonly channels: number;
  readonly out: number;
}

/**
 * Adds the phase that transforms and packs the weight of a Winograd convolution in every run.
 * @param panel - columns that lie together.
 * @param product - bytes from the weights of one transformed position to those of the next.
 * @returns where the weights are then.
 */
export type TransformInRun = (
  planner: Planner,
  weight: ConvolutionWeight,
  method: WinogradMethod,
  panel: number,
  product: number,
) => Pointer;

/** Values that are packed in one piece, between which other events get their turn: less than a millisecond. */
export const PIECE = 2 ** 18;

/** The share of `total` units that falls to a thread. */
export const shareOf = (
  total: number,
  thread: number,
  threads: number,
): readonly [from: number, to: number] => [
  Math.floor((total * thread) / threads),
  Math.floor((total * (thread + 1)) / threads),
];

/** See the file's comment. */
export class Planner {
  readonly kernels: FunctionBuilder[] = [];
  readonly phases: Phase[] = [];
  readonly packings: Packing[] = [];
  /** Packed weights and other constants. */
  readonly constants = new Region();
  /** Inputs and outputs as the host sees them. */
  readonly exchange = new Region();
  readonly arena = new Arena();
  readonly inputs = new Map<string, Dense>();
  /** What is looked at before each run, since kernels cannot complain. */
  readonly checks: ((feeds: ReadonlyMap<string, Tensor>) => void)[] = [];
  readonly placement: Placement;
  /** Nodes that are computed together, by the last of them. */
  readonly groups: ReadonlyMap<Node, Group>;
  /** Whether gradients are taken, as in a training step. */
  readonly differentiates: boolean;
  /** Nodes that are computed where updates are taken on. */
  readonly chains: readonly UpdateChain[];

  /** Seconds that nodes are expected to take, where the cost model has an opinion. */
  readonly expected = new Map<Node, number>();

  /** In how many turns nodes are computed, where that is more than one. */
  readonly turns = new Map<Node, number>();

  /** Transforms weights of Winograd convolutions that change: where a graph has any, it is loaded. */
  transformInRun?: TransformInRun;

  /** Number of phases that compute; the phases behind them apply updates. */
  computePhaseCount = 0;

  readonly #kernelIndex = new Map<string, number>();
  readonly #kept = new Map<string, Pointer>();
  readonly #values = new Map<Node, Value>();
  readonly #converted = new Map<Node, Pixels>();
  readonly #addresses = new Map<Place, Pointer>();
  #node!: Node;
  #algorithm = '';
  #named = false;
  #scratch: Pointer[] = [];

  constructor(
    readonly graph: Graph,
    readonly weights: Weights,
    readonly engine: Engine,
    readonly threads: number,
  ) {
    this.groups = findGroups(graph);
    this.differentiates = graph.nodes.some((node) => findDefinition(node)?.gradient === BACKWARD);
    this.chains = updateChains(graph);
    this.placement = placeValues(graph, this.groups, new Set(this.chains.flatMap(({ nodes }) => nodes)));
    const turns = graph.nodes.find(isTurns)?.attrs.count ?? 1;
    for (const { attrs, shape } of graph.nodes.filter(isInput)) {
      const bytes = sizeOf(shape) * FLOAT;
      const at = this.exchange.reserve(turns * bytes).moving(bytes);
      this.inputs.set(attrs.name, {
        kind: 'dense',
        at,
        shape: shape.map((extent, axis) => (axis === 0 ? turns * extent : extent)),
      });
    }
  }

  /** Goes through the graph in order; `lower` makes the phases of one node. */
  plan(lower: (node: Node) => void): void {
    const places = new Set([...this.placement.placed.values()].map(({ place }) => place));
    for (const [index, node] of this.graph.nodes.entries()) {
      for (const place of places)
        if (place.start === index) this.#addresses.set(place, this.arena.take(place.floats * FLOAT));
      this.at(node);
      if (!isInput(node) && !isParameter(node) && !this.placement.free.has(node)) lower(node);
      for (const pointer of this.#scratch.splice(0)) this.arena.release(pointer);
      for (const place of places) if (place.end === index) this.arena.release(this.#addresses.get(place)!);
      if (isTurns(node)) this.#repeat(node.attrs.count);
    }
  }

  /** Everything so far was the first of so many turns: adds the others. */
  #repeat(count: number): void {
    for (const [node, seconds] of this.expected) this.expected.set(node, count * seconds);
    const first = [...this.phases];
    for (const { node } of first) this.turns.set(node, count);
    for (let turn = 1; turn < count; turn++) {
      const inTurn = ({ kernel, parameters }: Call): Call => ({
        kernel,
        parameters: parameters.map((value) => (typeof value === 'number' ? value : value.inTurn(turn))),
      });
      for (const phase of first)
        this.phases.push({ ...phase, calls: phase.calls.map((calls) => calls.map(inTurn)) });
    }
  }

  /** Phases that follow belong to this node. */
  at(node: Node): void {
    this.#node = node;
  }

  /** Where a node's value is. */
  value(node: Node): Value {
    const known = this.#values.get(node);
    if (known) return known;
    const made = this.#locate(node);
    this.#values.set(node, made);
    return made;
  }

  #locate(node: Node): Value {
    if (isInput(node)) return { ...this.inputs.get(node.attrs.name)!, shape: node.shape };
    if (isParameter(node)) {
      const weight = weightOf(node, this.weights);
      const at = this.keep(sizeOf(node.shape), (target) => target.set(weight.data));
      return { kind: 'dense', at, shape: node.shape };
    }
    const { place, value } = this.placement.placed.get(node)!;
    return value(this.#addresses.get(place)!);
  }

  /**
   * A node's value pixel by pixel; it must have two or four dimensions. Rows and single channels lie so
   * already on the host; for the rest of the inputs and parameters `convert` is asked, once.
   */
  pixels(node: Node, convert: (from: Dense, to: Pixels) => void): Pixels {
    const value = this.#converted.get(node) ?? this.value(node);
    if (value.kind === 'pixels') return value;
    const [n, c, h = 1, w = 1] = node.shape as [number, number, number?, number?];
    if (c === 1 || h * w === 1) {
      const pixel = c * FLOAT;
      return { kind: 'pixels', at: value.at, n, c, h, w, image: h * w * pixel, row: w * pixel, pixel };
    }
    const stored = valueAt(this.exchange.reserve(0), node.shape) as Pixels;
    const made = { ...stored, at: this.exchange.reserve(n * stored.image) };
    convert(value, made);
    this.#converted.set(node, made);
    return made;
  }

  /** The value of a parameter that no run changes; undefined for all other nodes. */
  constant(node: Node): Tensor | undefined {
    return isParameter(node) && !this.graph.updates.has(node.attrs.name)
      ? weightOf(node, this.weights)
      : undefined;
  }

  /** Has the host test a node's values before each run, where it knows them: those of inputs and constants. */
  check(node: Node, test: (data: Float32Array) => void): void {
    const constant = this.constant(node);
    if (constant) this.checks.push(() => test(constant.data));
    if (isInput(node)) this.checks.push((feeds) => test(feeds.get(node.attrs.name)!.data));
  }

  /** Memory for constants; `fill` is called with it, zero at first, for each piece when the program is loaded. */
  keep(floats: number, fill: Packing['fill'], pieces = 1): Pointer {
    const at = this.constants.reserve(floats * FLOAT);
    this.packings.push({ at, floats, fill, pieces });
    return at;
  }

  /** The same memory for all who ask for it by that name. */
  keepOnce(name: string, floats: number, fill: Packing['fill']): Pointer {
    const at = this.#kept.get(name) ?? this.keep(floats, fill);
    this.#kept.set(name, at);
    return at;
  }

  /** Memory until the node at hand is done. */
  scratch(bytes: number): Pointer {
    const at = this.arena.take(bytes);
    this.#scratch.push(at);
    return at;
  }

  /** Scratch for each thread. */
  scratchForEach(bytes: number): readonly Pointer[] {
    return Array.from({ length: this.threads }, () => this.scratch(bytes));
  }

  /** A kernel for a shape, generated when asked for first, as a function that makes calls of it. */
  kernel<S, P extends KernelParameters>(kernel: Kernel<S, P>, shape: NoInfer<S>): CallMaker<P> {
    const key = `${kernel.name} ${JSON.stringify(shape)}`;
    const index = this.#kernelIndex.get(key) ?? this.kernels.length;
    if (index === this.kernels.length) {
      this.kernels.push(kernelFunction(kernel, { engine: this.engine, shape }));
      this.#kernelIndex.set(key, index);
    }
    return (args) => ({ kernel: index, parameters: argumentsOf<P, Pointer>(kernel, args) });
  }

  /** Names the way the node at hand is computed, for profiles; phases that follow carry it. */
  algorithm(name: string): void {
    if (!this.#named) this.#algorithm = name;
  }

  /** What the cost model expects the node at hand to take, for profiles. */
  expect(seconds: number): void {
    this.expected.set(this.#node, (this.expected.get(this.#node) ?? 0) + seconds);
  }

  /** Gives one name to all that `lower` plans. */
  named(name: string, lower: () => void): void {
    this.#algorithm = name;
    this.#named = true;
    lower();
    this.#named = false;
  }

  /** Adds a phase to the node at hand. `calls` gives each thread's part. */
  phase(calls: (thread: number) => readonly Call[]): void {
    this.phases.push({
      node: this.#node,
      algorithm: this.#algorithm,
      calls: Array.from({ length: this.threads }, (_, thread) => calls(thread)),
    });
  }

  /** Adds a phase of independent units of work, each thread taking a run of them. */
  spread(units: number, calls: (from: number, to: number, thread: number) => readonly Call[]): void {
    this.phase((thread) => {
      const [from, to] = shareOf(units, thread, this.threads);
      return to > from ? calls(from, to, thread) : [];
    });
  }
}
