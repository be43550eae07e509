/** Early stopping as a pure function from its state and an evaluation to the next state and a verdict. */
import type { Evaluation } from './evaluate.js';

/** Options of early stopping. */
export interface EarlyStoppingOptions {
  /** Epochs without a better value after which training ends. */
  readonly patience: number;
  /** Value of the validation set to watch. Default `'loss'`. */
  readonly monitor?: 'loss' | 'accuracy';
  /** Least difference that counts as better. Default 0. */
  readonly minDelta?: number;
}

/** State: the best value, its kind, and the epochs since. */
export interface Best {
  readonly monitor: 'loss' | 'accuracy';
  readonly value: number;
  readonly waited: number;
}

/** Consequences of an evaluation. */
export interface Verdict {
  readonly best: Best | undefined;
  /** True if the evaluated weights are the best so far. */
  readonly improved: boolean;
  /** True if training ends here. */
  readonly stopped: boolean;
}

/** Compares the evaluation of an epoch with the best so far. A first value that is not finite is ignored. */
export function watch(
  { monitor = 'loss', minDelta = 0, patience }: EarlyStoppingOptions,
  best: Best | undefined,
  evaluation: Pick<Evaluation, 'loss' | 'accuracy'>,
): Verdict {
  const value = evaluation[monitor];
  const gain = best && (monitor === 'loss' ? best.value - value : value - best.value);
  if (gain === undefined ? Number.isFinite(value) : gain > minDelta)
    return { best: { monitor, value, waited: 0 }, improved: true, stopped: false };
  if (!best) return { best, improved: false, stopped: false };
  const waited = best.waited + 1;
  return { best: { ...best, waited }, improved: false, stopped: waited >= patience };
}
