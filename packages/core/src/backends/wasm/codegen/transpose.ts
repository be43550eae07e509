/** Transposes a 4x4 matrix of vectors, for copies between orders in which channels and taps are swapped. */
import { type FunctionBuilder, f32x4, type Local, type V128 } from './index.js';

/** Four elements of one type. */
type Four<T> = readonly [T, T, T, T];

/** Makes four elements by index. */
export const fourOf = <T>(make: (index: number) => T): Four<T> => [make(0), make(1), make(2), make(3)];

/**
 * Returns the columns of a matrix.
 * @param rows - are not changed.
 * @param temporaries - hold intermediate results; change them only after the last column is used.
 */
export function transpose(
  f: FunctionBuilder,
  [a, b, c, d]: Four<V128>,
  [abLow, abHigh, cdLow, cdHigh]: Four<Local<'v128'>>,
): Four<V128> {
  f.set(abLow, f32x4.shuffle(a, b, [0, 4, 1, 5]));
  f.set(abHigh, f32x4.shuffle(a, b, [2, 6, 3, 7]));
  f.set(cdLow, f32x4.shuffle(c, d, [0, 4, 1, 5]));
  f.set(cdHigh, f32x4.shuffle(c, d, [2, 6, 3, 7]));
  return [
    f32x4.shuffle(abLow, cdLow, [0, 1, 4, 5]),
    f32x4.shuffle(abLow, cdLow, [2, 3, 6, 7]),
    f32x4.shuffle(abHigh, cdHigh, [0, 1, 4, 5]),
    f32x4.shuffle(abHigh, cdHigh, [2, 3, 6, 7]),
  ];
}
