/** Parts of a run's state by name prefix: the model's weights, their average, and the best weights. */
import type { Weights } from '@cnn/core';
import { stripped } from './paths.js';
import { AVERAGE } from './step.js';

/** Name prefix of the best weights in a checkpoint. */
const BEST = 'best.';

/** Gives the model's weights from a state. */
export const ownOf = (state: Weights, names: Iterable<string>): Weights =>
  new Map([...names].map((name) => [name, state.get(name)!]));

/** Gives the averaged weights. Frozen weights have no average and are given as they are. */
export const averagedOf = (state: Weights, names: Iterable<string>): Weights =>
  new Map([...ownOf(state, names), ...stripped(state, AVERAGE)]);

/** Gives the weights to evaluate from a state: the average if it has one. */
export const evaluatedOf = (state: Weights, names: Iterable<string>, ema: number | undefined): Weights =>
  ema === undefined ? ownOf(state, names) : averagedOf(state, names);

/** Adds the best weights to a state, for a checkpoint. */
export const withBest = (state: Weights, best: Weights | undefined): Weights =>
  new Map([...state, ...Array.from(best ?? [], ([name, value]) => [BEST + name, value] as const)]);

/** Separates the best weights from the state in a checkpoint. */
export function withoutBest(all: Weights): { readonly state: Weights; readonly best: Weights | undefined } {
  const best = stripped(all, BEST);
  return {
    state: new Map([...all].filter(([name]) => !name.startsWith(BEST))),
    best: best.size > 0 ? best : undefined,
  };
}
