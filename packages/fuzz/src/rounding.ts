/**
 * Measures how far float32 results may deviate from float64. The graph runs in float64 while each value is
 * perturbed by some rounding errors of the magnitude of its sum (the sum of the absolute values of all
 * terms). The largest change of the outputs bounds the effect of rounding, including kinks of ReLU and ties
 * of max pooling. Values that are only copied, and sums of zeros, must be exact.
 */
import { type Node, sizeOf } from '@cnn/core';
import {
  definitionOf,
  findDefinition,
  type Graph,
  isInput,
  isParameter,
  type OpName,
  type Values,
} from '@cnn/core/graph';
import type { Feeds } from '@cnn/testing/conformance';
import { Draw } from './draw.js';

/** Largest relative error of rounding to float32. */
const FLOAT32_ROUNDING = 2 ** -24;

/**
 * Rounding errors per sum: as many as Winograd's method loses with the largest tiles, for any values of a
 * plane.
 */
const ROUNDINGS = 32;

/**
 * Convolutions may be computed by tiles (Winograd); then the error of a value has the magnitude of its
 * neighbours.
 */
const tiledOps: ReadonlySet<string> = new Set<OpName>(['conv2d', 'conv2dGradInput', 'conv2dGradWeight']);

/** Matrix products, which sum term by term. */
const matrixProducts: ReadonlySet<string> = new Set<OpName>(['linear', 'matmul']);

/**
 * Factor by which a matrix product exceeds the error of short sums; grows with the square root of the number
 * of terms.
 */
function productErrorFactor({ inputs: [a, b], shape }: Node): number {
  const terms = Math.sqrt((sizeOf(a!.shape) * sizeOf(b!.shape)) / sizeOf(shape));
  return Math.max(1, Math.sqrt(terms) / ROUNDINGS);
}

/**
 * Operands that are subtracted. With their sign flipped, the sum is the sum of the absolute values of all
 * terms.
 */
const subtractedOperands: { readonly [K in OpName]?: readonly number[] } = {
  batchNorm: [3],
  batchNormGradWeight: [2],
  batchNormTrain: [3],
  batchNormTrainGradInput: [3, 5, 6],
  descend: [1],
  adaptiveDescend: [1],
};

/** Operands that select positions or classes and are not summed. */
const indexOperand: { readonly [K in OpName]?: number } = {
  adaptiveMaxPoolGrad: 1,
  crossEntropy: 1,
  maxPoolGrad: 1,
};

/** Sums of squares: rounding never makes them negative, so the perturbation is proportional to the value. */
const sumsOfSquares: ReadonlySet<string> = new Set<OpName>([
  'channelVariance',
  'squareAverage',
  'sumOfSquares',
]);

function largest(values: Values): number {
  let most = 0;
  for (const value of values) most = Math.max(most, Math.abs(value));
  return most;
}

/**
 * Factor of the error of a sum over `count` classes. The terms have one sign, often one magnitude, and are
 * added one after another in four lanes, so that rounding errors add up instead of cancelling.
 */
const laneErrorFactor = (count: number): number => 1 + count / 4 / ROUNDINGS;

/** Magnitude of each value of ops that are not a sum of products. */
const specialMagnitudes: {
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
    const factor = laneErrorFactor(node.inputs[0]!.shape[1]!);
    return (i) => factor * Math.abs(y[i]!) + size;
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
    const size = laneErrorFactor(node.shape[1]!) + largest(x!);
    return (i) => Math.abs(y[i]!) + size;
  },
  logSoftmaxGrad: (node, _, [dy, y]) => {
    const size = largest(dy!) * node.shape[1]!;
    return (i) => Math.abs(dy![i]!) + Math.exp(y![i]!) * size;
  },
  softmax: (node, y, [x]) => {
    const size = laneErrorFactor(node.shape[1]!) + largest(x!);
    return (i) => Math.abs(y[i]!) * size;
  },
  softmaxGrad: (_, _y, [dy, y]) => {
    const size = largest(dy!);
    return (i) => Math.abs(y![i]!) * (Math.abs(dy![i]!) + size);
  },
};

