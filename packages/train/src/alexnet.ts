/**
 * AlexNet's training recipe (Krizhevsky et al. 2012,
 * https://papers.nips.cc/paper/4824-imagenet-classification-with-deep-convolutional-neural-networks.pdf,
 * section 4.1): random crops of a square of 256 pixels and their mirror images, noise along the principal
 * colours of the training set, and ten crops of each picture for evaluation.
 */
import { ShapeError, type Tensor } from '@cnn/core';
import { centerCrop, compose, randomCrop, randomHorizontalFlip, resizeTo } from './augment.js';
import { type Augmentation, type Dataset, pictureOf } from './data.js';
import type { Views } from './evaluate.js';
import { cut, extentsOf, middle, mirrored } from './geometry.js';

/** One value for each of red, green and blue. */
type Triple = readonly [number, number, number];

/** Principal components of the colours of a set of pictures. */
export interface PrincipalColors {
  /** Variances along the components, in descending order. */
  readonly eigenvalues: Triple;
  /** Components (red, green, blue), each of length 1. */
  readonly eigenvectors: readonly [Triple, Triple, Triple];
}

/** Principal colours of ImageNet, for pixels from 0 to 1, as published by fb.resnet.torch. */
export const imagenetColors: PrincipalColors = {
  eigenvalues: [0.2175, 0.0188, 0.0045],
  eigenvectors: [
    [-0.5675, -0.5808, -0.5836],
    [0.7192, -0.0045, -0.6948],
    [0.4009, -0.814, 0.4203],
  ],
};

/** Computes the principal colours of a dataset from its first `limit` pictures (default 1000). */
export async function principalColors(dataset: Dataset, limit = 1000): Promise<PrincipalColors> {
  let count = 0;
  const sums = [0, 0, 0];
  const products = [0, 1, 2].map(() => [0, 0, 0]);
  for (let index = 0; index < Math.min(limit, dataset.size); index++) {
    const picture = pictureOf(await dataset.at(index), dataset);
    requireColors(picture);
    const plane = picture.data.length / 3;
    for (let i = 0; i < plane; i++)
      for (let a = 0; a < 3; a++) {
        const value = picture.data[a * plane + i]!;
        sums[a]! += value;
        for (let b = 0; b < 3; b++) products[a]![b]! += value * picture.data[b * plane + i]!;
      }
    count += plane;
  }
  if (count === 0) throw new RangeError('The dataset has no pictures to find the principal colours of.');
  return eigen(
    products.map((row, a) => row.map((sum, b) => sum / count - (sums[a]! * sums[b]!) / count ** 2)),
  );
}

function requireColors(picture: Tensor): void {
  if (extentsOf(picture)[0] !== 3)
    throw new ShapeError(`Principal colours need pictures of 3 channels, not ${picture.shape[0]}.`);
}

/** Computes eigenvalues and eigenvectors of a symmetric 3 x 3 matrix by Jacobi rotations. */
function eigen(matrix: readonly (readonly number[])[]): PrincipalColors {
  const a = matrix.map((row) => [...row]);
  const vectors = [0, 1, 2].map((row) => [0, 1, 2].map((column) => (row === column ? 1 : 0)));
  for (let sweep = 0; sweep < 32; sweep++)
    for (const [p, q] of [
      [0, 1],
      [0, 2],
      [1, 2],
    ] as const) {
      if (a[p]![q] === 0) continue;
      const theta = Math.atan2(2 * a[p]![q]!, a[q]![q]! - a[p]![p]!) / 2;
      const [cos, sin] = [Math.cos(theta), Math.sin(theta)];
      const rotate = (row: number[]): void => {
        [row[p], row[q]] = [cos * row[p]! - sin * row[q]!, sin * row[p]! + cos * row[q]!];
      };
      for (const row of a) rotate(row);
      [a[p], a[q]] = [
        a[p]!.map((value, i) => cos * value - sin * a[q]![i]!),
        a[p]!.map((value, i) => sin * value + cos * a[q]![i]!),
      ];
      for (const row of vectors) rotate(row);
    }
  const [first, second, third] = [0, 1, 2]
    .map((i) => ({ value: a[i]![i]!, vector: vectors.map((row) => row[i]!) as [number, number, number] }))
    .sort((one, other) => other.value - one.value);
  return {
    eigenvalues: [first!.value, second!.value, third!.value],
    eigenvectors: [first!.vector, second!.vector, third!.vector],
  };
}

/** Options of {@link pcaColorNoise}. */
export interface PcaColorNoiseOptions {
  /** Default {@link imagenetColors}. */
  readonly colors?: PrincipalColors;
  /** Standard deviation of the random factors on the eigenvalues. Default 0.1. */
  readonly deviation?: number;
}

/** Adds a random colour to a picture: a sum of principal colours times eigenvalues times normal factors. */
export function pcaColorNoise({
  colors = imagenetColors,
  deviation = 0.1,
}: PcaColorNoiseOptions = {}): Augmentation {
  const { eigenvalues, eigenvectors } = colors;
  return (picture, source) => {
    requireColors(picture);
    const factors = eigenvalues.map((value) => value * deviation * source.normal());
    const shift = [0, 1, 2].map((c) =>
      factors.reduce((sum, factor, i) => sum + factor * eigenvectors[i]![c]!, 0),
    );
    const plane = picture.data.length / 3;
    return {
      shape: picture.shape,
      data: picture.data.map((value, i) => value + shift[Math.floor(i / plane)]!),
    };
  };
}

/** Gives crops of the four corners and the middle, then their mirror images: torchvision's `TenCrop`. */
export const tenCrop = (size: number): Views => ({
  count: 10,
  of(picture) {
    const [, height, width] = extentsOf(picture);
    if (height < size || width < size)
      throw new ShapeError(`Ten crops of ${size} pixels need a larger picture than ${height} x ${width}.`);
    const five = (from: Tensor): Tensor[] => {
      const at = (top: number, left: number) => cut(from, { top, left, height: size, width: size });
      const [bottom, right] = [height - size, width - size];
      const corners = [at(0, 0), at(0, right), at(bottom, 0), at(bottom, right)];
      return [...corners, cut(from, middle(from, size, size))];
    };
    return [...five(picture), ...five(mirrored(picture))];
  },
});

/** Options of {@link alexnetRecipe}. */
export interface AlexnetRecipeOptions {
  /** Side of the crops, in pixels. Default 224. */
  readonly size?: number;
  /** Side of the square that they are taken from, in pixels. Default 8/7 of `size`: 256. */
  readonly from?: number;
  /** Default {@link imagenetColors}. */
  readonly colors?: PrincipalColors;
}

/** Trainer options of the recipe. */
export interface Recipe {
  readonly augment: Augmentation;
  readonly prepare: Augmentation;
  readonly views: Views;
}

/**
 * Gives the paper's augmentation and ten-crop evaluation; the batch of an evaluation counts crops. The paper
 * trains with `sgd({ learningRate: 0.01, momentum: 0.9, weightDecay: 5e-4 })` in batches of 128, with
 * `reduceOnPlateau`.
 * @example
 * const run = trainer({ model, optimizer, input: [128, 3, 224, 224], ...alexnetRecipe() });
 */
export function alexnetRecipe({ size = 224, from, colors }: AlexnetRecipeOptions = {}): Recipe {
  const side = from ?? Math.round((size * 8) / 7);
  const prepare = compose(resizeTo(side), centerCrop(side));
  const noise = pcaColorNoise(colors ? { colors } : {});
  return {
    augment: compose(prepare, randomCrop(size), randomHorizontalFlip(), noise),
    prepare,
    views: tenCrop(size),
  };
}
