/** State of a run without its tensors, as a checkpoint stores it. */
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
