/** Types of samples: small cases of an op on which every back end is compared with the reference. */
import type { Shape } from '@cnn/core';
import type { AttrsOf, OpName } from '@cnn/core/graph';

/**
 * An input of a sample: the given `values`, or `offset + scale * u` with deterministic u in [-1, 1). Default
 * scale 1, offset 0.
 */
export interface SampleInput {
  readonly shape: Shape;
  readonly scale?: number;
  readonly offset?: number;
  readonly values?: readonly number[];
}

/** A small case of an op. */
export interface Sample<A extends object = object> {
  readonly name: string;
  readonly inputs: readonly SampleInput[];
  readonly attrs: A;
}

/** The samples of every op. */
export type Samples = { readonly [K in OpName]: readonly Sample<AttrsOf<K>>[] };

/** Makes an input in [0.5, 1.5), for variances, class weights and averages of squares. */
export const positive = (shape: Shape): SampleInput => ({ shape, scale: 0.5, offset: 1 });

/** Shapes for ops with one value per channel: pictures (n x c x h x w) and rows (n x c). */
export const perChannel: readonly Shape[] = [
  [3, 5, 4, 7],
  [2, 16, 3, 3],
  [4, 6],
  [3, 1, 1, 2],
];
