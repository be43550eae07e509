/** Description of a trained model in its weight file, so that commands need no options to use it. */
import { existsSync } from 'node:fs';
import { FileFormatError, type Transform } from '@cnn/core';
import { printable, readSafetensorsMetadata } from '@cnn/core/io';
import { UsageError } from './errors.js';
import { requireReadable } from './files.js';
import { MAX_NAME } from './registry.js';
import { shortened } from './terminal.js';

/** Description stored with weights that `cnn` has trained. */
export interface Description {
  /** Name of the model. */
  readonly model: string;
  /** Options of the model: `width=0.25`. */
  readonly options: readonly string[];
  /** Names of the classes, by label. */
  readonly classes: readonly string[];
  readonly transform: Transform;
}

const KEY = 'cnn.description';

/** Gives the description as metadata of a safetensors file. */
export const metadataOf = (description: Description): Record<string, string> => ({
  [KEY]: JSON.stringify(description),
});

/** Largest size of a picture that a file may ask for, in pixels a side: a file can come from anywhere. */
const MAX_SIDE = 4096;

/** Most classes, options and channels of a description, and most characters of a class or an option. */
const MAX_CLASSES = 100_000;
const MAX_OPTIONS = 100;
const MAX_CHANNELS = 1000;
const MAX_TEXT = 1000;

/** Gives a value for a message: simple ones and lists of numbers as JSON, cut if it is long. Others may be deep. */
const shown = (value: unknown): string =>
  typeof value === 'object' && value !== null && !isList(value, 'number')
    ? 'a list or object'
    : shortened(JSON.stringify(value) ?? 'missing');

const isList = (value: unknown, type: 'string' | 'number'): boolean =>
  Array.isArray(value) && value.every((item) => typeof item === type);

/** Gives what is wrong with a description, as the end of a sentence; undefined if nothing is. */
function faultOf(value: unknown): string | undefined {
  const { model, options, classes, transform } = (value ?? {}) as Partial<Description>;
  const { resize, crop, interpolation, mean, std } = (transform ?? {}) as Partial<Transform>;
  if (typeof model !== 'string' || !isList(options, 'string') || !isList(classes, 'string'))
    return 'it lacks the model, its options or its classes';
  if (model.length > MAX_NAME)
    return `the name of the model has ${model.length.toLocaleString('en-US')} characters, and must have at most ${MAX_NAME}`;
  for (const [name, list, most] of [
    ['options', options!, MAX_OPTIONS],
    ['classes', classes!, MAX_CLASSES],
  ] as const) {
    if (list.length > most)
      return `it has ${list.length.toLocaleString('en-US')} ${name}, and must have at most ${most.toLocaleString('en-US')}`;
    const long = list.find((text) => text.length > MAX_TEXT);
    if (long !== undefined)
      return `the ${name} hold ${shown(long)} of ${long.length.toLocaleString('en-US')} characters, and must have at most ${MAX_TEXT} each`;
  }
  for (const [name, side] of Object.entries({ resize, crop }))
    if (!Number.isInteger(side) || side! < 1 || side! > MAX_SIDE)
      return `${name} is ${shown(side)}, and must be from 1 to ${MAX_SIDE} pixels`;
  if (interpolation !== 'bilinear' && interpolation !== 'bicubic')
    return `interpolation is ${shown(interpolation)}, and must be bilinear or bicubic`;
  if (
    !isList(mean, 'number') ||
    !isList(std, 'number') ||
    mean!.length !== std!.length ||
    mean!.length === 0 ||
    mean!.length > MAX_CHANNELS
  )
    return 'mean and std must have a number for each channel';
  // JSON has no infinity, but 1e999 becomes one; and 1e-60 becomes 0 in float32, in which pictures are divided by it.
  if (
    !mean!.every((value) => Number.isFinite(Math.fround(value))) ||
    !std!.every((deviation) => Number.isFinite(Math.fround(deviation)) && Math.fround(deviation) > 0)
  )
    return `mean is ${shown(mean)} and std ${shown(std)}; std must be above 0`;
  return undefined;
}

/**
 * Reads the description in a weight file; undefined if the source is no local safetensors file, or has none.
 * @throws FileFormatError if it is damaged.
 * @throws UsageError for the checkpoint of a run, which holds more than weights.
 */
export async function readDescription(source: string | undefined): Promise<Description | undefined> {
  if (!source?.endsWith('.safetensors') || !existsSync(source)) return undefined;
  await requireReadable('--weights', source);
  const { [KEY]: text, format } = await readSafetensorsMetadata(source);
  if (format?.startsWith('cnn training checkpoint'))
    throw new UsageError(
      `${source} is the state of a training run. Its weights are in model.safetensors beside it, after its first epoch; continue the run with --resume.`,
    );
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  const fault = faultOf(value);
  if (fault !== undefined)
    throw new FileFormatError(
      'safetensors',
      `the description of the model in ${printable(source)} is damaged: ${printable(fault)}`,
    );
  return value as Description;
}
