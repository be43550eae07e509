/** State of a run beside its tensors, as a checkpoint stores it. */
import type { Best } from './earlyStopping.js';

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

/** Where a run stands: everything beside tensors that it needs to go on exactly there. */
export interface Position {
  /** From which every random number of the run follows, together with the place. */
  readonly seed: number;
  /** Steps done in all. */
  readonly step: number;
  /** Epochs done. */
  readonly epoch: number;
  /** Steps done in the present epoch; all of them where only its evaluation is left. */
  readonly within: number;
  /** Size of the dataset that the present epoch was shuffled from. */
  readonly size: number;
  /** Examples in each of its steps. */
  readonly batch: number;
  /** Sum of the losses of the present epoch's steps. */
  readonly lossSum: number;
  /** Right answers of the present epoch. */
  readonly right: number;
  /** Loss and learning rate of the last step. */
  readonly lastLoss: number;
  readonly lastRate: number;
  /** The epochs done. */
  readonly history: readonly EpochRecord[];
  /** What the schedule remembers. */
  readonly memory: readonly number[];
  /** Best value that early stopping has seen, and the epochs since. */
  readonly best: Best | undefined;
}
