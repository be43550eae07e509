/**
 * Augmentation: random changes of pictures (c x h x w, values from 0 to 1). Names, defaults and semantics are
 * those of torchvision's transforms on tensors. The trainer seeds them by run, epoch and example, so that a
 * resumed run sees the same pictures.
 */
import { ShapeError, type Tensor } from '@cnn/core';
import { type Random, roundHalfEven } from '@cnn/core/graph';
import { withBrightness, withContrast, withHue, withSaturation } from './color.js';
import { type Augmentation, shuffled } from './data.js';
import { cut, extentsOf, middle, mirrored, scaled } from './geometry.js';

/** Throws unless the size that a step makes is a whole number from 1 up. */
function checkSize(step: string, size: number): void {
  if (!Number.isSafeInteger(size) || size < 1)
    throw new RangeError(`${step} makes pictures of ${size} pixels; give a whole number from 1 up.`);
}

/** Throws unless two bounds are above 0 and in order. */
function checkBounds(option: string, [low, high]: readonly [number, number]): void {
  if (!(low > 0 && low <= high && high < Infinity))
    throw new RangeError(
      `'${option}' of randomResizedCrop is [${low}, ${high}]; give two numbers above 0, the smaller one first.`,
    );
}

/** Draws a number between two bounds. */
const between = (source: Random, [low, high]: readonly [number, number]): number =>
  low + (high - low) * source.uniform();

/**
 * Chains steps: each gets the result of the previous one.
 * @example
 * const augment = compose(randomCrop(32, { padding: 4 }), randomHorizontalFlip());
 */
export const compose =
  (...steps: readonly Augmentation[]): Augmentation =>
  (picture, source) =>
    steps.reduce((current, step) => step(current, source), picture);

/**
 * Resizes the shorter side to `size` and keeps the aspect ratio (antialiased): torchvision's `Resize`.
 * @throws RangeError for a size below 1.
 */
export function resizeTo(size: number): Augmentation {
  checkSize('resizeTo', size);
  return (picture) => {
    const [, height, width] = extentsOf(picture);
    return height <= width
      ? scaled(picture, size, Math.trunc((size * width) / height))
      : scaled(picture, Math.trunc((size * height) / width), size);
  };
}

/**
 * Crops a square from the middle, padded with zeros if necessary: torchvision's `CenterCrop`. `centerCrop` of
 * `@cnn/image` does the same with decoded pictures.
 * @throws RangeError for a size below 1.
 */
export function centerCrop(size: number): Augmentation {
  checkSize('centerCrop', size);
  return (picture) => cut(picture, middle(picture, size, size));
}

/** Options of {@link randomCrop}. */
export interface RandomCropOptions {
  /** Pixels of zeros added at each edge before the crop. Default 0. */
  readonly padding?: number;
}

/**
 * Crops a square of `size` pixels at a random position: torchvision's `RandomCrop`.
 * @throws RangeError for a size below 1 or a padding below 0.
 * @throws ShapeError if the padded picture is smaller.
 */
export function randomCrop(size: number, { padding = 0 }: RandomCropOptions = {}): Augmentation {
  checkSize('randomCrop', size);
  if (!Number.isSafeInteger(padding) || padding < 0)
    throw new RangeError(`'padding' of randomCrop is ${padding}; give a whole number of pixels from 0 up.`);
  return (picture, source) => {
    const [, height, width] = extentsOf(picture);
    const slack = [height + 2 * padding - size, width + 2 * padding - size] as const;
    if (slack[0] < 0 || slack[1] < 0)
      throw new ShapeError(
        `randomCrop cannot cut ${size} x ${size} pixels from ${height} x ${width} with a padding of ${padding}; resize the picture first.`,
      );
    const [top, left] = slack.map((extent) => source.integer(extent + 1) - padding) as [number, number];
    return cut(picture, { top, left, height: size, width: size });
  };
}

/**
 * Mirrors a picture left to right with a probability: torchvision's `RandomHorizontalFlip`.
 * @throws RangeError for a probability that is not from 0 to 1.
 */
export function randomHorizontalFlip(probability = 0.5): Augmentation {
  if (!(probability >= 0 && probability <= 1))
    throw new RangeError(
      `The probability of randomHorizontalFlip is a number from 0 to 1, got ${probability}.`,
    );
  return (picture, source) => (source.uniform() < probability ? mirrored(picture) : picture);
}

