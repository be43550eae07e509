/** Description of a trained model in its weight file, so that commands need no options to use it. */
import { existsSync } from 'node:fs';
import { FileFormatError, type Transform } from '@cnn/core';
import { printable, readSafetensorsMetadata } from '@cnn/core/io';
import { UsageError } from './errors.js';

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

const isList = (value: unknown, type: 'string' | 'number'): boolean =>
  Array.isArray(value) && value.every((item) => typeof item === type);

/** Gives what is wrong with a description, as the end of a sentence; undefined if nothing is. */
function faultOf(value: unknown): string | undefined {
  const { model, options, classes, transform } = (value ?? {}) as Partial<Description>;
  const { resize, crop, interpolation, mean, std } = (transform ?? {}) as Partial<Transform>;
  if (typeof model !== 'string' || !isList(options, 'string') || !isList(classes, 'string'))
    return 'it lacks the model, its options or its classes';
  for (const [name, side] of Object.entries({ resize, crop }))
    if (!Number.isInteger(side) || side! < 1 || side! > MAX_SIDE)
      return `${name} is ${JSON.stringify(side)}, and must be from 1 to ${MAX_SIDE} pixels`;
  if (interpolation !== 'bilinear' && interpolation !== 'bicubic')
    return `interpolation is ${JSON.stringify(interpolation)}, and must be bilinear or bicubic`;
  if (!isList(mean, 'number') || !isList(std, 'number') || mean!.length !== std!.length || mean!.length === 0)
    return 'mean and std must have a number for each channel';
  // JSON has no infinity, but 1e999 becomes one.
  if (
    !mean!.every(Number.isFinite) ||
    !std!.every((deviation) => Number.isFinite(deviation) && deviation > 0)
  )
    return `mean is ${JSON.stringify(mean)} and std ${JSON.stringify(std)}; std must be above 0`;
  return undefined;
}

/**
 * Reads the description in a weight file; undefined if the source is no local safetensors file, or has none.
 * @throws FileFormatError if it is damaged.
 * @throws UsageError for the checkpoint of a run, which holds more than weights.
 */
export async function readDescription(source: string | undefined): Promise<Description | undefined> {
  if (!source?.endsWith('.safetensors') || !existsSync(source)) return undefined;
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
