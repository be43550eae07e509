/**
 * How far float32 may lie from float64, found out by trial: the graph runs in float64 while each result is disturbed
 * by some roundings of the size of what is summed for it (the same sum with all signs equal). How far the outputs
 * move is what rounding can do to them, kinks of relu and ties of max pooling included; moved values and whole
 * sums of nothing may not move at all.
 */
import {
  definitionOf,
  findDefinition,
  type Graph,
  isInput,
  isParameter,
  type Node,
  type OpName,
  sizeOf,
  type Values,
} from '@cnn/core';
import type { Feeds } from '@cnn/testing/conformance';
import { Draw } from './draw.js';

/** The largest relative error of rounding to float32. */
const ROUNDING = 2 ** -24;

/** Roundings of a sum's size: as many as Winograd's method loses with the largest tiles, whatever is in a plane. */
const ROUNDINGS = 32;

/** Convolutions may be computed by tiles: then the error of a value has the size of its neighbours. */
const tiled: ReadonlySet<string> = new Set<OpName>(['conv2d', 'conv2dGradInput', 'conv2dGradWeight']);

/** Products of matrices, which add up value after value. */
const products: ReadonlySet<string> = new Set<OpName>(['linear', 'matmul']);

/** How many times as much a product's sums lose as short ones do: with the root of how many values are summed. */
function longSum({ inputs: [a, b], shape }: Node): number {
  const terms = Math.sqrt((sizeOf(a!.shape) * sizeOf(b!.shape)) / sizeOf(shape));
  return Math.max(1, Math.sqrt(terms) / ROUNDINGS);
}

/** Operands that are taken off: with the other sign, sums have the size of all their parts. */
const takenOff: { readonly [K in OpName]?: readonly number[] } = {
  batchNorm: [3],
  batchNormGradWeight: [2],
  batchNormTrain: [3],
  batchNormTrainGradInput: [3, 5, 6],
  descend: [1],
  adaptiveDescend: [1],
};

/** Operands that decide where something goes, and are not summed. */
const deciding: { readonly [K in OpName]?: number } = {
  adaptiveMaxPoolGrad: 1,
  crossEntropy: 1,
  maxPoolGrad: 1,
};

/** Sums of squares: rounding never makes them negative, so they are disturbed by a share of what they are. */
const squares: ReadonlySet<string> = new Set<OpName>(['channelVariance', 'squareAverage', 'sumOfSquares']);

function largest(values: Values): number {
  let most = 0;
  for (const value of values) most = Math.max(most, Math.abs(value));
  return most;
}

/**
 * How many times as much a sum over so many classes may lose: its values have one sign, often one size, and are added
 * one after the other in four lanes, so that roundings of the whole add up instead of cancelling.
 */
const inLanes = (count: number): number => 1 + count / 4 / ROUNDINGS;

/** The size of the sums of ops that are not one sum of products. */
const ownSize: {
  readonly [K in OpName]?: (node: Node, y: Values, inputs: readonly Values[]) => (i: number) => number;
} = {
  activation(node, y, [x]) {
    const { fn } = node.attrs as { readonly fn: string };
    if (fn === 'relu' || fn === 'relu6') return () => 0;
    return fn === 'leakyRelu' ? (i) => Math.abs(y[i]!) : (i) => 1 + Math.abs(x![i]!);
  },
  activationGrad:
    (_, y, [dy]) =>
    (i) =>
      Math.abs(y[i]!) + Math.abs(dy![i]!),
  crossEntropy: (node, y, [x]) => {
    const size = 1 + 2 * largest(x!);
    const long = inLanes(node.inputs[0]!.shape[1]!);
    return (i) => long * Math.abs(y[i]!) + size;
  },
  crossEntropyGrad: (_, _y, [dy, x]) => {
    const size = largest(dy!) * (1 + largest(x!));
    return () => size;
  },
  localResponseNormGrad: (node, y, [dy]) => {
    const { k, beta } = node.attrs as { readonly k: number; readonly beta: number };
    return (i) => Math.abs(y[i]!) + 2 * Math.abs(dy![i]!) * k ** -beta;
  },
  logSoftmax: (node, y, [x]) => {
    const size = inLanes(node.shape[1]!) + largest(x!);
    return (i) => Math.abs(y[i]!) + size;
  },
  logSoftmaxGrad: (node, _, [dy, y]) => {
    const size = largest(dy!) * node.shape[1]!;
    return (i) => Math.abs(dy![i]!) + Math.exp(y![i]!) * size;
  },
  softmax: (node, y, [x]) => {
    const size = inLanes(node.shape[1]!) + largest(x!);
    return (i) => Math.abs(y[i]!) * size;
  },
  softmaxGrad: (_, _y, [dy, y]) => {
    const size = largest(dy!);
    return (i) => Math.abs(y![i]!) * (Math.abs(dy![i]!) + size);
  },
};

const reference = (node: Node, inputs: readonly Values[], attrs: object = node.attrs): Values => {
  const output = new Float64Array(sizeOf(node.shape));
  definitionOf(node).reference({
    inputs,
    shapes: node.inputs.map(({ shape }) => shape),
    attrs,
    output,
    shape: node.shape,
  });
  return output;
};