/** Options of {@link randomResizedCrop}. */
export interface RandomResizedCropOptions {
  /** Bounds of the crop's fraction of the area. Default [0.08, 1]. */
  readonly scale?: readonly [number, number];
  /** Bounds of the crop's aspect ratio, width / height. Default [3/4, 4/3]. */
  readonly ratio?: readonly [number, number];
}

/**
 * Crops a random part of random aspect ratio, resized to a square: torchvision's `RandomResizedCrop`.
 * @throws RangeError for a size below 1, and for bounds that are not above 0 or in the wrong order.
 */
export function randomResizedCrop(size: number, options: RandomResizedCropOptions = {}): Augmentation {
  const { scale = [0.08, 1], ratio = [3 / 4, 4 / 3] } = options;
  checkSize('randomResizedCrop', size);
  checkBounds('scale', scale);
  checkBounds('ratio', ratio);
  return (picture, source) => {
    const [, height, width] = extentsOf(picture);
    for (let attempt = 0; attempt < 10; attempt++) {
      const area = height * width * between(source, scale);
      const aspect = Math.exp(between(source, [Math.log(ratio[0]), Math.log(ratio[1])]));
      const [w, h] = [roundHalfEven(Math.sqrt(area * aspect)), roundHalfEven(Math.sqrt(area / aspect))];
      if (w < 1 || h < 1 || w > width || h > height) continue;
      const [top, left] = [source.integer(height - h + 1), source.integer(width - w + 1)];
      return scaled(cut(picture, { top, left, height: h, width: w }), size, size);
    }
    // No attempt fitted: take the largest central crop with an aspect ratio within the bounds. Unlike CenterCrop,
    // torchvision rounds its corner down here.
    const w = Math.max(1, Math.min(width, roundHalfEven(height * ratio[1])));
    const h = Math.max(1, Math.min(height, roundHalfEven(width / ratio[0])));
    const [top, left] = [Math.floor((height - h) / 2), Math.floor((width - w) / 2)];
    return scaled(cut(picture, { top, left, height: h, width: w }), size, size);
  };
}

/** Range of a factor: `0.4` for 0.6 to 1.4 (never below 0), or both bounds. */
export type JitterRange = number | readonly [number, number];

/** Options of {@link colorJitter}; a property without an option is unchanged. */
export interface ColorJitterOptions {
  readonly brightness?: JitterRange;
  readonly contrast?: JitterRange;
  readonly saturation?: JitterRange;
  /** Shift of the hue as a fraction of the circle: 0.1 for -0.1 to 0.1, at most 0.5. */
  readonly hue?: JitterRange;
}

/** Changes brightness, contrast, saturation and hue, in random order: torchvision's `ColorJitter`. */
export function colorJitter({ brightness, contrast, saturation, hue }: ColorJitterOptions): Augmentation {
  const changes = [
    [rangeOf('brightness', brightness, 1), withBrightness],
    [rangeOf('contrast', contrast, 1), withContrast],
    [rangeOf('saturation', saturation, 1), withSaturation],
    [rangeOf('hue', hue, 0), withHue],
  ] as const;
  return (picture, source) => {
    const order = shuffled(changes.length, source);
    const factors = changes.map(([range]) => range && between(source, range));
    return order.reduce<Tensor>((current, index) => {
      const factor = factors[index];
      return factor === undefined ? current : changes[index]![1](current, factor);
    }, picture);
  };
}

/** Gives the bounds of a factor around `neutral`, the factor that changes nothing. */
function rangeOf(
  name: string,
  range: JitterRange | undefined,
  neutral: 0 | 1,
): readonly [number, number] | undefined {
  if (range === undefined) return undefined;
  const [least, most] = neutral === 0 ? [-0.5, 0.5] : [0, Infinity];
  const bounds =
    typeof range === 'number' ? ([Math.max(least, neutral - range), neutral + range] as const) : range;
  if (
    (typeof range === 'number' && !(range >= 0)) ||
    !(bounds[0] >= least && bounds[0] <= bounds[1] && bounds[1] <= most)
  )
    throw new RangeError(
      `'${name}' of colorJitter is ${JSON.stringify(range)}; ${neutral === 0 ? 'give a shift of at most 0.5, or two bounds from -0.5 to 0.5' : 'give the largest distance from 1, or two bounds from 0 up'}.`,
    );
  return bounds;
}
