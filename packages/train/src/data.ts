/**
 * Loads batches from datasets. Seed, epoch and example determine every random number, so that a resumed run
 * sees the same batches without a saved generator state.
 */
import { type Shape, ShapeError, sizeOf, type Tensor, tensor } from '@cnn/core';
import { formatShape, hash32, type Random, random, sameShape, unlessAborted } from '@cnn/core/graph';
import { describeValue, kindOf } from '@cnn/core/io';

/** Labelled picture. */
export interface Example {
  /**
   * Values in the order c, h, w: bytes (also Uint8ClampedArray, as in a canvas), which are divided by 255, or
   * floats, which are not scaled.
   */
  readonly pixels: Uint8Array | Uint8ClampedArray | Float32Array | Float64Array;
  /** Class, from 0. */
  readonly label: number;
  /** Channels, height, width. Default: the dataset's. */
  readonly shape?: Shape;
}

/** Labelled pictures by index. The datasets of `@cnn/image` (MNIST, CIFAR-10, folders) are of this type. */
export interface Dataset {
  readonly size: number;
  /** Channels, height, width, if all pictures have the same. */
  readonly shape?: Shape;
  /** Gives the example with an index from 0 to `size` - 1. */
  at(index: number): Example | Promise<Example>;
}

/** Changes a picture (c x h x w) by crops, flips or colours. Equal random numbers give equal results. */
export type Augmentation = (picture: Tensor, random: Random) => Tensor;

/** Mean and standard deviation per channel, for pixels from 0 to 1. */
export interface Normalisation {
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

/** Pictures and labels of a batch. */
export interface Batch {
  /** Pictures, n x c x h x w. */
  readonly x: Tensor;
  /** Labels, n whole numbers. */
  readonly labels: Tensor;
}

/** Mixes whole numbers into a seed of 32 bits. */
export const mixSeed = (...parts: readonly number[]): number =>
  parts.reduce((seed, part) => hash32(Math.imul(seed, 0x9e3779b1) ^ hash32(part)), 0);

/** Fills `order` with the numbers from 0 up in random order (Fisher-Yates). */
function fillShuffled<T extends number[] | Uint32Array>(order: T, source: Random): T {
  for (let i = 0; i < order.length; i++) order[i] = i;
  for (let i = order.length - 1; i > 0; i--) {
    const j = source.integer(i + 1);
    const other = order[j]!;
    order[j] = order[i]!;
    order[i] = other;
  }
  return order;
}

/** Gives the numbers from 0 to `count` - 1 in random order. */
export const shuffled = (count: number, source: Random): readonly number[] =>
  fillShuffled(
    Array.from({ length: count }, () => 0),
    source,
  );

/** Most examples of a dataset for training: the order of an epoch takes 4 bytes for each, 400 MB. */
export const MAX_EXAMPLES = 100_000_000;

/** Gives the order of the examples in an epoch. */
export const epochOrder = (seed: number, epoch: number, size: number): Uint32Array =>
  fillShuffled(new Uint32Array(size), random(mixSeed(seed, 1, epoch)));

/** Gives the random numbers of an example in an epoch. */
export const exampleRandom = (seed: number, epoch: number, index: number): Random =>
  random(mixSeed(seed, 2, epoch, index));

/** Gives the seed of a step's dropout masks: a whole number below 2^24, exact in float32. */
export const maskSeed = (seed: number, step: number): number => mixSeed(seed, 3, step) & 0xffffff;

/**
 * Gives the values of pixels: bytes divided by 255, floats as they are. The type is asked of the array itself,
 * since `instanceof` fails for arrays of another realm (an iframe, `vm`, a test runner).
 * @throws TypeError for arrays of other types: whole numbers in a plain array can be either.
 */
function valuesOf(pixels: Example['pixels']): Float32Array {
  const type = kindOf(pixels);
  if (type === 'Uint8Array' || type === 'Uint8ClampedArray')
    return Float32Array.from(pixels, (byte) => byte / 255);
  if (/^Float(16|32|64)Array$/.test(type))
    return pixels instanceof Float32Array ? pixels : Float32Array.from(pixels);
  throw new TypeError(
    `The pixels of an example are ${type === 'Array' ? 'a plain array' : `of the type ${type}`}; give bytes as a Uint8Array (they are divided by 255), or values as a Float32Array (they are not).`,
  );
}

/** Gives the picture of an example as c x h x w, bytes scaled to [0, 1]. */
export function pictureOf({ pixels, shape }: Example, dataset: Dataset): Tensor {
  const extents = shape ?? dataset.shape;
  if (!extents)
    throw new ShapeError('Neither the example nor its dataset has a shape; give channels, height and width.');
  return tensor(valuesOf(pixels), extents);
}

/** Subtracts the mean and divides by the standard deviation of each channel. */
export function normalised(picture: Tensor, { mean, std }: Normalisation): Tensor {
  const [channels, height, width] = picture.shape as [number, number, number];
  if (mean.length !== channels || std.length !== channels)
    throw new ShapeError(
      `'normalise' has ${mean.length} means and ${std.length} deviations for pictures of ${channels} channels; give one for each.`,
    );
  const plane = height * width;
  const data = picture.data.map((value, i) => {
    const c = Math.floor(i / plane);
    return (value - mean[c]!) / std[c]!;
  });
  return { shape: picture.shape, data };
}

/**
 * Loads examples as a batch of shape `input` (n x c x h x w). Rows after the last example stay 0.
 * @param views - gives the pictures of an example, usually one; each fills a row.
 * @param signal - ends the wait for an example.
 * @throws TypeError for an example that is no object.
 * @throws RangeError for a label outside of `classes`, naming the example.
 * @throws ShapeError for a picture of another shape than the model takes.
 */
export async function loadBatch(
  dataset: Dataset,
  indices: readonly number[],
  input: Shape,
  classes: number,
  views: (picture: Tensor, index: number) => readonly Tensor[],
  signal?: AbortSignal,
): Promise<Batch> {
  const shape = input.slice(1);
  const size = sizeOf(shape);
  const x = new Float32Array(sizeOf(input));
  const labels = new Float32Array(input[0]!);
  let row = 0;
  for (const index of indices) {
    const found: unknown = dataset.at(index);
    // A promise of another realm is no instance of Promise; awaiting plain values would cost a microtask each.
    const isPromise = typeof (found as PromiseLike<unknown> | undefined)?.then === 'function';
    const given = isPromise ? await unlessAborted(found as PromiseLike<unknown>, signal) : found;
    if (typeof given !== 'object' || given === null)
      throw new TypeError(
        `Example ${index} is ${describeValue(given)}; 'at' of the dataset must give { pixels, label }.`,
      );
    const example = given as Example;
    const { label } = example;
    if (!Number.isInteger(label) || label < 0 || label >= classes)
      throw new RangeError(
        `Example ${index} has the label ${label}, but the model has ${classes} classes, so labels go from 0 to ${classes - 1}. Correct the dataset, or build the model with more classes.`,
      );
    for (const view of views(pictureOf(example, dataset), index)) {
      if (!sameShape(view.shape, shape))
        throw new ShapeError(
          `Example ${index} is ${formatShape(view.shape)}, but the model takes ${formatShape(shape)}; crop or resize with 'augment' and 'prepare'.`,
        );
      x.set(view.data, row * size);
      labels[row++] = label;
    }
  }
  return { x: { shape: input, data: x }, labels: { shape: [input[0]!], data: labels } };
}
