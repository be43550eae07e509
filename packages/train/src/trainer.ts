/** The trainer: options in, an async iterable of progress out. What it promises stands here; the run itself in run.ts. */
import {
  initialise,
  type Limits,
  type Module,
  matchParameters,
  parameters,
  requireMatch,
  type Shape,
  type Weights,
} from '@cnn/core';
import type { Augmentation, Dataset } from './data.js';
import type { EarlyStoppingOptions } from './earlyStopping.js';
import type { Evaluation, EvaluationOptions, PreparationOptions } from './evaluate.js';
import { crossEntropy, type Loss } from './loss.js';
import type { Optimizer } from './optimizers.js';
import type { PlaceOptions } from './program.js';
import { createRun } from './run.js';
import { constantRate, type Schedule } from './schedules.js';
import type { ParameterGroup } from './step.js';

/** Options of {@link trainer}. */
export interface TrainerOptions extends PlaceOptions, PreparationOptions {
  readonly model: Module;
  /** Weights to start from, exactly the model's. Default: fresh ones, drawn from the seed. */
  readonly weights?: Weights;
  /** Default {@link crossEntropy}. */
  readonly loss?: Loss;
  readonly optimizer: Optimizer;
  /** Batch first: `[64, 1, 32, 32]`. A last batch of an epoch that is not full is left out. */
  readonly input: Shape;
  /** Decides weights, order, augmentation and dropout. Default 0. */
  readonly seed?: number;
  /** Default: the optimizer's learning rate throughout. */
  readonly schedule?: Schedule;
  /** Largest norm of all gradients together. Default: no bound. */
  readonly clip?: number;
  /** Path prefixes of layers that stay as they are, `['conv1', 'layer1']`; they cost no backward pass. Default: none. */
  readonly freeze?: readonly string[];
  /** Parts with learning rates of their own. Default: one rate for all. */
  readonly groups?: readonly ParameterGroup[];
  /** Share that a moving average of the weights keeps at each step, 0.999 for instance. Default: no average. */
  readonly ema?: number;
  /** Weight of the loss of auxiliary heads (GoogLeNet's). Default 0.3. */
  readonly auxiliaryWeight?: number;
  /** Applied to training pictures in the place of `prepare`. Default: `prepare`. */
  readonly augment?: Augmentation;
  /**
   * Computes frozen layers at the start once for each picture and keeps their outputs, for training and for the last
   * dataset that was evaluated on (not with `views`). Not with `augment`. Default false.
   */
  readonly cacheFeatures?: boolean;
}

/** Where and when a run is saved. */
export interface CheckpointOptions {
  /** The file, replaced each time. Node only. */
  readonly path: string;
  /** Steps between two checkpoints within an epoch; one is written after each epoch anyway. Default: none within. */
  readonly everySteps?: number;
}

/** Options of {@link Trainer.fit}. */
export interface FitOptions {
  /** Epochs of the whole run; those of a restored checkpoint count. */
  readonly epochs: number;
  /** Evaluated after each epoch, with averaged weights where there are. */
  readonly validation?: Dataset;
  readonly earlyStopping?: EarlyStoppingOptions;
  readonly checkpoint?: CheckpointOptions;
  /** Ends training between two steps or within one; the trainer stays as after the last whole step. */
  readonly signal?: AbortSignal;
}

/** What is told after every step. */
export interface Progress {
  /** The epoch, from 1. */
  readonly epoch: number;
  /** Steps done in all. */
  readonly step: number;
  /** Steps of the whole run. */
  readonly totalSteps: number;
  /** Mean loss of the epoch so far. */
  readonly loss: number;
  /** Share of right answers in the epoch so far, as the model was when it saw them. */
  readonly accuracy: number;
  /** Loss of this step's batch alone. */
  readonly batchLoss: number;
  /** The rate of this step. */
  readonly learningRate: number;
  /** Training pictures per second since this `fit` began, evaluation and the caller's own time not counted. */
  readonly imagesPerSecond: number;
  /** Whether this step was the last of its epoch. */
  readonly epochDone: boolean;
  /** After the last step of an epoch, if there is a validation set. */
  readonly validation: Evaluation | undefined;
  /** Whether early stopping ends the run here. */
  readonly stopped: boolean;
}

/** What is remembered of an epoch. */
export interface EpochRecord {
  /** From 1. */
  readonly epoch: number;
  /** Mean loss of its steps. */
  readonly loss: number;
  /** Share of right answers, as the model was when it saw the examples. */
  readonly accuracy: number;
  /** The rate of its last step. */
  readonly learningRate: number;
  /** What the evaluation at its end gave; undefined without a validation set. */
  readonly validation?: { readonly loss: number; readonly accuracy: number } | undefined;
}

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
