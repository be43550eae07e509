/**
 * Brightness, contrast, saturation and hue of pictures (c x h x w, values from 0 to 1), as torchvision changes
 * them on tensors: `adjust_brightness` and its kin.
 */
import { ShapeError, type Tensor } from '@cnn/core';
import { extentsOf } from './geometry.js';

const clamped = (value: number): number => Math.min(1, Math.max(0, value));

/** Channels of a picture that has colours, or one of grey. */
function channelsOf(picture: Tensor): 1 | 3 {
  const [channels] = extentsOf(picture);
  if (channels !== 1 && channels !== 3)
    throw new ShapeError(`Colours can be changed in pictures of 1 or 3 channels, not ${channels}.`);
  return channels;
}

/** The grey of each pixel, by the weights of luma. */
function greyOf(picture: Tensor): Float32Array {
  if (channelsOf(picture) === 1) return picture.data;
  const plane = picture.data.length / 3;
  return Float32Array.from(
    { length: plane },
    (_, i) =>
      0.2989 * picture.data[i]! + 0.587 * picture.data[plane + i]! + 0.114 * picture.data[2 * plane + i]!,
  );
}

/** `factor` of the picture and the rest of another value for each of its values, within 0 and 1. */
const blended = ({ shape, data }: Tensor, factor: number, other: (index: number) => number): Tensor => ({
  shape,
  data: data.map((value, i) => clamped(factor * value + (1 - factor) * other(i))),
});

/** 0 gives black, 1 the picture, 2 one of twice the brightness. */
export const withBrightness = (picture: Tensor, factor: number): Tensor => blended(picture, factor, () => 0);

/** 0 gives the mean grey, 1 the picture. */
export function withContrast(picture: Tensor, factor: number): Tensor {
  const grey = greyOf(picture);
  const mean = grey.reduce((sum, value) => sum + value, 0) / grey.length;
  return blended(picture, factor, () => mean);
}

/** 0 gives a grey picture, 1 the picture. One that is grey already stays as it is. */
export function withSaturation(picture: Tensor, factor: number): Tensor {
  if (channelsOf(picture) === 1) return picture;
  const grey = greyOf(picture);
  return blended(picture, factor, (i) => grey[i % grey.length]!);
}

/** Turns hues by a share of the circle, from -0.5 to 0.5. A grey picture stays as it is. */
export function withHue(picture: Tensor, turn: number): Tensor {
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
    const turned = (((sector / 6 + turn) % 1) + 1) % 1;
    // From hue, saturation and value back: each channel falls from the value by how far its own hue is off.
    for (const [c, offset] of [5, 3, 1].entries()) {
      const k = (offset + turned * 6) % 6;
      data[c * plane + i] = clamped(value - chroma * Math.max(0, Math.min(k, 4 - k, 1)));
    }
  }
  return { shape: picture.shape, data };
}
