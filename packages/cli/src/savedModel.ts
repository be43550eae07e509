/** What a weight file of ours says about itself, so that a trained model can be used without repeating its options. */
import { existsSync } from 'node:fs';
import { FileFormatError, readSafetensorsMetadata, type Transform } from '@cnn/core';
import { UsageError } from './errors.js';

/** What is kept with weights that `cnn` has trained. */
export interface Description {
  /** The name of the model. */
  readonly model: string;
  /** Its options as they were typed: `width=0.25`. */
  readonly options: readonly string[];
  /** Names of the classes, by label. */
  readonly classes: readonly string[];
  readonly transform: Transform;
}

const KEY = 'cnn.description';

/** The description as the metadata of a safetensors file. */
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
 * The description in a weight file; undefined where the source is no local safetensors file, or one that says
 * nothing.
 * @throws FileFormatError when it is damaged.
 * @throws UsageError for the checkpoint of a run, which holds more than weights.
 */
export async function readDescription(source: string | undefined): Promise<Description | undefined> {
  if (!source?.endsWith('.safetensors') || !existsSync(source)) return undefined;
  const { [KEY]: text, format } = await readSafetensorsMetadata(source);
  if (format?.startsWith('cnn training checkpoint'))
    throw new UsageError(
      `${source} is the state of a training run. Its weights are in model.safetensors beside it, after its first epoch; go on with the run by --resume.`,
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
