/** The parts of a run's state: the model's own weights, their average, and the best ones, told apart by their names. */
import type { Weights } from '@cnn/core';
import { stripped } from './paths.js';
import { AVERAGE } from './step.js';

/** What the names of the best weights start with in a checkpoint. */
const BEST = 'best.';

/** The model's own weights among a state. */
export const ownOf = (state: Weights, names: Iterable<string>): Weights =>
  new Map([...names].map((name) => [name, state.get(name)!]));

/** The averaged weights; what is not averaged, since nothing trains it, as it is. */
export const averagedOf = (state: Weights, names: Iterable<string>): Weights =>
  new Map([...ownOf(state, names), ...stripped(state, AVERAGE)]);

/** A state with the best weights beside it, for a checkpoint. */
export const withBest = (state: Weights, best: Weights | undefined): Weights =>
  new Map([...state, ...Array.from(best ?? [], ([name, value]) => [BEST + name, value] as const)]);

/** The two parts of such a state. */
export function withoutBest(all: Weights): { readonly state: Weights; readonly best: Weights | undefined } {
  const best = stripped(all, BEST);
  return {
    state: new Map([...all].filter(([name]) => !name.startsWith(BEST))),
    best: best.size > 0 ? best : undefined,
  };
}
