/** Finds the parts of a data folder (training, validation, test) and reads one: MNIST, CIFAR-10, class folders. */
import { readFile, stat } from 'node:fs/promises';
import { basename, join, relative } from 'node:path';
import type { Transform } from '@cnn/core';
import {
  type Dataset as BytesDataset,
  compareCodePoints,
  type FolderItem,
  folderDataset,
  imageFolder,
  imagenetPreset,
  isHidden,
  type LeftOut,
  listFolder,
  readCifar10,
  readIdx,
  readMnist,
  type SkippedPicture,
  UnreadablePictures,
} from '@cnn/image';
import type { Dataset } from '@cnn/train';
import colours from 'picocolors';
import { UsageError } from '../errors.js';
import { reasonOf } from '../files.js';
import { printable, progressOf, type Terminal } from '../terminal.js';

/** Most pictures and folders that a message names. */
const NAMED = 5;

/** Part of a data folder. */
export type PartName = 'train' | 'validation' | 'test';

/** File of a part. */
export interface PartFile {
  /** Path relative to the data folder. */
  readonly path: string;
  readonly bytes: number;
}

/** Pictures of one part. */
export interface Part {
  /** File or folder that it was read from, for messages. */
  readonly place: string;
  /** Names of the classes, by label. */
  readonly classes: readonly string[];
  readonly dataset: Dataset;
  /** Label of each picture. */
  readonly labels: readonly number[];
  /** Files: one for each picture, in order, or the few that hold them all. */
  readonly files: readonly PartFile[];
  /** Pictures that could not be read. */
  readonly skipped: readonly SkippedPicture[];
  /** Files and folders that are no pictures of a class. */
  readonly leftOut: readonly LeftOut[];
  /** Longest side of all pictures in their files, in pixels. */
  readonly longestSide: number;
}

/** Data folder of a known kind. Nothing is decoded before `read`. */
export interface Source {
  readonly kind: 'MNIST' | 'CIFAR-10' | 'image folder';
  /** Parts that are there. */
  readonly parts: ReadonlyMap<PartName, () => Promise<Part>>;
  /** Other folders next to the parts. */
  readonly leftOut: readonly LeftOut[];
}

/** Options of {@link findSource}. */
export interface SourceRequest {
  readonly data: string;
  /** Preprocessing of the model. */
  readonly preset: Transform;
  readonly onBadImage: 'skip' | 'fail';
}

/**
 * Finds out what a data folder holds.
 * @throws UsageError for a folder of another kind, naming the known kinds.
 */
export async function findSource(
  request: SourceRequest,
  terminal: Terminal,
  signal?: AbortSignal,
): Promise<Source> {
  const { data } = request;
  const items = await listFolder(data).catch((error: Error) => {
    throw new UsageError(`Cannot list the data folder ${data}: ${reasonOf(error.cause)}.`);
  });
  const names = items.map(({ name }) => name);
  const source =
    findMnist(request, names, signal) ??
    findCifar10(request, names, signal) ??
    (await findFolders(request, items, terminal, signal));
  if (!source)
    throw new UsageError(
      `${data} holds no data of a known kind. Looked for: the four files of MNIST (train-images-idx3-ubyte and the like, plain or .gz), CIFAR-10's binary batches (data_batch_1.bin, ..., test_batch.bin), and one folder of pictures per class (or such folders under train, val and test).`,
    );
  return source;
}

/**
 * Checks that a data folder is of a known kind, before anything else is loaded; reads no pictures and notes nothing.
 * @throws UsageError as {@link findSource}.
 */
