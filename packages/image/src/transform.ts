/** Turns a picture into a model's input: resize, crop, scale to [0, 1], subtract the mean, divide by the deviation. */
import { type Tensor, type Transform, tensor } from '@cnn/core';
import { type ImageLike, type RgbImage, rgbOf } from './image.js';
import { centerCrop, checkInterpolation, resizeShorter } from './resize.js';

/** The preprocessing of ImageNet models: resize to 256 (bilinear), crop to 224, ImageNet's means and deviations. */
export const imagenetPreset: Transform = {
  resize: 256,
  crop: 224,
  interpolation: 'bilinear',
  mean: [0.485, 0.456, 0.406],
  std: [0.229, 0.224, 0.225],
};

/** The preprocessing of pictures of digits for `lenet5`: grey, 32x32, scaled to [0, 1]. */
export const digitPreset: Transform = {
  resize: 32,
  crop: 32,
  interpolation: 'bilinear',
  mean: [0],
  std: [1],
};

/**
 * Resizes and crops a picture to the pixels of the model's input, before scaling.
 * @throws TypeError and RangeError for a value that is not a picture (see {@link rgbOf}), and for impossible sizes.
 */
export const cropped = (image: ImageLike, { resize, crop, interpolation }: Transform): RgbImage =>
  centerCrop(resizeShorter(image, resize, interpolation), crop);

/** Throws for a preset without 1 or 3 channels, or whose means and deviations would give NaN. */
function checkPreset(preset: Transform): void {
  const { mean, std, interpolation } = preset ?? {};
  if (mean?.length === undefined || std?.length === undefined)
    throw new TypeError(
      `A preset is an object such as imagenetPreset, with the lists mean and std, got ${preset ? 'one without them' : String(preset)}.`,
    );
  checkInterpolation(interpolation);
  if ((mean.length !== 1 && mean.length !== 3) || mean.length !== std.length)
    throw new RangeError(
      `A preset has 1 or 3 means (grey or RGB) and a deviation for each, got ${mean.length} and ${std.length}.`,
    );
  if (!mean.every(Number.isFinite) || !std.every((value) => Number.isFinite(value) && value > 0))
    throw new RangeError(
      `The means of a preset are numbers and its deviations are above 0, got [${mean.join(', ')}] and [${std.join(', ')}].`,
    );
}

/**
 * Returns the bytes of a picture channel by channel (CHW): red, green and blue, or one grey channel with the luma
 * weights of Pillow's `convert('L')` (0.299, 0.587, 0.114).
 */
export function planesOf({ width, height, data }: RgbImage, channels: 1 | 3): Uint8Array {
  const plane = width * height;
  const result = new Uint8Array(channels * plane);
  for (let i = 0; i < plane; i++)
    if (channels === 1)
      // Rounded fixed-point arithmetic, as in Pillow.
      result[i] = (data[3 * i]! * 19595 + data[3 * i + 1]! * 38470 + data[3 * i + 2]! * 7471 + 0x8000) >> 16;
    else for (let c = 0; c < channels; c++) result[c * plane + i] = data[3 * i + c]!;
  return result;
}

/**
 * Turns a picture into a model's input, 1 x c x crop x crop. A preset with one mean gives one grey channel.
 * @param image - a decoded picture, or a canvas's `ImageData`.
 * @throws TypeError and RangeError for a value that is not a picture (see {@link rgbOf}), and for an impossible preset.
 * @example
 * const x = transform({ width: 300, height: 200, data: new Uint8Array(180_000) }, imagenetPreset);
 */
export function transform(image: ImageLike, preset: Transform): Tensor {
  checkPreset(preset);
  const picture = cropped(image, preset);
  const channels = preset.mean.length === 1 ? 1 : 3;
  const bytes = planesOf(picture, channels);
  const plane = bytes.length / channels;
  const result = new Float32Array(bytes.length);
  for (let c = 0; c < channels; c++) {
    const [mean, std] = [Math.fround(preset.mean[c]!), Math.fround(preset.std[c]!)];
    for (let i = c * plane; i < (c + 1) * plane; i++)
      result[i] = Math.fround(Math.fround(bytes[i]! / 255) - mean) / std;
  }
  return tensor(result, [1, channels, picture.height, picture.width]);
}
