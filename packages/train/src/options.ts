/** Options of a trainer and of its `fit`, their checks, and the progress that `fit` reports. */
import type { Module, Shape, Weights } from '@cnn/core';
import type { Limits } from '@cnn/core/io';
import { type Augmentation, type Dataset, MAX_EXAMPLES } from './data.js';
import type { EarlyStoppingOptions } from './earlyStopping.js';
import type { Evaluation, PreparationOptions } from './evaluate.js';
import type { Loss } from './loss.js';
import type { Optimizer } from './optimizers.js';
import type { Position } from './position.js';
import type { PlaceOptions } from './program.js';
import type { Schedule } from './schedules.js';
import type { ParameterGroup } from './step.js';

/** Options of {@link trainer}. */
export interface TrainerOptions extends PlaceOptions, PreparationOptions {
  readonly model: Module;
  /** Initial weights, with exactly the model's names and shapes. Default: `initialise(model, { seed })`. */
  readonly weights?: Weights;
  /** Default {@link crossEntropy}. */
  readonly loss?: Loss;
  readonly optimizer: Optimizer;
  /** Shape of a batch, batch first: `[64, 1, 32, 32]`. An epoch drops its last batch if that is not full. */
  readonly input: Shape;
  /** Seeds the initial weights, the order of examples, augmentation and dropout. Default 0. */
  readonly seed?: number;
  /** Default: {@link constantRate}. */
  readonly schedule?: Schedule;
  /** Largest norm of all gradients together, as PyTorch's `clip_grad_norm_`. Default: no bound. */
  readonly clip?: number;
  /** Path prefixes of layers that are not trained, without backward pass: `['conv1']`. Default: none. */
  readonly freeze?: readonly string[];
  /** Parameters with other learning rates than the optimizer's. Default: one rate for all. */
  readonly groups?: readonly ParameterGroup[];
  /**
   * Decay of an exponential moving average of the weights, for example 0.999. The average starts at the initial
   * weights, which weigh 0.999^n after n steps: give `emaWarmUp` for runs of less than some 5,000 steps.
   * Default: no average.
   */
  readonly ema?: number;
  /**
   * Begins the average with a smaller decay, min(ema, (1 + n) / (10 + n)) after n steps, so that it follows the
   * weights in short runs too. Default false, as in PyTorch's `AveragedModel`.
   */
  readonly emaWarmUp?: boolean;
  /** Weight of the loss of each auxiliary head (GoogLeNet). Default 0.3. */
  readonly auxiliaryWeight?: number;
  /** Applied to training pictures instead of `prepare`. Default: `prepare`. */
  readonly augment?: Augmentation;
  /**
   * Computes the frozen layers at the start of the model once per picture and caches their outputs: those of
   * the training set, and those of the last evaluated dataset unless `views` is set. Excludes `augment`.
   * Default false.
   */
  readonly cacheFeatures?: boolean;
  /**
   * Text that tells this run from others, such as its data and settings. Checkpoints store it, and `restore`
   * gives it to `check`. Default: none.
   */
  readonly description?: string;
}

/** {@link TrainerOptions} with the defaults of `weights`, `seed`, `loss` and `schedule` filled in. */
export type RunOptions = TrainerOptions &
  Required<Pick<TrainerOptions, 'weights' | 'seed' | 'loss' | 'schedule'>>;

/** File and interval of the checkpoints of a run. */
export interface CheckpointOptions {
  /** File that each checkpoint replaces. Node only. */
  readonly path: string;
  /** Steps between two checkpoints, besides those after each epoch. Default: none within an epoch. */
  readonly everySteps?: number;
}

/** Options of {@link Trainer.fit}. */
export interface FitOptions {
  /** Epochs of the whole run, including those before a restored checkpoint. */
  readonly epochs: number;
  /** Evaluated after each epoch, with the averaged weights if `ema` is set. */
  readonly validation?: Dataset;
  readonly earlyStopping?: EarlyStoppingOptions;
  readonly checkpoint?: CheckpointOptions;
  /** Aborts training, even within a step; the trainer then has the state of the last whole step. */
  readonly signal?: AbortSignal;
}

