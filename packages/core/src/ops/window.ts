/** A window that slides over a picture: what convolutions and poolings have in common. */
import { InputTooSmall, ShapeError } from '../errors.js';

/** One number for both directions, or `[vertical, horizontal]`. */
export type Pair = number | readonly [vertical: number, horizontal: number];

/** Zero padding in pixels at each edge. */
export type Padding = readonly [top: number, left: number, bottom: number, right: number];

/** Size, step, padding and spacing of a window, in pixels, vertical first. */
export interface Window {
  readonly kernel: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly padding: Padding;
  readonly dilation: readonly [number, number];
}

/** Both directions of a pair. */
export const pair = (value: Pair): readonly [number, number] =>
  typeof value === 'number' ? [value, value] : value;

/** The same padding at opposite edges. */
export const symmetric = (value: Pair): Padding => {
  const [vertical, horizontal] = pair(value);
  return [vertical, horizontal, vertical, horizontal];
};

/**
 * TensorFlow's SAME padding: the output has ceil(input / stride) pixels, and of an odd total the
 * larger half goes below and to the right.
 */
export function samePadding(
  input: readonly [number, number],
  { kernel, stride, dilation }: Omit<Window, 'padding'>,
): Padding {
  const [vertical, horizontal] = [0, 1].map((i) => {
    const reach = (kernel[i]! - 1) * dilation[i]! + 1;
    return Math.max(0, (Math.ceil(input[i]! / stride[i]!) - 1) * stride[i]! + reach - input[i]!);
  }) as [number, number];
  const [top, left] = [vertical >> 1, horizontal >> 1];
  return [top, left, vertical - top, horizontal - left];
}

/**
 * How many places a window takes in each direction.
 * @param ceilMode - a last window may hang over the far edge, as long as it starts inside the input or its near padding.
 * @throws ShapeError when the window does not fit, or is not made of whole numbers.
 */
export function windowOutput(
  op: string,
  input: readonly [number, number],
  { kernel, stride, padding, dilation }: Window,
  ceilMode = false,
): readonly [number, number] {
  const whole = (what: string, values: readonly number[], least: number): void => {
    if (values.some((value) => !Number.isInteger(value) || value < least))
      throw new ShapeError(
        `the ${what} of ${op} must be whole numbers from ${least} up, got ${values.join(', ')}`,
      );
  };
  whole('kernel', kernel, 1);
  whole('stride', stride, 1);
  whole('dilation', dilation, 1);
  whole('padding', padding, 0);
  const [height, width] = [0, 1].map((i) => {
    const extent = input[i]! + padding[i]! + padding[i + 2]!;
    const room = extent - (dilation[i]! * (kernel[i]! - 1) + 1);
    if (room < 0 && !(ceilMode && room + stride[i]! > 0))
      throw new InputTooSmall(
        `${op} with a ${kernel.join('x')} window does not fit into ${input.join('x')} pixels with padding ${padding.join(', ')}; use a larger input`,
      );
    const steps = (ceilMode ? Math.ceil(room / stride[i]!) : Math.floor(room / stride[i]!)) + 1;
    return ceilMode && (steps - 1) * stride[i]! >= input[i]! + padding[i]! ? steps - 1 : steps;
  }) as [number, number];
  return [height, width];
}

/** The pixel that max pooling takes, as PyTorch does: the first of the largest, or the last NaN. */
export function argmax(x: ArrayLike<number>, pixels: readonly number[]): number {
  let best = pixels[0]!;
  for (const pixel of pixels) if (x[pixel]! > x[best]! || Number.isNaN(x[pixel])) best = pixel;
  return best;
}
