/** How well a model does on a dataset: every example once, without augmentation. */
import {
  type Backend,
  type BackendName,
  compile,
  logProbabilities,
  type Module,
  random,
  type Shape,
  ShapeError,
  type Tensor,
  type Weights,
} from '@cnn/core';
import {
  type Augmentation,
  type Batch,
  type Dataset,
  loadBatch,
  type Normalisation,
  normalised,
} from './data.js';
import { argmax, type ConfusionMatrix, confusionMatrix, isInTop } from './metrics.js';

/** Several pictures of one, whose probabilities are averaged: ten crops, for instance. */
export interface Views {
  readonly count: number;
  /** The views of a picture, `count` of them. */
  of(picture: Tensor): readonly Tensor[];
}

/** How pictures are made ready for evaluation. */
export interface PreparationOptions {
  /** Crop and resize without chance. Default: pictures have the model's shape already. */
  readonly prepare?: Augmentation;
  /** Applied last. Default: none. */
  readonly normalise?: Normalisation;
  /** Several pictures of each, after `prepare`. Default: the picture itself. */
  readonly views?: Views;
}

/** What is counted, and how it can be stopped. */
export interface EvaluationOptions {
  /** The k of the top-k accuracies. Default [1, 5], as far as there are so many classes. */
  readonly topK?: readonly number[];
  readonly signal?: AbortSignal;
}

/** Options of {@link evaluate}. */
export interface EvaluateOptions extends PreparationOptions, EvaluationOptions {
  readonly model: Module;
  readonly weights: Weights;
  /** Batch first; the batch counts views. */
  readonly input: Shape;
  readonly dataset: Dataset;
  /** Default `'auto'`. */
  readonly backend?: BackendName | Backend;
  readonly threads?: number;
}

/** What an evaluation found. */
export interface Evaluation {
  readonly count: number;
  /** Mean cross entropy, plain: without smoothing or class weights. */
  readonly loss: number;
  /** Share of right answers. */
  readonly accuracy: number;
  /** Share of answers whose label is among the k first, by k. */
  readonly topK: ReadonlyMap<number, number>;
  /** Rows are true classes, columns predicted ones. */
  readonly confusion: ConfusionMatrix;
  readonly imagesPerSecond: number;
}

/** What {@link evaluate} found, and where it was computed. */
export interface EvaluationRun extends Evaluation {
  /** The back end that ran, such as `wasm` or `gpu:webgpu`. */
  readonly backend: string;
  readonly threads: number;
  /** Why it is not the back end, or not as many threads, as were asked for. */
  readonly fallbackReason: string | undefined;
}

/**
 * Evaluates a model on every example of a dataset.
 * @throws RangeError for a label that the model has no class for, naming the example.
 * @throws WeightsMismatch, ShapeError, BackendUnavailable as `compile` does.
 * @example
 * const { accuracy, confusion } = await evaluate({ model, weights, input: [100, 1, 32, 32], dataset });
 */
export async function evaluate(options: EvaluateOptions): Promise<EvaluationRun> {
  const { model, weights, input, backend, threads, signal } = options;
  const session = await compile(model, { weights, input, backend, threads, signal });
  try {
    const { backend: ran, fallbackReason } = session;
    const found = await count(options, session.output, async (_, load) => {
      const { x, labels } = await load();
      const logits = await session.run(x, { signal });
      return { logits: logits.data, labels: labels.data };
    });
    return { ...found, backend: ran, threads: session.threads, fallbackReason };
  } finally {
    await session.dispose();
  }
}

/** The logits and labels of some examples, a row for each view; `load` loads them. */
export type Scores = (
  indices: readonly number[],
  load: () => Promise<Batch>,
) => Promise<{ readonly logits: Float32Array; readonly labels: Float32Array }>;

/** Counts what is right in the scores of all examples. */
export async function count(
  options: Omit<EvaluateOptions, 'model' | 'weights'>,
  output: Shape,
  scoresOf: Scores,
): Promise<Evaluation> {
  const { dataset, input, prepare, normalise, views, signal } = options;
  if (dataset.size === 0) throw new RangeError('The dataset to evaluate on has no examples.');
  if (output.length !== 2)
    throw new ShapeError(`Evaluation needs logits of n x classes, but the output is [${output.join(', ')}].`);
  const classes = output[1]!;
  const perExample = views?.count ?? 1;
  const examples = Math.floor(input[0]! / perExample);
  if (examples === 0)
    throw new ShapeError(
      `A batch of ${input[0]} has no room for the ${perExample} views of one picture; give 'input' a batch of at least ${perExample}.`,
    );
  const ks = options.topK ?? [1, 5].filter((k) => k <= classes);
  const inTop = new Map(ks.map((k) => [k, 0]));
  const labels: number[] = [];
  const predictions: number[] = [];
  let loss = 0;
  const started = performance.now();
  for (let first = 0; first < dataset.size; first += examples) {
    signal?.throwIfAborted();
    const indices = Array.from({ length: Math.min(examples, dataset.size - first) }, (_, i) => first + i);
    const load = () =>
      loadBatch(dataset, indices, input, classes, (picture) => {
        // Always the same numbers: an evaluation must not depend on chance, nor on what came before.
        const prepared = prepare ? prepare(picture, random(0)) : picture;
        const all = views ? views.of(prepared) : [prepared];
        return normalise ? all.map((view) => normalised(view, normalise)) : all;
      });
    const found = await scoresOf(indices, load);
    for (const place of indices.keys()) {
      const label = found.labels[place * perExample]!;
      const scores = averaged(found.logits, place * perExample, perExample, classes);
      loss -= scores[label]!;
      labels.push(label);
      predictions.push(argmax(scores));
      for (const k of ks) if (isInTop(scores, label, k)) inTop.set(k, inTop.get(k)! + 1);
    }
  }
  const right = labels.filter((label, i) => predictions[i] === label).length;
  return {
    count: labels.length,
    loss: loss / labels.length,
    accuracy: right / labels.length,
    topK: new Map([...inTop].map(([k, found]) => [k, found / labels.length])),
    confusion: confusionMatrix(labels, predictions, classes),
    imagesPerSecond: (1000 * labels.length) / (performance.now() - started),
  };
}

/** The logarithm of the mean of the probabilities of some rows of logits. */
function averaged(logits: Float32Array, row: number, rows: number, classes: number): Float64Array {
  const logs = Array.from({ length: rows }, (_, view) =>
    logProbabilities(logits.subarray((row + view) * classes, (row + view + 1) * classes)),
  );
  if (rows === 1) return logs[0]!;
  return logs[0]!.map((_, c) => {
    const largest = Math.max(...logs.map((log) => log[c]!));
    if (largest === -Infinity) return largest;
    return largest + Math.log(logs.reduce((sum, log) => sum + Math.exp(log[c]! - largest), 0) / rows);
  });
}