/** Computes a node by its definition, optionally with other attributes. */
const computeNode = (node: Node, inputs: readonly Values[], attrs: object = node.attrs): Values => {
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

/** Returns, for each value of a node, the sum of the absolute values of its terms. */
function magnitudesOf(node: Node, y: Values, inputs: readonly Values[]): Values {
  const special = specialMagnitudes[node.op as OpName]?.(node, y, inputs);
  if (special) return y.map((_, i) => special(i));
  const subtracted = subtractedOperands[node.op as OpName];
  const { activation: _, ...attrs } = node.attrs as { readonly activation?: object };
  const magnitudes = computeNode(
    node,
    inputs.map((values, index) => {
      if (indexOperand[node.op as OpName] === index) return values;
      const sign = subtracted?.includes(index) ? -1 : 1;
      return values.map((value) => sign * Math.abs(value));
    }),
    attrs,
  );
  if (!tiledOps.has(node.op)) {
    const factor = matrixProducts.has(node.op) ? productErrorFactor(node) : 1;
    return magnitudes.map((magnitude) => factor * Math.abs(magnitude));
  }
  const plane = sizeOf(node.shape.slice(2));
  for (let start = 0; start < magnitudes.length; start += plane) {
    const part = magnitudes.subarray(start, start + plane);
    part.fill(largest(part));
  }
  return magnitudes;
}

/**
 * Evaluates a graph in float64.
 * @param perturb - may change the values of a node before other nodes read them.
 */
export function valuesOf(
  graph: Graph,
  parameters: ReadonlyMap<string, Values>,
  feeds: Feeds,
  perturb: (node: Node, values: Values, inputs: readonly Values[]) => void = () => undefined,
): ReadonlyMap<Node, Values> {
  const values = new Map<Node, Values>();
  for (const node of graph.nodes) {
    if (isInput(node)) values.set(node, Float64Array.from(feeds.get(node.attrs.name)!.data));
    else if (isParameter(node)) values.set(node, parameters.get(node.attrs.name)!);
    else {
      const inputs = node.inputs.map((input) => values.get(input)!);
      const output = computeNode(node, inputs);
      perturb(node, output, inputs);
      values.set(node, output);
    }
  }
  return values;
}

/**
 * Runs a graph several times in float64, with updates in between. Returns the outputs of each run, then the
 * updated parameters.
 */
export function resultsInFloat64(
  {
    graph,
    weights,
    runs,
  }: {
    readonly graph: Graph;
    readonly weights: ReadonlyMap<string, { readonly data: Float32Array }>;
    readonly runs: readonly Feeds[];
  },
  perturb?: (run: number, node: Node, values: Values, inputs: readonly Values[]) => void,
): readonly Values[] {
  const results: Values[] = [];
  const parameters = new Map<string, Values>(
    [...weights].map(([name, { data }]) => [name, Float64Array.from(data)]),
  );
  for (const [run, feeds] of runs.entries()) {
    const values = valuesOf(graph, parameters, feeds, (...rest) => perturb?.(run, ...rest));
    for (const node of graph.outputs.values()) results.push(values.get(node)!);
    for (const [name, node] of graph.updates) parameters.set(name, values.get(node)!);
  }
  for (const name of graph.updates.keys()) results.push(parameters.get(name)!);
  return results;
}

/** Measures the effect of float32 rounding on the results of a case. */
export class Rounding {
  readonly #magnitudes = new Map<string, Values>();
  readonly #draw: Draw;
  readonly #numbers: ReadonlyMap<Node, number>;
  readonly #moved: number[];
  /** Results in float64, in the order of {@link resultsInFloat64}. */
  readonly expected: readonly Values[];

  constructor(
    readonly subject: Parameters<typeof resultsInFloat64>[0],
    seed: number,
  ) {
    this.#draw = new Draw(seed);
    this.#numbers = new Map(subject.graph.nodes.map((node, index) => [node, index]));
    this.expected = resultsInFloat64(subject, (run, node, values, inputs) => {
      if (!findDefinition(node)?.exact)
        this.#magnitudes.set(`${run} ${this.#numbers.get(node)}`, magnitudesOf(node, values, inputs));
    });
    this.#moved = this.expected.map(() => 0);
    this.addTrials(2);
  }

  /** Runs further trials: needed if few values are critical, for example close to a kink. */
  addTrials(trials: number): void {
    for (let trial = 0; trial < trials; trial++)
      for (const [index, values] of this.#perturbed().entries())
        for (const [i, value] of values.entries())
          this.#moved[index] = Math.max(this.#moved[index]!, Math.abs(value - this.expected[index]![i]!));
  }

  #perturbed(): readonly Values[] {
    return resultsInFloat64(this.subject, (run, node, values) => {
      const magnitudes = this.#magnitudes.get(`${run} ${this.#numbers.get(node)}`);
      if (!magnitudes) return;
      const noise = this.#draw.values([values.length], ROUNDINGS * FLOAT32_ROUNDING);
      const scale = sumsOfSquares.has(node.op) ? values : magnitudes;
      for (let i = 0; i < values.length; i++) values[i]! += scale[i]! * noise[i]!;
    });
  }

  /**
   * Tolerance of a result: four times its largest change in the trials, plus its rounding to float32. 0 if
   * nothing moved.
   */
  tolerance(index: number): number {
    const moved = this.#moved[index]!;
    return moved === 0 ? 0 : 4 * moved + FLOAT32_ROUNDING * largest(this.expected[index]!);
  }
}
