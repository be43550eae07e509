/**
 * Options that say how a model reads pictures (`--resize`, `--crop`, `--mean`, ...) and what its outputs mean
 * (`--labels`), for weights that do not say it themselves.
 */
import { readFile } from 'node:fs/promises';
import type { Shape, Transform } from '@cnn/core';
import { cifar10Classes, imagenetLabels, imagenetWnids } from '@cnn/image';
import { InvalidArgumentError, type Option } from 'commander';
import { UsageError } from './errors.js';
import { reasonOf } from './files.js';
import { choice, count, option } from './options.js';
import { counted } from './terminal.js';

/** Parsed options. */
export interface ReadingOptions {
  readonly labels?: string;
  readonly mean?: readonly number[];
  readonly std?: readonly number[];
  readonly resize?: number;
  readonly crop?: number;
  readonly interpolation?: 'bilinear' | 'bicubic';
}

/** Parses numbers, one per channel: `0.485,0.456,0.406`. */
export const numbers =
  (fits: (value: number) => boolean, what: string) =>
  (text: string): readonly number[] => {
    const values = text.split(',').map((part) => (part.trim() ? Number(part) : Number.NaN));
    if (!values.every((value) => Number.isFinite(value) && fits(value)))
      throw new InvalidArgumentError(`Give ${what} for each channel, such as 0.485,0.456,0.406.`);
    return values;
  };

/** The options of commands that read pictures with given weights. */
export const readingOptions: readonly Option[] = [
  option(
    '--labels <file>',
    "names of the outputs: a file with one per line or a JSON list, or imagenet or cifar10; default: the weights'",
  ),
  option('--resize <pixels>', "shorter side after resizing; default: the weights'", count),
  option('--crop <pixels>', "side of the square in the middle; default: the weights'", count),
  choice('--interpolation <name>', "filter of resizing; default: the weights'", ['bilinear', 'bicubic']),
  option(
    '--mean <numbers>',
    "means of the channels for pixels from 0 to 1, such as 0.485,0.456,0.406; default: the weights'",
    numbers(() => true, 'a number'),
  ),
  option(
    '--std <numbers>',
    "deviations of the channels, such as 0.229,0.224,0.225; default: the weights'",
    numbers((value) => value > 0, 'a number above 0'),
  ),
];

/** Gives the preprocessing with the options applied. @throws UsageError if they do not fit the model. */
export function presetWith(preset: Transform, options: ReadingOptions): Transform {
  const { mean = preset.mean, std = preset.std, interpolation = preset.interpolation } = options;
  const channels = preset.mean.length;
  for (const [flag, values] of [
    ['mean', mean],
    ['std', std],
  ] as const)
    if (values.length !== channels)
      throw new UsageError(
        `--${flag} has ${counted(values.length, 'number')}, but the model takes pictures of ${counted(channels, 'channel')}; give one for each.`,
      );
  const crop =
    options.crop ?? (options.resize === undefined ? preset.crop : Math.min(preset.crop, options.resize));
  const resize = options.resize ?? Math.max(preset.resize, crop);
  if (crop > resize)
    throw new UsageError(
      `--crop ${crop} is larger than --resize ${resize}, the shorter side that it is cut from; give a smaller crop.`,
    );
  return { resize, crop, interpolation, mean, std };
}

/** Names of a model's outputs. */
export interface Labels {
  /** Empty if unknown. */
  readonly names: readonly string[];
  /** True if neither the weights nor an option give the names: they are those of the usual dataset. */
  readonly guessed: boolean;
}

/**
 * Gives the names of a model's outputs: those of `--labels`, else those of the weights, else CIFAR-10's for a
 * network with ten outputs for its pictures.
 * @param outputs - number of outputs.
 * @param given - names that come with the weights or the model.
 * @throws UsageError if `--labels` cannot be read or has another number of names.
 */
export async function labelsOf(
  source: string | undefined,
  given: readonly string[],
  outputs: number,
  [, channels, height]: Shape,
): Promise<Labels> {
  if (source !== undefined) {
    const names = await readLabels(source);
    if (names.length !== outputs)
      throw new UsageError(
        `--labels ${source} has ${counted(names.length, 'name')}, but the model has ${counted(outputs, 'output')}; give a name for each, in order.`,
      );
    return { names, guessed: false };
  }
  // Names for another number of outputs belong to another model.
  if (given.length === outputs) return { names: given, guessed: false };
  const small = channels === 3 && height === 32 && outputs === cifar10Classes.length;
  return small ? { names: cifar10Classes, guessed: true } : { names: [], guessed: false };
}

/** Reads the names of `--labels`. @throws UsageError if they cannot be read. */
export async function readLabels(source: string): Promise<readonly string[]> {
  if (source === 'imagenet') return imagenetLabels;
  if (source === 'cifar10') return cifar10Classes;
  const text = await readFile(source, 'utf8').catch((error: unknown) => {
    throw new UsageError(
      `Cannot read --labels ${source}: ${reasonOf(error)}. Give a file with one name per line, imagenet or cifar10.`,
    );
  });
  if (!text.trimStart().startsWith('['))
    return text
      .replace(/^\uFEFF/, '')
      .trimEnd()
      .split(/\r?\n/)
      .map((line) => line.trim());
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch {
    list = undefined;
  }
  if (!Array.isArray(list) || !list.every((name) => typeof name === 'string'))
    throw new UsageError(`--labels ${source} begins like a JSON list, but is not a list of texts.`);
  return list as readonly string[];
}

/** Makes names comparable: `Tabby_cat` and `tabby cat` are one name. */
const plain = (name: string): string => name.toLowerCase().replaceAll(/[_-]+/g, ' ').trim();

/**
 * Finds the outputs of classes by their names, and for ImageNet's labels by their WordNet ids (`n01440764`).
 * @returns one index per class; -1 for a class that no output or more than one has the name of.
 */
export function outputsOf(classes: readonly string[], labels: readonly string[]): readonly number[] {
  const places = new Map<string, number>();
  for (const [index, label] of labels.entries()) {
    const key = plain(label);
    places.set(key, places.has(key) ? -1 : index);
  }
  const exact = new Map<string, number>();
  for (const [index, label] of labels.entries()) exact.set(label, exact.has(label) ? -1 : index);
  const isImagenet = labels.length === imagenetLabels.length && labels[0] === imagenetLabels[0];
  return classes.map((name) => {
    const wnid = isImagenet ? imagenetWnids.indexOf(name) : -1;
    return wnid >= 0 ? wnid : (exact.get(name) ?? places.get(plain(name)) ?? -1);
  });
}
