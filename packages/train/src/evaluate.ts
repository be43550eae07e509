/** Evaluates a model on a dataset: every example once, without augmentation. */
import {
  type Backend,
  type BackendName,
  compile,
  type Module,
  type Shape,
  ShapeError,
  type Tensor,
  type Weights,
} from '@cnn/core';
import { checkSignal, logProbabilities, random } from '@cnn/core/graph';
import {
  type Augmentation,
  type Batch,
  type Dataset,
  loadBatch,
  type Normalisation,
  normalised,
} from './data.js';
import { argmax, type ConfusionMatrix, confusionMatrix, isInTop } from './metrics.js';

/** Test-time augmentation: views of a picture, such as ten crops, whose probabilities are averaged. */
export interface Views {
  readonly count: number;
  /** Gives the `count` views of a picture. */
  of(picture: Tensor): readonly Tensor[];
}

/** Preparation of pictures for evaluation. */
export interface PreparationOptions {
  /** Deterministic crop and resize. Default: none; pictures have the model's shape. */
  readonly prepare?: Augmentation;
  /** Mean and deviation, applied last. Default: none. */
  readonly normalise?: Normalisation;
  /** Views of each prepared picture. Default: the picture itself. */
  readonly views?: Views;
}

/** Metrics of an evaluation, and its signal. */
export interface EvaluationOptions {
  /** Values of k of the top-k accuracies. Default [1, 5], without 5 for fewer than 5 classes. */
  readonly topK?: readonly number[];
  readonly signal?: AbortSignal;
}

/** Options of {@link evaluate}. */
export interface EvaluateOptions extends PreparationOptions, EvaluationOptions {
  readonly model: Module;
  readonly weights: Weights;
  /** Shape of a batch, batch first; each view counts as one picture. */
  readonly input: Shape;
  readonly dataset: Dataset;
  /** Default `'auto'`. */
  readonly backend?: BackendName | Backend;
  readonly threads?: number;
}

/** Result of an evaluation. */
export interface Evaluation {
  readonly count: number;
  /** Mean cross entropy, without label smoothing and class weights. */
  readonly loss: number;
  /** Fraction of examples whose highest score is their label's. */
  readonly accuracy: number;
  /** Fraction of examples whose label is among the k highest scores, by k. */
  readonly topK: ReadonlyMap<number, number>;
  /** Counts by true class (row) and predicted class (column). */
  readonly confusion: ConfusionMatrix;
  readonly imagesPerSecond: number;
}

/** Result of {@link evaluate}, with the back end that computed it. */
export interface EvaluationRun extends Evaluation {
  /** Back end that ran, such as `wasm` or `gpu:webgpu`. */
  readonly backend: string;
  readonly threads: number;
  /** Reason for another back end or fewer threads than requested; undefined without a fallback. */
  readonly fallbackReason: string | undefined;
}

/**
 * Evaluates a model on every example of a dataset.
 * @throws RangeError for a label without a class in the model, naming the example.
 * @throws WeightsMismatch, ShapeError, BackendUnavailable as `compile` does.
 * @example
 * const { accuracy, confusion } = await evaluate({ model, weights, input: [100, 1, 32, 32], dataset });
 */
export async function evaluate(options: EvaluateOptions): Promise<EvaluationRun> {
  const { model, weights, input, backend, threads, signal } = options;
  const session = await compile(model, { weights, input, backend, threads, signal });
  try {
    const { backend: ran, fallbackReason } = session;
    const found = await evaluateScores(options, session.output, async (_, load) => {
      const { x, labels } = await load();
      const logits = await session.run(x, { signal });
      return { logits: logits.data, labels: labels.data };
    });
    return { ...found, backend: ran, threads: session.threads, fallbackReason };
  } finally {
    await session.dispose();
  }
}

/** Computes the logits and labels of some examples, one row per view; `load` loads the examples. */
export type Scores = (
  indices: readonly number[],
  load: () => Promise<Batch>,
) => Promise<{ readonly logits: Float32Array; readonly labels: Float32Array }>;

/** Evaluates the scores of all examples. */
export async function evaluateScores(
  options: Omit<EvaluateOptions, 'model' | 'weights'>,
  output: Shape,
  scoresOf: Scores,
): Promise<Evaluation> {
  const { dataset, input, prepare, normalise, views, signal } = options;
  checkSignal(signal);
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
      loadBatch(
        dataset,
        indices,
        input,
        classes,
        (picture) => {
          // A fixed seed for each picture: an evaluation gives the same result every time.
          const prepared = prepare ? prepare(picture, random(0)) : picture;
          const all = views ? views.of(prepared) : [prepared];
          return normalise ? all.map((view) => normalised(view, normalise)) : all;
        },
        signal,
      );
    const found = await scoresOf(indices, load);
    for (const place of indices.keys()) {
      const label = found.labels[place * perExample]!;
      const scores = meanLogProbabilities(found.logits, place * perExample, perExample, classes);
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

/** Gives the logarithm of the mean probabilities of `rows` rows of logits, from `row` on. */
function meanLogProbabilities(
  logits: Float32Array,
  row: number,
  rows: number,
  classes: number,
): Float64Array {
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
