/** Early stopping as a pure function: what is remembered, an evaluation, and what follows from both. */
import type { Evaluation } from './evaluate.js';

/** When training ends before its epochs are over. */
export interface EarlyStoppingOptions {
  /** Epochs without a better value that are put up with. */
  readonly patience: number;
  /** Default the validation loss; `'accuracy'` watches for a higher one. */
  readonly monitor?: 'loss' | 'accuracy';
  /** By how much a value must be better to count. Default 0. */
  readonly minDelta?: number;
}

/** The best value that was seen, and the epochs since. */
export interface Best {
  readonly value: number;
  readonly waited: number;
}

/** What an evaluation means for the run. */
export interface Verdict {
  readonly best: Best | undefined;
  /** Whether these are the best weights so far. */
  readonly improved: boolean;
  /** Whether patience has run out. */
  readonly stopped: boolean;
}

/** Looks at the evaluation of an epoch. A first value that is not finite counts as none. */
export function watch(
  { monitor = 'loss', minDelta = 0, patience }: EarlyStoppingOptions,
  best: Best | undefined,
  evaluation: Pick<Evaluation, 'loss' | 'accuracy'>,
): Verdict {
  const value = evaluation[monitor];
  const gain = best && (monitor === 'loss' ? best.value - value : value - best.value);
  if (gain === undefined ? Number.isFinite(value) : gain > minDelta)
    return { best: { value, waited: 0 }, improved: true, stopped: false };
  if (!best) return { best, improved: false, stopped: false };
  const waited = best.waited + 1;
  return { best: { ...best, waited }, improved: false, stopped: waited >= patience };
}
