/** What a sample of an op is: a small case on which every back end is compared with the reference. */
import type { AttrsOf, OpName, Shape } from '@cnn/core';

/** One input of a sample: values `offset + scale * u`, u deterministic in [-1, 1) (scale 1, offset 0), or given ones. */
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

/** An input from 0.5 to 1.5: variances, class weights, averages of squares. */
export const positive = (shape: Shape): SampleInput => ({ shape, scale: 0.5, offset: 1 });

/** Shapes for ops that see one number per channel, in pictures (n x c x h x w) and in rows (n x c). */
export const perChannel: readonly Shape[] = [
  [3, 5, 4, 7],
  [2, 16, 3, 3],
  [4, 6],
  [3, 1, 1, 2],
];
