/**
 * Ends an epoch, as a pure function from the position and the evaluation to the next position and a verdict.
 */
import { type EarlyStoppingOptions, watch } from './earlyStopping.js';
import type { Evaluation } from './evaluate.js';
import { meansOf, type Position } from './position.js';
import type { Schedule } from './schedules.js';

/** Consequences of the end of an epoch. */
export interface EpochEnd {
  /** Position at the start of the next epoch. */
  readonly position: Position;
  /** True if early stopping finds the weights of this epoch the best so far. */
  readonly improved: boolean;
  /** True if early stopping ends the run here. */
  readonly stopped: boolean;
}

/**
 * Ends an epoch: records it, and updates the states of schedule and early stopping.
 * @param validation - result on the validation set; undefined without one.
 */
export function endEpoch(
  position: Position,
  validation: Pick<Evaluation, 'loss' | 'accuracy'> | undefined,
  schedule: Schedule,
  earlyStopping?: EarlyStoppingOptions,
): EpochEnd {
  const means = meansOf(position);
  const verdict = earlyStopping && validation && watch(earlyStopping, position.best, validation);
  const record = {
    ...means,
    validation: validation && { loss: validation.loss, accuracy: validation.accuracy },
  };
  return {
    position: {
      ...position,
      epoch: means.epoch,
      within: 0,
      lossSum: 0,
      right: 0,
      memory: schedule.observe?.(position.memory, validation?.loss ?? means.loss) ?? position.memory,
      best: verdict ? verdict.best : position.best,
      history: [...position.history, record],
    },
    improved: verdict?.improved ?? false,
    stopped: verdict?.stopped ?? false,
  };
}
