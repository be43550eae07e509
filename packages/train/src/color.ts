/**
 * Changes brightness, contrast, saturation and hue of pictures (c x h x w, values from 0 to 1), like
 * torchvision's `adjust_brightness`, `adjust_contrast`, `adjust_saturation` and `adjust_hue` on tensors.
 */
import { ShapeError, type Tensor } from '@cnn/core';
import { extentsOf } from './geometry.js';

const clamped = (value: number): number => Math.min(1, Math.max(0, value));

/** Gives the channels of a picture: 1 (grey) or 3. @throws ShapeError for other numbers. */
function channelsOf(picture: Tensor): 1 | 3 {
  const [channels] = extentsOf(picture);
  if (channels !== 1 && channels !== 3)
    throw new ShapeError(`Colours can be changed in pictures of 1 or 3 channels, not ${channels}.`);
  return channels;
}

/** Gives the grey value of each pixel (ITU-R BT.601 luma). */
function greyOf(picture: Tensor): Float32Array {
  if (channelsOf(picture) === 1) return picture.data;
  const plane = picture.data.length / 3;
  return Float32Array.from(
    { length: plane },
    (_, i) =>
      0.2989 * picture.data[i]! + 0.587 * picture.data[plane + i]! + 0.114 * picture.data[2 * plane + i]!,
  );
}

/** Gives factor * picture + (1 - factor) * other, clamped to [0, 1]. */
const blended = ({ shape, data }: Tensor, factor: number, other: (index: number) => number): Tensor => ({
  shape,
  data: data.map((value, i) => clamped(factor * value + (1 - factor) * other(i))),
});

/** Scales the brightness: 0 gives black, 1 the picture itself, 2 twice its brightness. */
export const withBrightness = (picture: Tensor, factor: number): Tensor => blended(picture, factor, () => 0);

/** Scales the contrast: 0 gives the mean grey, 1 the picture itself. */
export function withContrast(picture: Tensor, factor: number): Tensor {
  const grey = greyOf(picture);
  const mean = grey.reduce((sum, value) => sum + value, 0) / grey.length;
  return blended(picture, factor, () => mean);
}

/** Scales the saturation: 0 gives grey, 1 the picture itself. A picture of one channel is unchanged. */
export function withSaturation(picture: Tensor, factor: number): Tensor {
  if (channelsOf(picture) === 1) return picture;
  const grey = greyOf(picture);
  return blended(picture, factor, (i) => grey[i % grey.length]!);
}

/** Shifts the hue by a fraction of the circle, from -0.5 to 0.5. A picture of one channel is unchanged. */
export function withHue(picture: Tensor, shift: number): Tensor {
  if (channelsOf(picture) === 1) return picture;
  const plane = picture.data.length / 3;
  const data = new Float32Array(picture.data.length);
  for (let i = 0; i < plane; i++) {
    const [red, green, blue] = [picture.data[i]!, picture.data[plane + i]!, picture.data[2 * plane + i]!];
    const value = Math.max(red, green, blue);
    const chroma = value - Math.min(red, green, blue);
    let sector = 0;
    if (chroma > 0) {
      if (value === red) sector = (green - blue) / chroma;
      else if (value === green) sector = 2 + (blue - red) / chroma;
      else sector = 4 + (red - green) / chroma;
    }
    const hue = (((sector / 6 + shift) % 1) + 1) % 1;
    // HSV to RGB in closed form.
    for (const [c, offset] of [5, 3, 1].entries()) {
      const k = (offset + hue * 6) % 6;
      data[c * plane + i] = clamped(value - chroma * Math.max(0, Math.min(k, 4 - k, 1)));
    }
  }
  return { shape: picture.shape, data };
}
