/** Opens a folder of labelled pictures: MNIST, CIFAR-10, or one folder per class. */
import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Transform } from '@cnn/core';
import { random } from '@cnn/core/graph';
import {
  type Dataset as BytesDataset,
  folderDataset,
  imageFolder,
  readCifar10,
  readMnist,
  type SkippedPicture,
} from '@cnn/image';
import { type Dataset, shuffled } from '@cnn/train';
import { UsageError } from '../errors.js';
import { progressOf, type Terminal } from '../terminal.js';

/** Labelled pictures for training and evaluation. */
export interface LabelledData {
  readonly kind: 'MNIST' | 'CIFAR-10' | 'image folder';
  /** Names of the classes, by label. */
  readonly classes: readonly string[];
  readonly train: Dataset;
  /** Pictures for evaluation; undefined if there are none. */
  readonly test: Dataset | undefined;
  /** Pictures that could not be read. */
  readonly skipped: readonly SkippedPicture[];
}

/** Options of {@link openData}. */
export interface DataRequest {
  readonly data: string;
  /** Preprocessing of the model. */
  readonly preset: Transform;
  readonly onBadImage: 'skip' | 'fail';
  /** Fraction of each class held back for evaluation, if the folder has no validation or test part. */
  readonly validation: number;
  /** Seed of the choice of those pictures. */
  readonly seed: number;
}

/**
 * Opens a folder of MNIST, CIFAR-10 or classes, and notes skipped pictures.
 * @throws UsageError for a folder of another kind, naming the known kinds.
 */
export async function openData(
  request: DataRequest,
  terminal: Terminal,
  signal?: AbortSignal,
): Promise<LabelledData> {
  const names = await readdir(request.data).catch((error: Error) => {
    throw new UsageError(`Cannot list the data folder ${request.data}: ${error.message}.`);
  });
  const data =
    (await openMnist(request, names)) ??
    (await openCifar10(request, names)) ??
    (await openFolder(request, names, terminal, signal));
  if (!data)
    throw new UsageError(
      `${request.data} holds no data of a known kind. Looked for: the four files of MNIST (train-images-idx3-ubyte and the like, plain or .gz), CIFAR-10's binary batches (data_batch_1.bin, ..., test_batch.bin), and one folder of pictures per class (or such folders under train and val).`,
    );
  const { skipped } = data;
  if (skipped.length > 0)
    terminal.note(
      `${skipped.length} ${skipped.length === 1 ? 'picture' : 'pictures'} could not be read and ${skipped.length === 1 ? 'is' : 'are'} left out:\n${skipped.map(({ reason }) => `  ${reason}`).join('\n')}`,
    );
  return data;
}

/** Converts a dataset to a number of channels: grey is repeated, colours become grey. */
function withChannels(dataset: BytesDataset, channels: number): Dataset {
  const [has, height, width] = dataset.shape as readonly [number, number, number];
  if (has === channels) return dataset;
  const plane = height * width;
  return {
    size: dataset.size,
    shape: [channels, height, width],
    at(index) {
      const { pixels, label } = dataset.at(index);
      const made = Uint8Array.from({ length: channels * plane }, (_, i) =>
        has === 1
          ? pixels[i % plane]!
          : Math.round(0.299 * pixels[i]! + 0.587 * pixels[plane + i]! + 0.114 * pixels[2 * plane + i]!),
      );
      return { pixels: made, label };
    },
  };
}

async function openMnist(
  { data, preset }: DataRequest,
  names: readonly string[],
): Promise<LabelledData | undefined> {
  const find = (part: string, what: string): string | undefined =>
    names.find((name) => new RegExp(`^${part}-${what}[.-]idx\\d-ubyte(\\.gz)?$`).test(name));
  const read = async (part: string): Promise<BytesDataset | undefined> => {
    const [images, labels] = [find(part, 'images'), find(part, 'labels')];
    if (!images && !labels) return undefined;
    if (!images || !labels)
      throw new UsageError(
        `${data} has ${images ?? labels}, but not the ${images ? 'labels' : 'images'} that belong to it.`,
      );
    const [first, second] = [await readFile(join(data, images)), await readFile(join(data, labels))];
    return readMnist(first, second);
  };
  const [train, test] = [await read('train'), await read('t10k')];
  const either = train ?? test;
  if (!either) return undefined;
  const channels = preset.mean.length;
  return {
    kind: 'MNIST',
    classes: either.classes,
    skipped: [],
    train: withChannels(either, channels),
    test: test && withChannels(test, channels),
  };
}

async function openCifar10(
  { data, preset }: DataRequest,
  names: readonly string[],
): Promise<LabelledData | undefined> {
  const read = async (pattern: RegExp): Promise<BytesDataset | undefined> => {
    const files = names.filter((name) => pattern.test(name)).sort();
    if (files.length === 0) return undefined;
    return readCifar10(Buffer.concat(await Promise.all(files.map((name) => readFile(join(data, name))))));
  };
  const [train, test] = [await read(/^(data_batch|train)[^/]*\.bin$/), await read(/^test[^/]*\.bin$/)];
  const either = train ?? test;
  if (!either) return undefined;
  const channels = preset.mean.length;
  return {
    kind: 'CIFAR-10',
    classes: either.classes,
    skipped: [],
    train: withChannels(either, channels),
    test: test && withChannels(test, channels),
  };
}

async function openFolder(
  request: DataRequest,
  names: readonly string[],
  terminal: Terminal,
  signal: AbortSignal | undefined,
): Promise<LabelledData | undefined> {
  const { data, preset, onBadImage, validation, seed } = request;
  const folders = (await readdir(data, { withFileTypes: true })).filter((item) => item.isDirectory());
  if (folders.length === 0) return undefined;
  const read = async (folder: string) =>
    // As `cnn classify` and the playground show pictures.
    folderDataset(await imageFolder(folder, { upright: true }), {
      resize: preset.resize,
      interpolation: preset.interpolation,
      onBadImage,
      signal,
      channels: preset.mean.length === 1 ? 1 : 3,
      onProgress: progressOf(terminal, `pictures of ${basename(folder)}`),
    });
  const part = ['val', 'validation', 'test'].find((name) => names.includes(name));
  if (names.includes('train') && part) {
    const [train, test] = [await read(join(data, 'train')), await read(join(data, part))];
    if (train.classes.join() !== test.classes.join())
      throw new UsageError(
        `The folders train and ${part} of ${data} have different classes: ${train.classes.join(', ')} and ${test.classes.join(', ')}.`,
      );
    const skipped = [...train.skipped, ...test.skipped];
    return { kind: 'image folder', classes: train.classes, train, test, skipped };
  }
  const all = await read(data);
  const common = { kind: 'image folder', classes: all.classes, skipped: all.skipped } as const;
  if (validation === 0) return { ...common, train: all, test: undefined };
  const source = random(seed);
  const heldBack = new Set(
    all.classes.flatMap((_, label) => {
      const own = [...all.entries.keys()].filter((index) => all.entries[index]!.label === label);
      // A class of one picture keeps it for training.
      const count = own.length < 2 ? 0 : Math.max(1, Math.round(validation * own.length));
      return shuffled(own.length, source)
        .slice(0, count)
        .map((place) => own[place]!);
    }),
  );
  const partOf = (keep: (index: number) => boolean): Dataset => {
    const indices = [...all.entries.keys()].filter(keep);
    return { size: indices.length, at: (index) => all.at(indices[index]!) };
  };
  return {
    ...common,
    train: partOf((index) => !heldBack.has(index)),
    test: partOf((index) => heldBack.has(index)),
  };
}
