/** Description of a trained model in its weight file, so that commands need no options to use it. */
import { existsSync } from 'node:fs';
import { FileFormatError, type Transform } from '@cnn/core';
import { readSafetensorsMetadata } from '@cnn/core/io';
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

const isList = (value: unknown, type: 'string' | 'number'): boolean =>
  Array.isArray(value) && value.every((item) => typeof item === type);

function isDescription(value: unknown): value is Description {
  const { model, options, classes, transform } = (value ?? {}) as Partial<Description>;
  const { resize, crop, interpolation, mean, std } = (transform ?? {}) as Partial<Transform>;
  return (
    typeof model === 'string' &&
    isList(options, 'string') &&
    isList(classes, 'string') &&
    Number.isInteger(resize) &&
    Number.isInteger(crop) &&
    (interpolation === 'bilinear' || interpolation === 'bicubic') &&
    isList(mean, 'number') &&
    isList(std, 'number')
  );
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
  if (!isDescription(value))
    throw new FileFormatError('safetensors', `the description of the model in ${source} is damaged`);
  return value;
}
