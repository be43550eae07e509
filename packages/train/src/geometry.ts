/**
 * Crops, flips and resizes pictures (c x h x w, values from 0 to 1), like torchvision's `crop`, `hflip`, and
 * `resize` with `antialias=True` on tensors.
 */
import { type Shape, ShapeError, type Tensor } from '@cnn/core';
import { centredStart } from '@cnn/core/graph';

/** Gives channels, height and width of a picture. @throws ShapeError for another number of dimensions. */
export const extentsOf = ({ shape }: { readonly shape: Shape }): [number, number, number] => {
  if (shape.length !== 3)
    throw new ShapeError(`A picture is channels x height x width, got [${shape.join(', ')}].`);
  return [shape[0]!, shape[1]!, shape[2]!];
};

/** Rectangle in a picture, in pixels. */
export interface Window {
  readonly top: number;
  readonly left: number;
  readonly height: number;
  readonly width: number;
}

/** Crops a picture to a window; pixels outside of the picture are 0. */
export function cut(picture: Tensor, { top, left, height, width }: Window): Tensor {
  const [channels, fromHeight, fromWidth] = extentsOf(picture);
  const data = new Float32Array(channels * height * width);
  const first = Math.max(0, -left);
  const end = Math.min(width, fromWidth - left);
  for (let c = 0; c < channels; c++)
    for (let row = Math.max(0, -top); row < Math.min(height, fromHeight - top); row++) {
      const from = (c * fromHeight + top + row) * fromWidth + left;
      if (end > first)
        data.set(picture.data.subarray(from + first, from + end), (c * height + row) * width + first);
    }
  return { shape: [channels, height, width], data };
}

/** Mirrors a picture left to right. */
export function mirrored(picture: Tensor): Tensor {
  const [channels, height, width] = extentsOf(picture);
  const data = new Float32Array(picture.data.length);
  for (let row = 0; row < channels * height; row++)
    for (let column = 0; column < width; column++)
      data[row * width + column] = picture.data[(row + 1) * width - 1 - column]!;
  return { shape: picture.shape, data };
}

/** Gives the central window. It exceeds the picture if it is larger. */
export function middle(picture: Tensor, height: number, width: number): Window {
  const [, fromHeight, fromWidth] = extentsOf(picture);
  return { top: centredStart(fromHeight, height), left: centredStart(fromWidth, width), height, width };
}

/** Gives the filter of each output pixel along an axis: its first input pixel and its weights. */
function filters(from: number, to: number): readonly (readonly [first: number, weights: Float64Array])[] {
  const scale = from / to;
  const reach = Math.max(scale, 1);
  return Array.from({ length: to }, (_, i) => {
    const centre = (i + 0.5) * scale;
    const first = Math.max(0, Math.floor(centre - reach + 0.5));
    const end = Math.min(from, Math.floor(centre + reach + 0.5));
    const raw = Float64Array.from({ length: end - first }, (__, k) =>
      Math.max(0, 1 - Math.abs((k + first - centre + 0.5) / reach)),
    );
    const sum = raw.reduce((total, weight) => total + weight, 0);
    return [first, raw.map((weight) => weight / sum)];
  });
}

/** Resizes bilinearly with antialiasing: a pixel of a smaller picture averages all input pixels under it. */
export function scaled(picture: Tensor, height: number, width: number): Tensor {
  const [channels, fromHeight, fromWidth] = extentsOf(picture);
  if (height === fromHeight && width === fromWidth) return picture;
  const rows = channels * fromHeight;
  const across = new Float32Array(rows * width);
  for (const [column, [first, weights]] of filters(fromWidth, width).entries())
    for (let row = 0; row < rows; row++) {
      let sum = 0;
      for (let k = 0; k < weights.length; k++)
        sum += weights[k]! * picture.data[row * fromWidth + first + k]!;
      across[row * width + column] = sum;
    }
  const data = new Float32Array(channels * height * width);
  for (const [row, [first, weights]] of filters(fromHeight, height).entries())
    for (let c = 0; c < channels; c++)
      for (let column = 0; column < width; column++) {
        let sum = 0;
        for (let k = 0; k < weights.length; k++)
          sum += weights[k]! * across[(c * fromHeight + first + k) * width + column]!;
        data[(c * height + row) * width + column] = sum;
      }
  return { shape: [channels, height, width], data };
}
