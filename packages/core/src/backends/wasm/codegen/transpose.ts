/** Transposes a 4x4 matrix of vectors, for copies between orders in which channels and taps are swapped. */
import { type FunctionBuilder, f32x4, type Local, type V128 } from './index.js';

/** Four elements of one type. */
type Four<T> = readonly [T, T, T, T];

/** Makes four elements by index. */
export const fourOf = <T>(make: (index: number) => T): Four<T> => [make(0), make(1), make(2), make(3)];

/**
 * Returns the columns of a matrix.
 * @param rows - are not changed; read until the last column is used.
 * @param temporaries - hold intermediate results, read when a column is used.
 */
export function transpose(
  f: FunctionBuilder,
  [a, b, c, d]: Four<V128>,
  [low, high, lowBehind, highBehind]: Four<Local<'v128'>>,
): Four<V128> {
  f.set(low, f32x4.shuffle(a, b, [0, 4, 1, 5]));
  f.set(high, f32x4.shuffle(a, b, [2, 6, 3, 7]));
  f.set(lowBehind, f32x4.shuffle(c, d, [0, 4, 1, 5]));
  f.set(highBehind, f32x4.shuffle(c, d, [2, 6, 3, 7]));
  return [
    f32x4.shuffle(low, lowBehind, [0, 1, 4, 5]),
    f32x4.shuffle(low, lowBehind, [2, 3, 6, 7]),
    f32x4.shuffle(high, highBehind, [0, 1, 4, 5]),
    f32x4.shuffle(high, highBehind, [2, 3, 6, 7]),
  ];
}