/** For each value of a node, the size of what is summed for it. */
function sizesOf(node: Node, y: Values, inputs: readonly Values[]): Values {
  const own = ownSize[node.op as OpName]?.(node, y, inputs);
  if (own) return y.map((_, i) => own(i));
  const off = takenOff[node.op as OpName];
  const { activation: _, ...attrs } = node.attrs as { readonly activation?: object };
  const sizes = reference(
    node,
    inputs.map((values, index) => {
      if (deciding[node.op as OpName] === index) return values;
      const sign = off?.includes(index) ? -1 : 1;
      return values.map((value) => sign * Math.abs(value));
    }),
    attrs,
  );
  if (!tiled.has(node.op)) {
    const long = products.has(node.op) ? longSum(node) : 1;
    return sizes.map((size) => long * Math.abs(size));
  }
  const plane = sizeOf(node.shape.slice(2));
  for (let at = 0; at < sizes.length; at += plane) {
    const part = sizes.subarray(at, at + plane);
    part.fill(largest(part));
  }
  return sizes;
}

/** All values of a graph in float64, with what `disturb` does to each before others read it. */
export function valuesOf(
  graph: Graph,
  parameters: ReadonlyMap<string, Values>,
  feeds: Feeds,
  disturb: (node: Node, values: Values, inputs: readonly Values[]) => void = () => undefined,
): ReadonlyMap<Node, Values> {
  const values = new Map<Node, Values>();
  for (const node of graph.nodes) {
    if (isInput(node)) values.set(node, Float64Array.from(feeds.get(node.attrs.name)!.data));
    else if (isParameter(node)) values.set(node, parameters.get(node.attrs.name)!);
    else {
      const inputs = node.inputs.map((input) => values.get(input)!);
      const output = reference(node, inputs);
      disturb(node, output, inputs);
      values.set(node, output);
    }
  }
  return values;
}

/** Runs of one graph one after the other, with updates in between: outputs and updated parameters in order. */
export function resultsInDouble(
  {
    graph,
    weights,
    runs,
  }: {
    readonly graph: Graph;
    readonly weights: ReadonlyMap<string, { readonly data: Float32Array }>;
    readonly runs: readonly Feeds[];
  },
  disturb?: (run: number, node: Node, values: Values, inputs: readonly Values[]) => void,
): readonly Values[] {
  const results: Values[] = [];
  const parameters = new Map<string, Values>(
    [...weights].map(([name, { data }]) => [name, Float64Array.from(data)]),
  );
  for (const [run, feeds] of runs.entries()) {
    const values = valuesOf(graph, parameters, feeds, (...rest) => disturb?.(run, ...rest));
    for (const node of graph.outputs.values()) results.push(values.get(node)!);
    for (const [name, node] of graph.updates) parameters.set(name, values.get(node)!);
  }
  for (const name of graph.updates.keys()) results.push(parameters.get(name)!);
  return results;
}

/** What float32 may do to the results of a case. */
export class Rounding {
  readonly #sizes = new Map<string, Values>();
  readonly #draw: Draw;
  readonly #numbers: ReadonlyMap<Node, number>;
  readonly #moved: number[];
  /** The results in float64, as {@link resultsInDouble} orders them. */
  readonly expected: readonly Values[];

  constructor(
    readonly subject: Parameters<typeof resultsInDouble>[0],
    seed: number,
  ) {
    this.#draw = new Draw(seed);
    this.#numbers = new Map(subject.graph.nodes.map((node, index) => [node, index]));
    this.expected = resultsInDouble(subject, (run, node, values, inputs) => {
      if (!findDefinition(node)?.exact)
        this.#sizes.set(`${run} ${this.#numbers.get(node)}`, sizesOf(node, values, inputs));
    });
    this.#moved = this.expected.map(() => 0);
    this.tryMore(2);
  }

  /** More trials: for a case in which few values decide, such as one close to a kink. */
  tryMore(trials: number): void {
    for (let trial = 0; trial < trials; trial++)
      for (const [index, values] of this.#disturbed().entries())
        for (const [i, value] of values.entries())
          this.#moved[index] = Math.max(this.#moved[index]!, Math.abs(value - this.expected[index]![i]!));
  }

  #disturbed(): readonly Values[] {
    return resultsInDouble(this.subject, (run, node, values) => {
      const sizes = this.#sizes.get(`${run} ${this.#numbers.get(node)}`);
      if (!sizes) return;
      const noise = this.#draw.values([values.length], ROUNDINGS * ROUNDING);
      const scale = squares.has(node.op) ? values : sizes;
      for (let i = 0; i < values.length; i++) values[i]! += scale[i]! * noise[i]!;
    });
  }

  /** How far each result may lie from what is expected: four times as far as it was moved, and its own rounding. */
  tolerance(index: number): number {
    const moved = this.#moved[index]!;
    return moved === 0 ? 0 : 4 * moved + ROUNDING * largest(this.expected[index]!);
  }
}
