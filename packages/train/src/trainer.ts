/** The trainer: options in, an async iterable of progress out. What it promises stands here; the run itself in run.ts. */
import { initialise, type Limits, matchParameters, parameters, requireMatch, type Weights } from '@cnn/core';
import type { Dataset } from './data.js';
import type { Evaluation, EvaluationOptions } from './evaluate.js';
import { crossEntropy } from './loss.js';
import type { FitOptions, Progress, TrainerOptions } from './options.js';
import type { EpochRecord } from './position.js';
import { createRun } from './run.js';
import { constantRate } from './schedules.js';

/** A training run. */
export interface Trainer {
  /** What really runs, `'wasm'` for instance; undefined before the first step. */
  readonly backend: string | undefined;
  /** Threads of what runs; undefined before the first step. */
  readonly threads: number | undefined;
  /** Why it is not the back end that was asked for; undefined when it is. */
  readonly fallbackReason: string | undefined;
  /** Steps done. */
  readonly step: number;
  /** Epochs done. */
  readonly epoch: number;
  /** The epochs done, those before a restored checkpoint included. */
  readonly history: readonly EpochRecord[];
  /**
   * Trains until `epochs` are done, yielding after every step. Leaving the loop pauses the run: another `fit`
   * (on the same data) goes on where it stopped.
   * @throws TrainingDiverged when a loss is infinite or NaN.
   * @throws RangeError for a label that the model has no class for, for a dataset smaller than a batch or an empty
   * validation set, and for options out of range.
   */
  fit(dataset: Dataset, options: FitOptions): AsyncGenerator<Progress, void, void>;
  /** Evaluates the weights as they are now: the averaged ones where there are. */
  evaluate(dataset: Dataset, options?: EvaluationOptions): Promise<Evaluation>;
  /** The weights as they are now. */
  weights(): Promise<Weights>;
  /** Their moving average. @throws Error without the option `ema`. */
  averagedWeights(): Promise<Weights>;
  /** The weights of the epoch that early stopping found best. @throws Error when there is none yet. */
  bestWeights(): Promise<Weights>;
  /** The whole state as bytes: weights, optimizer state, place, seed, history. */
  checkpoint(): Promise<Uint8Array>;
  /** Writes the state to a file in a way that a crash leaves the old file or the new one. Node only. */
  save(path: string): Promise<void>;
  /**
   * Takes on the state of a checkpoint; the run then gives the same numbers, bit for bit, as if it had never
   * stopped (on the same machine and back end, whatever the number of threads). The seed is the checkpoint's.
   * @param options - `limits` on the file, as for `readWeights`; the defaults take up to 2 GiB.
   * @throws FileFormatError when it is not a checkpoint, or over a limit.
   * @throws WeightsMismatch when it belongs to another model.
   * @throws Error when it belongs to another optimizer.
   */
  restore(checkpoint: string | Uint8Array, options?: { readonly limits?: Partial<Limits> }): Promise<void>;
  /** Gives back what the run holds. It may be called again. */
  dispose(): Promise<void>;
  /** The same, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * A training run of a model.
 * @throws WeightsMismatch when the weights do not fit the model, naming every key.
 * @throws RangeError for options out of range and path prefixes that name nothing.
 * @throws ShapeError when the input does not fit the model.
 * @example
 * const run = trainer({ model, optimizer: adam(), input: [64, 1, 28, 28], seed: 1 });
 * for await (const { epoch, step, loss, accuracy } of run.fit(dataset, { epochs: 3 })) console.log(step, loss);
 */
export function trainer(options: TrainerOptions): Trainer {
  const { model, seed = 0, weights = initialise(model, { seed }) } = options;
  requireMatch('the model', matchParameters(parameters(model), weights));
  if (options.cacheFeatures && options.augment)
    throw new RangeError(
      "'cacheFeatures' keeps what the frozen layers make of a picture, which 'augment' changes each time; leave one of the two out.",
    );
  return createRun({
    ...options,
    weights,
    seed,
    loss: options.loss ?? crossEntropy(),
    schedule: options.schedule ?? constantRate(),
  });
}