export async function requireSource(data: string, signal?: AbortSignal): Promise<void> {
  const silent: Terminal = {
    print: () => undefined,
    note: () => undefined,
    progress: () => undefined,
    live: false,
    colours: colours.createColors(false),
  };
  // Only reading the pictures depends on the preset.
  await findSource({ data, preset: imagenetPreset, onBadImage: 'fail' }, silent, signal);
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

/** Makes a part of a dataset in memory. */
const partOf = (
  dataset: BytesDataset,
  place: string,
  files: readonly PartFile[],
  { preset }: SourceRequest,
): Part => ({
  place,
  files,
  classes: dataset.classes,
  dataset: withChannels(dataset, preset.mean.length),
  labels: Array.from({ length: dataset.size }, (_, index) => dataset.at(index).label),
  skipped: [],
  leftOut: [],
  longestSide: Math.max(...dataset.shape.slice(1)),
});

/** True if two IDX files, plain or gzipped, hold the same array: torchvision leaves both forms of each file. */
async function holdsSame(a: Uint8Array, b: Uint8Array, signal: AbortSignal | undefined): Promise<boolean> {
  const [first, second] = await Promise.all(
    [a, b].map((bytes) => readIdx(bytes, { signal }).catch(() => undefined)),
  );
  signal?.throwIfAborted();
  if (!first || !second) return false;
  return String(first.shape) === String(second.shape) && Buffer.compare(first.data, second.data) === 0;
}

function findMnist(
  request: SourceRequest,
  names: readonly string[],
  signal: AbortSignal | undefined,
): Source | undefined {
  const { data } = request;
  const parts = new Map<PartName, () => Promise<Part>>();
  for (const [name, prefix] of [
    ['train', 'train'],
    ['test', 't10k'],
  ] as const) {
    const find = (what: string): readonly string[] =>
      names.filter((file) => new RegExp(`^${prefix}-${what}[.-]idx\\d-ubyte(\\.gz)?$`).test(file));
    const candidates = [find('images'), find('labels')] as const;
    const [[images], [labels]] = candidates;
    if (!images && !labels) continue;
    if (!images || !labels)
      throw new UsageError(
        `${data} has ${images ?? labels}, but not the ${images ? 'labels' : 'images'} that belong to it.`,
      );
    parts.set(name, async () => {
      const read = (file: string) => readFile(join(data, file), { signal });
      const [first, second] = [await read(images), await read(labels)];
      for (const [file, ...copies] of candidates)
        for (const copy of copies)
          if (!(await holdsSame(await read(file!), await read(copy), signal)))
            throw new UsageError(
              `${data} has the files ${file} and ${copy}, which hold different data, so it is not known which of them to read; remove one.`,
            );
      const files = [
        { path: images, bytes: first.length },
        { path: labels, bytes: second.length },
      ];
      return partOf(await readMnist(first, second), join(data, images), files, request);
    });
  }
  return parts.size > 0 ? { kind: 'MNIST', parts, leftOut: [] } : undefined;
}

function findCifar10(
  request: SourceRequest,
  names: readonly string[],
  signal: AbortSignal | undefined,
): Source | undefined {
  const { data } = request;
  const parts = new Map<PartName, () => Promise<Part>>();
  for (const [part, pattern] of [
    ['train', /^(data_batch|train)[^/]*\.bin$/],
    ['test', /^test[^/]*\.bin$/],
  ] as const) {
    const files = names.filter((name) => pattern.test(name)).sort(compareCodePoints);
    if (files.length === 0) continue;
    parts.set(part, async () => {
      const read = await Promise.all(files.map((name) => readFile(join(data, name), { signal })));
      const sizes = files.map((path, index) => ({ path, bytes: read[index]!.length }));
      return partOf(readCifar10(Buffer.concat(read)), join(data, files.join(', ')), sizes, request);
    });
  }
  return parts.size > 0 ? { kind: 'CIFAR-10', parts, leftOut: [] } : undefined;
}

/** Names of folders that hold a part, in small letters: those that Hugging Face's loader of image folders knows. */
const partNames: Readonly<Record<string, PartName>> = {
  train: 'train',
  training: 'train',
  val: 'validation',
  valid: 'validation',
  validation: 'validation',
  dev: 'validation',
  test: 'test',
  testing: 'test',
  eval: 'test',
  evaluation: 'test',
};

/** Gives the part that a folder's name stands for, in letters of any case. */
const partNamed = (folder: string): PartName | undefined => {
  const name = folder.toLowerCase();
  return Object.hasOwn(partNames, name) ? partNames[name] : undefined;
};

/** Gives the names of the visible folders. */
const foldersAmong = (items: readonly FolderItem[]): readonly string[] =>
  items.flatMap(({ name, kind }) => (kind === 'folder' && !isHidden(name) ? [name] : []));

/** True if a folder holds folders. */
const holdsFolders = async (folder: string): Promise<boolean> =>
  foldersAmong(await listFolder(folder)).length > 0;

/**
 * Finds class folders, or parts with class folders in them. Folders called train and val are parts if train holds
 * folders, or if there are no others; a single one of such a name is a part if it holds folders, and there are no
 * others: a class may be called "train". Parts without class folders, such as the test pictures of a competition, are
 * left out.
 */
async function findFolders(
  request: SourceRequest,
  items: readonly FolderItem[],
  terminal: Terminal,
  signal: AbortSignal | undefined,
): Promise<Source | undefined> {
  const { data } = request;
  const folders = foldersAmong(items);
  if (folders.length === 0) return undefined;
  const read = (folder: string) => (): Promise<Part> => readFolder(folder, request, terminal, signal);
  const byPart = new Map<PartName, string>();
  for (const folder of folders) {
    const part = partNamed(folder);
    if (!part) continue;
    const other = byPart.get(part);
    if (other !== undefined)
      throw new UsageError(
        `${data} has the folders ${other} and ${folder}, and both names stand for the ${part} part; rename or remove one.`,
      );
    byPart.set(part, folder);
  }
  const others = folders.filter((folder) => !partNamed(folder));
  const trained = byPart.get('train');
  const nested = new Set<string>();
  for (const folder of byPart.values()) if (await holdsFolders(join(data, folder))) nested.add(folder);
  // Beside other folders, train and test with pictures directly in them are classes.
  const several = trained !== undefined && byPart.size > 1;
  const parted = others.length > 0 ? several && nested.has(trained) : several || nested.size > 0;
  if (!parted) {
    for (const folder of nested)
      terminal.note(
        `The folder ${folder} of ${data} is taken for a class, because there are others beside it (${others.slice(0, NAMED).map(printable).join(', ')}). If it is a part of the data, move them away.`,
      );
    return { kind: 'image folder', parts: new Map([['train', read(data)]]), leftOut: [] };
  }
  // Without class folders, training pictures are an error.
  const labelled = [...byPart].filter(([part, folder]) => part === 'train' || nested.has(folder));
  const names = labelled.map(([, folder]) => folder);
  return {
    kind: 'image folder',
    parts: new Map(labelled.map(([part, folder]) => [part, read(join(data, folder))])),
    leftOut: folders
      .filter((folder) => !names.includes(folder))
      .map((folder) => ({
        path: join(data, folder),
        reason: partNamed(folder) ? 'part without class folders' : `folder beside ${names.join(' and ')}`,
      })),
  };
}

/** Reads a folder of class folders. */
async function readFolder(
  folder: string,
  { data, preset, onBadImage }: SourceRequest,
  terminal: Terminal,
  signal: AbortSignal | undefined,
): Promise<Part> {
  const listed = await imageFolder(folder, { signal });
  const read = await folderDataset(listed, {
    resize: preset.resize,
    interpolation: preset.interpolation,
    onBadImage,
    signal,
    channels: preset.mean.length === 1 ? 1 : 3,
    onProgress: progressOf(terminal, `pictures of ${basename(folder)}`),
  }).catch((error: unknown) => {
    throw error instanceof UnreadablePictures ? unreadable(error) : error;
  });
  const files: PartFile[] = [];
  for (const { path } of read.entries) {
    signal?.throwIfAborted();
    files.push({ path: relative(data, path).replaceAll('\\', '/'), bytes: (await stat(path)).size });
  }
  return {
    place: folder,
    classes: read.classes,
    dataset: read,
    labels: read.entries.map(({ label }) => label),
    files,
    skipped: read.skipped,
    leftOut: listed.leftOut,
    longestSide: read.longestSide,
  };
}

/** Gives the error of a folder with unreadable pictures, with the advice of the command line. */
function unreadable({ pictures, total }: UnreadablePictures): Error {
  const lines = pictures.slice(0, NAMED).map(({ reason }) => `  ${printable(reason)}`);
  if (pictures.length > NAMED) lines.push(`  and ${pictures.length - NAMED} more`);
  const them = pictures.length === 1 ? 'it' : 'them';
  return new Error(
    `${pictures.length} of ${total} pictures cannot be read. Mend or remove ${them}, or add --on-bad-image skip, which leaves ${them} out:\n${lines.join('\n')}`,
  );
}
