/** The public face of a training run: its interface, and the function that makes one from a run (run.ts). */
import { initialise, parameters, type Weights } from '@cnn/core';
import { matchParameters, requireMatch } from '@cnn/core/graph';
import type { Dataset } from './data.js';
import type { Evaluation, EvaluationOptions } from './evaluate.js';
import { crossEntropy } from './loss.js';
import type { FitOptions, Progress, RestoreOptions, TrainerOptions } from './options.js';
import type { EpochRecord } from './position.js';
import { checkpointOf, createRun, dispose, evaluateRun, fit, type Run, restore, save } from './run.js';
import { constantRate } from './schedules.js';
import { averagedOf, ownOf } from './state.js';

/** Training run of a model. */
export interface Trainer {
  /** Back end in use, for example `'wasm'`; undefined before the first step. */
  readonly backend: string | undefined;
  /** Threads in use; undefined before the first step. */
  readonly threads: number | undefined;
  /** Reason for another back end than requested; undefined without a fallback. */
  readonly fallbackReason: string | undefined;
  /** Steps done. */
  readonly step: number;
  /** Epochs done. */
  readonly epoch: number;
  /** Results of the epochs done, including those before a restored checkpoint. */
  readonly history: readonly EpochRecord[];
  /**
   * Trains until `epochs` are done and yields after every step. Leaving the loop pauses the run; another
   * `fit` on the same data continues it.
   * @throws TrainingDiverged if a loss is infinite or NaN, or a trained parameter when a checkpoint is due; the
   * file keeps the last good state.
   * @throws RangeError for a label without a class in the model, a dataset smaller than a batch, an empty
   * validation set, options out of range, and other data, batch or `monitor` than the run began with.
   */
  fit(dataset: Dataset, options: FitOptions): AsyncGenerator<Progress, void, void>;
  /** Evaluates the current weights, or their average if `ema` is set. */
  evaluate(dataset: Dataset, options?: EvaluationOptions): Promise<Evaluation>;
  /** Gives the current weights. */
  weights(): Promise<Weights>;
  /** Gives the moving average of the weights. @throws Error without the option `ema`. */
  averagedWeights(): Promise<Weights>;
  /**
   * Gives the weights of the epoch that early stopping found best.
   * @throws Error before the first such epoch.
   */
  bestWeights(): Promise<Weights>;
  /**
   * Gives the whole state as bytes: weights, optimizer state, position, seed, history.
   * @throws Error after a step that diverged, TrainingDiverged if a trained parameter is infinite or NaN.
   */
  checkpoint(): Promise<Uint8Array>;
  /**
   * Writes the state to a file. A crash leaves the old file or the new one. Node only.
   * @throws as `checkpoint` does; the file then stays as it was.
   */
  save(path: string): Promise<void>;
  /**
   * Replaces the state, the seed included, by that of a checkpoint. The run then gives the same numbers, bit
   * for bit, as one that never stopped, on the same machine and back end and with any number of threads.
   * @param checkpoint - path of a file (Node only), or the bytes.
   * @throws FileFormatError if it is not a checkpoint, or exceeds a limit.
   * @throws WeightsMismatch if it belongs to another model.
   * @throws Error if it belongs to another optimizer or schedule.
   */
  restore(checkpoint: string | Uint8Array, options?: RestoreOptions): Promise<void>;
  /** Frees the program and the cached features. A second call does nothing. */
  dispose(): Promise<void>;
  /** Calls `dispose`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Makes a training run of a model. Nothing is compiled before the first step.
 * @throws WeightsMismatch if the weights do not fit the model, naming keys.
 * @throws RangeError for options out of range and path prefixes that match no parameter.
 * @throws ShapeError if the input does not fit the model.
 * @example
 * const run = trainer({ model, optimizer: adam(), input: [64, 1, 28, 28], seed: 1 });
 * for await (const { epoch, step, loss, accuracy } of run.fit(dataset, { epochs: 3 })) console.log(step, loss);
 */
export function trainer(options: TrainerOptions): Trainer {
  const { model, seed = 0, optimizer, loss = crossEntropy() } = options;
  if (typeof optimizer?.update !== 'function')
    throw new TypeError(`'optimizer' is ${String(optimizer)}; give one such as sgd({ learningRate: 0.1 }).`);
  if (typeof loss !== 'function')
    throw new TypeError(`'loss' is ${String(loss)}; give a function such as crossEntropy() makes.`);
  // Hashing the seed takes its lower 32 bits: NaN would be 0, and 1.5 be 1.
  if (!Number.isSafeInteger(seed)) throw new RangeError(`'seed' is ${String(seed)}; give a whole number.`);
  const { weights = initialise(model, { seed }) } = options;
  requireMatch('the model', matchParameters(parameters(model), weights));
  if (options.cacheFeatures && options.augment)
    throw new RangeError(
      "'cacheFeatures' computes the frozen layers once per picture, but 'augment' changes the pictures in every epoch; leave one of the two out.",
    );
  return trainerOf(
    createRun({
      ...options,
      weights,
      seed,
      loss,
      schedule: options.schedule ?? constantRate(),
    }),
  );
}

/** Gives the trainer of a run. */
function trainerOf(run: Run): Trainer {
  const { state, names, options } = run;
  return {
    get backend() {
      return state.tensors.selected?.program.backend;
    },
    get threads() {
      return state.tensors.selected?.program.threads;
    },
    get fallbackReason() {
      return state.tensors.selected?.fallbackReason;
    },
    get step() {
      return state.position.step;
    },
    get epoch() {
      return state.position.epoch;
    },
    get history() {
      return state.position.history;
    },
    fit: (dataset, fitOptions) => fit(run, dataset, fitOptions),
    evaluate: (dataset, what) => evaluateRun(run, dataset, what),
    weights: async () => ownOf(await state.tensors.current(), names),
    async averagedWeights() {
      if (options.ema === undefined)
        throw new Error("There is no average of the weights; give trainer the option 'ema'.");
      return averagedOf(await state.tensors.current(), names);
    },
    async bestWeights() {
      if (!state.best)
        throw new Error(
          "There are no best weights yet; fit keeps them from its first epoch on if 'earlyStopping' is given.",
        );
      return state.best;
    },
    checkpoint: () => checkpointOf(run),
    save: (path) => save(run, path),
    restore: (source, what) => restore(run, source, what),
    dispose: () => dispose(run),
    [Symbol.asyncDispose]: () => dispose(run),
  };
}
