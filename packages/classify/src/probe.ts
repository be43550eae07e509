/**
 * Learns classes from a handful of feature vectors: nearest neighbours, and a linear probe, which held-out examples choose
 * between. The probe is ridge regression on the classes, which is solved at once, without steps: with few examples it is
 * as good as logistic regression, and a page trains it in seconds. All of it works on the products of the examples.
 */
import { logProbabilities, timeSlices } from '@cnn/core/graph';

/** Most examples: their products with each other take 72 MB. */
export const MAX_EXAMPLES = 3000;

/** Examples with their classes. */
export interface Examples {
  /** Feature vectors of length 1. */
  readonly features: readonly Float32Array[];
  /** Index of the class of each. */
  readonly classes: readonly number[];
  /** Number of classes. */
  readonly count: number;
}

/** Numbers of nearest examples of a class to choose between. */
const neighbourhoods: readonly number[] = [1, 5];

/** Strengths of the probe's penalty to choose between, as shares of the mean squared length of centred features. */
const strengths: readonly number[] = [0.01, 0.1, 1, 10];

/** Factors of scores, of which the one is taken that makes the probabilities of held-out examples most likely. */
const scales: readonly number[] = [1, 2, 4, 8, 16, 32, 64, 128];

/** A probe: scores are the products of features with rows of `weight`, plus `bias`. */
export interface Probe {
  /** Classes x features, row-major. */
  readonly weight: Float32Array;
  /** A value for each class. */
  readonly bias: Float32Array;
}

/** The method that held-out examples chose, and its values. */
export interface Learned {
  readonly method: 'nearest neighbours' | 'linear probe';
  /** Examples of a class that are averaged; 0 for the linear probe. */
  readonly neighbours: number;
  /** Factor of scores before the softmax. */
  readonly scale: number;
  /** Share of the held-out examples that were right; undefined if there were none. */
  readonly accuracy: number | undefined;
  readonly probe: Probe | undefined;
}

/** Gives a feature vector of length 1; zeros stay. */
export function normalised(features: Float32Array): Float32Array {
  const length = Math.sqrt(features.reduce((sum, value) => sum + value * value, 0));
  return length > 0 ? features.map((value) => value / length) : features.slice();
}

const product = (a: Float32Array, b: Float32Array): number => {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
};

/**
 * Scores classes by their nearest examples: the mean product with the `neighbours` nearest of each class.
 * @param products - of the features with each example.
 */
function nearestScores(
  products: ArrayLike<number>,
  examples: readonly number[],
  classes: readonly number[],
  count: number,
  neighbours: number,
): number[] {
  const byClass = Array.from({ length: count }, (): number[] => []);
  for (const i of examples) byClass[classes[i]!]!.push(products[i]!);
  return byClass.map((all) => {
    const nearest = all.sort((a, b) => b - a).slice(0, neighbours);
    // A class without examples is as far away as can be.
    return nearest.length > 0 ? nearest.reduce((sum, value) => sum + value, 0) / nearest.length : -1;
  });
}

/** Scores the classes of one feature vector of length 1. */
export function scoresOf(
  { features, classes, count }: Examples,
  { neighbours, probe }: Learned,
  x: Float32Array,
): number[] {
  if (probe)
    return Array.from(
      probe.bias,
      (bias, c) => bias + product(probe.weight.subarray(c * x.length, (c + 1) * x.length), x),
    );
  return nearestScores(
    features.map((example) => product(example, x)),
    [...features.keys()],
    classes,
    count,
    neighbours,
  );
}

type Slice = () => Promise<void>;

/** Computes the products of all pairs of examples, n x n. */
async function productsOf({ features }: Examples, slice: Slice): Promise<Float64Array> {
  const n = features.length;
  const products = new Float64Array(n * n);
  for (const [i, a] of features.entries()) {
    for (let j = 0; j <= i; j++) products[i * n + j] = products[j * n + i] = product(a, features[j]!);
    await slice();
  }
  return products;
}

/** Solves A x = b for each right-hand side, in place. @param a - symmetric and positive, m x m; is overwritten. */
async function solve(
  a: Float64Array,
  m: number,
  sides: readonly Float64Array[],
  slice: Slice,
): Promise<void> {
  // Cholesky: A = L times its transpose.
  for (let i = 0; i < m; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = a[i * m + j]!;
      for (let k = 0; k < j; k++) sum -= a[i * m + k]! * a[j * m + k]!;
      a[i * m + j] = i === j ? Math.sqrt(sum) : sum / a[j * m + j]!;
    }
    await slice();
  }
  for (const x of sides) {
    for (let i = 0; i < m; i++) {
      for (let k = 0; k < i; k++) x[i]! -= a[i * m + k]! * x[k]!;
      x[i]! /= a[i * m + i]!;
    }
    for (let i = m - 1; i >= 0; i--) {
      for (let k = i + 1; k < m; k++) x[i]! -= a[k * m + i]! * x[k]!;
      x[i]! /= a[i * m + i]!;
    }
    await slice();
  }
}

/** A probe in terms of its examples: the score of a class is `bias` plus its `shares` of the products with them. */
interface Shares {
  readonly shares: readonly Float64Array[];
  readonly bias: readonly number[];
}

/**
 * Fits ridge regression of the classes, 1 or 0, on the features, without penalty on the mean; once for each strength.
 * @param rows - indices of the examples to learn from.
 */
