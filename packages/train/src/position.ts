/** State of a run without its tensors, as a checkpoint stores it, and how a step changes it. */
import type { Best } from './earlyStopping.js';

/** Result of an epoch. */
export interface EpochRecord {
  /** Number of the epoch, from 1. */
  readonly epoch: number;
  /** Mean loss of its steps. */
  readonly loss: number;
  /** Accuracy in training, from 0 to 1; each batch counts with the weights it was trained with. */
  readonly accuracy: number;
  /** Learning rate of its last step. */
  readonly learningRate: number;
  /** Result on the validation set after the epoch; undefined without one. */
  readonly validation?: { readonly loss: number; readonly accuracy: number } | undefined;
}

/** Position of a run: together with the tensors, everything needed to continue with the same bits. */
export interface Position {
  /** Seed of the run; with `epoch` and `step` it determines every random number. */
  readonly seed: number;
  /** Steps done since the start of the run. */
  readonly step: number;
  /** Epochs done. */
  readonly epoch: number;
  /** Steps done in the current epoch; the epoch's full count if only its evaluation is left. */
  readonly within: number;
  /** Examples in the dataset of the last step; 0 before the first step. */
  readonly size: number;
  /** Examples in a step. */
  readonly batch: number;
  /** Sum of the losses of the current epoch's steps. */
  readonly lossSum: number;
  /** Right answers in the current epoch. */
  readonly right: number;
  /** Loss and learning rate of the last step. */
  readonly lastLoss: number;
  readonly lastRate: number;
  /** Results of the epochs done. */
  readonly history: readonly EpochRecord[];
  /** State of the schedule. */
  readonly memory: readonly number[];
  /** State of early stopping; undefined without it, and before the first finite value. */
  readonly best: Best | undefined;
}

/** Gives the position of a run before its first step. */
export const startOf = (seed: number, batch: number, memory: readonly number[] = []): Position => ({
  seed,
  step: 0,
  epoch: 0,
  within: 0,
  size: 0,
  batch,
  lossSum: 0,
  right: 0,
  lastLoss: 0,
  lastRate: 0,
  history: [],
  memory,
  best: undefined,
});

/** Result of a step. */
export interface StepResult {
  /** Examples in the dataset of the step. */
  readonly size: number;
  /** Examples in the step. */
  readonly batch: number;
  readonly loss: number;
  readonly rate: number;
  /** Right answers in the batch. */
  readonly right: number;
}

/** Gives the position after a step. */
export const afterStep = (position: Position, { size, batch, loss, rate, right }: StepResult): Position => ({
  ...position,
  size,
  batch,
  lastLoss: loss,
  lastRate: rate,
  step: position.step + 1,
  within: position.within + 1,
  lossSum: position.lossSum + loss,
  right: position.right + right,
});

/** Means of the epoch so far. */
export type Means = Pick<EpochRecord, 'epoch' | 'loss' | 'accuracy' | 'learningRate'>;

/** Gives the means of the current epoch; NaN before its first step. */
export const meansOf = ({ epoch, within, batch, lossSum, right, lastRate }: Position): Means => ({
  epoch: epoch + 1,
  loss: lossSum / within,
  accuracy: right / (within * batch),
  learningRate: lastRate,
});
