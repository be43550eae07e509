/** Four vectors as the rows of a 4x4 matrix become its columns: between orders where channels and taps change places. */
import { type FunctionBuilder, f32x4, type Local, type V128 } from '../emit/index.js';

/** The columns of the matrix. Uses up no value; `temporary` has four vectors. */
export function transpose(
  f: FunctionBuilder,
  [a, b, c, d]: readonly [V128, V128, V128, V128],
  temporary: readonly Local<'v128'>[],
): readonly [V128, V128, V128, V128] {
  const [low, high, lowBehind, highBehind] = temporary as readonly [
    Local<'v128'>,
    Local<'v128'>,
    Local<'v128'>,
    Local<'v128'>,
  ];
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
