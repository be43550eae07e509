/** Options of a trainer and of its `fit`, and the progress that `fit` reports. */
import type { Module, Shape, Weights } from '@cnn/core';
import type { Augmentation, Dataset } from './data.js';
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

/** {@link TrainerOptions} with the defaults of `weights`, `seed`, `loss` and `schedule` filled in. */
export type RunOptions = TrainerOptions &
  Required<Pick<TrainerOptions, 'weights' | 'seed' | 'loss' | 'schedule'>>;

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

function requireCount(what: string, value: number, least: number): void {
  if (!Number.isInteger(value) || value < least)
    throw new RangeError(`${what} is ${value}; give a whole number from ${least} up.`);
}

/** Checks that the data goes with the options and with the place in the run. Gives the steps of an epoch. */
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
  if (size < batch)
    throw new RangeError(
      `The dataset has ${size} examples, fewer than a batch of ${batch}; give 'input' a smaller batch.`,
    );
  if (earlyStopping && !validation)
    throw new RangeError("'earlyStopping' watches the validation set; give 'validation' too.");
  if (position.within > 0 && (position.size !== size || position.batch !== batch))
    throw new RangeError(
      `The run stopped within an epoch over ${position.size} examples in batches of ${position.batch}, but now there are ${size} in batches of ${batch}; go on with the same data and batch.`,
    );
  return Math.floor(size / batch);
}
