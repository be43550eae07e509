/** Sliding windows over images, for convolution and pooling. */
import { InputTooSmall, ShapeError } from '../errors.js';

/** One number for both directions, or `[vertical, horizontal]`. */
export type Pair = number | readonly [vertical: number, horizontal: number];

/** Padding of each edge, in pixels. */
export type Padding = readonly [top: number, left: number, bottom: number, right: number];

/** Size, stride, padding and dilation of a window, in pixels, vertical first. */
export interface Window {
  readonly kernel: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly padding: Padding;
  readonly dilation: readonly [number, number];
}

/** Writes a pair out as `[vertical, horizontal]`. */
export const pair = (value: Pair): readonly [number, number] =>
  typeof value === 'number' ? [value, value] : value;

/** Makes a padding that is equal at opposite edges. */
export const symmetric = (value: Pair): Padding => {
  const [vertical, horizontal] = pair(value);
  return [vertical, horizontal, vertical, horizontal];
};

/**
 * Computes TensorFlow's SAME padding: the output has ceil(input / stride) pixels, and if the total is odd,
 * the larger half goes to the bottom and right.
 * @param input - height and width in pixels.
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
 * Counts the positions of a window: the height and width of the output.
 * @param op - name of the op, for error messages.
 * @param input - height and width in pixels.
 * @param ceilMode - PyTorch's `ceil_mode`: the last window may extend beyond the bottom and right padding if
 * it starts inside the input or the top and left padding.
 * @throws InputTooSmall if the window does not fit; ShapeError if it is not made of whole numbers.
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

/**
 * Gives the index of the pixel that max pooling selects, as in PyTorch: the first largest, or the last NaN.
 */
export function argmax(x: ArrayLike<number>, pixels: readonly number[]): number {
  let best = pixels[0]!;
  for (const pixel of pixels) if (x[pixel]! > x[best]! || Number.isNaN(x[pixel])) best = pixel;
  return best;
}