async function ridge(
  products: Float64Array,
  { features, classes, count }: Examples,
  rows: readonly number[],
  strengths: readonly number[],
  slice: Slice,
): Promise<readonly Shares[]> {
  const n = features.length;
  const m = rows.length;
  const centred = new Float64Array(m * m);
  const means: number[] = [];
  for (const [i, row] of rows.entries()) {
    let sum = 0;
    for (let j = 0; j < m; j++) sum += centred[i * m + j] = products[row * n + rows[j]!]!;
    means.push(sum / m);
    await slice();
  }
  // Products of the features less their mean.
  const mean = means.reduce((sum, value) => sum + value / m, 0);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < m; j++) centred[i * m + j]! -= means[i]! + means[j]! - mean;
    await slice();
  }
  const size = rows.reduce((sum, _, i) => sum + centred[i * m + i]! / m, 0);
  const frequencies = Array.from(
    { length: count },
    (_, c) => rows.filter((row) => classes[row] === c).length / m,
  );
  const results: Shares[] = [];
  for (const strength of strengths) {
    const matrix = centred.slice();
    // Equal examples have size 0.
    for (let i = 0; i < m; i++) matrix[i * m + i]! += strength * size + 1e-9;
    const shares = frequencies.map((frequency, c) =>
      Float64Array.from(rows, (row) => (classes[row] === c ? 1 : 0) - frequency),
    );
    await solve(matrix, m, shares, slice);
    const bias = frequencies.map((frequency, c) =>
      means.reduce((sum, value, i) => sum - value * shares[c]![i]!, frequency),
    );
    results.push({ shares, bias });
  }
  return results;
}

/**
 * Divides examples in parts to hold out, one after the other: of each class a run of examples in the order in which they
 * came, since neighbours may be frames of one video. A class of one example is never held out.
 */
function heldOutParts({ classes, count }: Examples): readonly (readonly number[])[] {
  const byClass = Array.from({ length: count }, (): number[] => []);
  for (const [i, c] of classes.entries()) byClass[c]!.push(i);
  const several = byClass.filter(({ length }) => length > 1);
  if (several.length === 0) return [];
  // Many examples take time, and a part of them tells enough.
  const parts = Math.min(5, ...several.map(({ length }) => length));
  const used = classes.length <= 200 ? parts : 1;
  return Array.from({ length: used }, (_, part) =>
    several.flatMap((all) =>
      all.slice(Math.floor((all.length * part) / parts), Math.floor((all.length * (part + 1)) / parts)),
    ),
  );
}

/** Scores of held-out examples, with their classes. */
type Trial = readonly (readonly [scores: readonly number[], wanted: number])[];

const accuracyOf = (trial: Trial): number =>
  trial.filter(([scores, wanted]) => scores.indexOf(Math.max(...scores)) === wanted).length / trial.length;

/** Mean log of the probabilities of the right classes. */
const likelihoodOf = (trial: Trial, scale: number): number =>
  trial.reduce(
    (sum, [scores, wanted]) => sum + logProbabilities(scores.map((score) => scale * score))[wanted]!,
    0,
  ) / trial.length;

/**
 * Learns the classes of examples by the method that is right most often on held-out ones, or else most likely.
 * @param examples - of two classes or more.
 */
export async function learn(examples: Examples, signal?: AbortSignal): Promise<Learned> {
  const slice = timeSlices(signal);
  const { features, classes, count } = examples;
  const n = features.length;
  const products = await productsOf(examples, slice);
  const trials = [...neighbourhoods, ...strengths].map((): [number[], number][] => []);
  for (const part of heldOutParts(examples)) {
    const heldOut = new Set(part);
    const rows = [...features.keys()].filter((i) => !heldOut.has(i));
    const probes = await ridge(products, examples, rows, strengths, slice);
    for (const i of part) {
      const own = products.subarray(i * n, (i + 1) * n);
      const candidates = [
        ...neighbourhoods.map((neighbours) => nearestScores(own, rows, classes, count, neighbours)),
        ...probes.map(({ shares, bias }) =>
          bias.map((value, c) => rows.reduce((sum, row, r) => sum + own[row]! * shares[c]![r]!, value)),
        ),
      ];
      for (const [index, scores] of candidates.entries()) trials[index]!.push([scores, classes[i]!]);
      await slice();
    }
  }
  let best = { index: 0, scale: 16, accuracy: undefined as number | undefined, likelihood: -Infinity };
  for (const [index, trial] of trials.entries()) {
    if (trial.length === 0) continue;
    const accuracy = accuracyOf(trial);
    for (const scale of scales) {
      await slice();
      const likelihood = likelihoodOf(trial, scale);
      const known = best.accuracy ?? -1;
      if (accuracy > known || (accuracy === known && likelihood > best.likelihood))
        best = { index, scale, accuracy, likelihood };
    }
  }
  const { index, scale, accuracy } = best;
  const neighbours = neighbourhoods[index] ?? 0;
  if (neighbours > 0) return { method: 'nearest neighbours', neighbours, scale, accuracy, probe: undefined };
  const strength = strengths[index - neighbourhoods.length]!;
  const [fitted] = await ridge(products, examples, [...features.keys()], [strength], slice);
  const { shares, bias } = fitted!;
  const size = features[0]!.length;
  const weight = new Float32Array(count * size);
  for (const [c, own] of shares.entries())
    for (const [i, example] of features.entries()) {
      for (let f = 0; f < size; f++) weight[c * size + f]! += own[i]! * example[f]!;
      await slice();
    }
  return {
    method: 'linear probe',
    neighbours: 0,
    scale,
    accuracy,
    probe: { weight, bias: Float32Array.from(bias) },
  };
}