/** Options of {@link Trainer.restore}. */
export interface RestoreOptions {
  /** Limits on the file, as for `readWeights`; the default is 2 GiB. */
  readonly limits?: Partial<Limits>;
  /**
   * Called before anything changes; throws if the checkpoint is of another run. Default: none.
   * @param description - that of the trainer that wrote the checkpoint; undefined if it had none.
   */
  readonly check?: (description: string | undefined) => void;
}

/** Progress of a run, reported after every step. */
export interface Progress {
  /** Current epoch, from 1. */
  readonly epoch: number;
  /** Steps done since the start of the run. */
  readonly step: number;
  /** Steps of the whole run. */
  readonly totalSteps: number;
  /** Mean loss of the epoch so far. */
  readonly loss: number;
  /** Accuracy in the epoch so far, from 0 to 1; each batch counts with the weights it was trained with. */
  readonly accuracy: number;
  /** Loss of this step's batch. */
  readonly batchLoss: number;
  /** Learning rate of this step. */
  readonly learningRate: number;
  /** Training pictures per second since this `fit` began; only the time of steps counts. */
  readonly imagesPerSecond: number;
  /** True if this step was the last of its epoch. */
  readonly epochDone: boolean;
  /** Result on the validation set, after the last step of an epoch. */
  readonly validation: Evaluation | undefined;
  /** True if early stopping ends the run here. */
  readonly stopped: boolean;
}

function requireCount(what: string, value: number, least: number): void {
  if (!Number.isInteger(value) || value < least)
    throw new RangeError(`${what} is ${value}; give a whole number from ${least} up.`);
}

/**
 * Checks the data against the options and the position of the run.
 * @returns the steps of an epoch.
 */
export function requireFitting(
  { size }: Dataset,
  { epochs, validation, earlyStopping, checkpoint }: FitOptions,
  batch: number,
  position: Position,
): number {
  requireCount("'epochs'", epochs, 0);
  requireCount("'size' of the dataset", size, 0);
  if (validation) requireCount("'size' of the validation set", validation.size, 1);
  if (earlyStopping) requireCount("'patience' of earlyStopping", earlyStopping.patience, 0);
  if (checkpoint?.everySteps !== undefined)
    requireCount("'everySteps' of checkpoint", checkpoint.everySteps, 1);
  if (size > MAX_EXAMPLES)
    throw new RangeError(
      `'size' of the dataset is ${size.toLocaleString('en-US')}; a run shuffles at most ${MAX_EXAMPLES.toLocaleString('en-US')} examples. Give it a part of them.`,
    );
  if (size < batch)
    throw new RangeError(
      `The dataset has ${size} examples, fewer than a batch of ${batch}; give 'input' a smaller batch.`,
    );
  if (earlyStopping && !validation)
    throw new RangeError("'earlyStopping' watches the validation set; give 'validation' too.");
  const { monitor = 'loss' } = earlyStopping ?? {};
  if (earlyStopping && position.best && position.best.monitor !== monitor)
    throw new RangeError(
      `Early stopping of this run has watched the ${position.best.monitor}, and cannot compare its best value with the ${monitor}; continue with monitor: '${position.best.monitor}'.`,
    );
  const stepsPerEpoch = Math.floor(size / batch);
  if (position.within > 0 && (position.size !== size || position.batch !== batch))
    throw new RangeError(
      `The run was stopped within an epoch over ${position.size} examples in batches of ${position.batch}, but this dataset has ${size} examples in batches of ${batch}; continue with the same data and batch.`,
    );
  // Schedules compute their position from the steps done and the steps of an epoch: with others it would jump.
  if (
    position.step > 0 &&
    (position.batch !== batch || Math.floor(position.size / position.batch) !== stepsPerEpoch)
  )
    throw new RangeError(
      `The run has trained for ${position.step} steps on ${position.size} examples in batches of ${position.batch}, but this dataset has ${size} examples in batches of ${batch}; continue with the same data and batch, or make a new trainer with the weights of this one.`,
    );
  return stepsPerEpoch;
}
