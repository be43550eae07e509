/** Labelled pictures for training and evaluation: MNIST, and CIFAR-10 in its binary version. */
import { FileFormatError, type Shape, sizeOf } from '@cnn/core';
import { bytesOf } from './bytes.js';
import { type IdxArray, type IdxOptions, readIdx } from './idx.js';

/** One labelled picture. */
export interface Example {
  /** Bytes by channel, row and column: c x h x w. */
  readonly pixels: Uint8Array;
  readonly label: number;
}

/** Labelled pictures of one shape. */
export interface Dataset {
  readonly size: number;
  /** Names of the classes, by label. */
  readonly classes: readonly string[];
  /** Channels, height, width. */
  readonly shape: Shape;
  /** Returns one example. @throws RangeError if there is none at `index`. */
  at(index: number): Example;
}

/** Makes a dataset of pictures that lie in memory one after the other; does not copy them. */
function inMemory(
  pixels: Uint8Array,
  labels: ArrayLike<number>,
  shape: Shape,
  classes: readonly string[],
): Dataset {
  const bytes = sizeOf(shape);
  return {
    size: labels.length,
    classes,
    shape,
    at(index) {
      if (!Number.isInteger(index) || index < 0 || index >= labels.length)
        throw new RangeError(`There is no example ${index}; the dataset has ${labels.length}.`);
      return { pixels: pixels.subarray(index * bytes, (index + 1) * bytes), label: labels[index]! };
    },
  };
}

const digits = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'];

/**
 * Reads MNIST, or a dataset in its format, from the bytes of the image file and of the label file, plain or gzipped.
 * @throws FileFormatError if a file is damaged, or if they do not belong together.
 */
export async function readMnist(
  imageFile: Uint8Array,
  labelFile: Uint8Array,
  options: IdxOptions = {},
): Promise<Dataset> {
  const [images, labels]: [IdxArray, IdxArray] = await Promise.all([
    readIdx(imageFile, options),
    readIdx(labelFile, options),
  ]);
  const [count, height, width] = images.shape;
  if (images.shape.length !== 3 || labels.shape.length !== 1)
    throw new FileFormatError(
      'IDX',
      `images have three extents and labels one, got ${images.shape.length} and ${labels.shape.length}; are the files swapped?`,
    );
  if (count !== labels.shape[0])
    throw new FileFormatError('IDX', `${count} images come with ${labels.shape[0]} labels`);
  checkLabels('IDX', labels.data, digits.length);
  return inMemory(images.data, labels.data, [1, height!, width!], digits);
}

function checkLabels(format: string, labels: ArrayLike<number>, classes: number): void {
  for (let i = 0; i < labels.length; i++)
    if (labels[i]! >= classes)
      throw new FileFormatError(
        format,
        `the label of example ${i} is ${labels[i]}; there are ${classes} classes`,
      );
}

/** CIFAR-10's classes, in the order of its labels. */
export const cifar10Classes: readonly string[] = [
  'airplane',
  'automobile',
  'bird',
  'cat',
  'deer',
  'dog',
  'frog',
  'horse',
  'ship',
  'truck',
];

/**
 * Reads CIFAR-10 from the bytes of one batch of its binary version (https://www.cs.toronto.edu/~kriz/cifar.html):
 * records of a label and 3 x 32 x 32 bytes.
 * @throws FileFormatError if the length is not a multiple of a record's, or a label is not a class.
 * @throws TypeError if `bytes` are no bytes.
 */
export function readCifar10(bytes: Uint8Array): Dataset {
  const file = bytesOf(bytes);
  const record = 1 + 3 * 32 * 32;
  if (file.length === 0 || file.length % record !== 0)
    throw new FileFormatError(
      'CIFAR-10',
      `${file.length} bytes are not a whole number of records of ${record}`,
      file.length,
    );
  const count = file.length / record;
  const labels = Uint8Array.from({ length: count }, (_, i) => file[i * record]!);
  checkLabels('CIFAR-10', labels, 10);
  const pixels = new Uint8Array(count * (record - 1));
  for (let i = 0; i < count; i++)
    pixels.set(file.subarray(i * record + 1, (i + 1) * record), i * (record - 1));
  return inMemory(pixels, labels, [3, 32, 32], cifar10Classes);
}
