/** Finds the weights of a network: published ones by name, a file or an address, bytes, or values in memory. */
import {
  type ModelEntry,
  type Module,
  matchWeights,
  type Progress,
  readWeights,
  type Transform,
  type Weights,
  type WeightsRecord,
} from '@cnn/core';
import { builtin, isBlob, kindOf, printable, renameWeights } from '@cnn/core/io';
import { imagenetPreset } from '@cnn/image';
import { ClassifyError } from './errors.js';

/**
 * Weights: the name of published ones among the entry's records; an address (`https:`, `file:`, `data:`, `blob:`), else a
 * path in Node, and in a page an address relative to it; a Blob or the bytes of a file; or values by state-dict name.
 */
export type ClassifierWeights = string | URL | Blob | ArrayBuffer | Uint8Array | Weights;

/** Options of {@link openWeights}. */
interface OpenOptions {
  readonly weights?: ClassifierWeights | undefined;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Weights that were read. */
interface OpenWeights {
  readonly weights: Weights;
  /** The record of published weights that these are, if that is known. */
  readonly record: WeightsRecord | undefined;
}

/**
 * Reads weights; without any given, the first published ones.
 * @throws ClassifyError if there are none, or they cannot be downloaded; the message names the option.
 * @throws FileFormatError for a damaged file, or one whose hash is not that of the record.
 */
export async function openWeights(
  entry: Pick<ModelEntry, 'name' | 'weights'>,
  { weights: given, onProgress, signal }: OpenOptions,
): Promise<OpenWeights> {
  const record = recordOf(entry, given);
  const options = { ...(onProgress ? { onProgress } : {}), ...(signal ? { signal } : {}) };
  if (record) {
    const { sha256, rename } = record;
    const weights = await readWeights(placeOf(entry, record), {
      ...options,
      sha256,
      ...(rename ? { rename } : {}),
    }).catch((error: Error & { code?: string }) => {
      if (error.code !== 'ERR_DOWNLOAD') throw error;
      throw new ClassifyError(
        'ERR_NO_WEIGHTS',
        `The published weights of ${entry.name} could not be downloaded here: ${error.message} Give them with the option weights: a file, an address that this program may read, a Blob or bytes.`,
        { cause: error },
      );
    });
    return { weights, record };
  }
  if (isValues(given)) return { weights: given, record: undefined };
  const source = given as Exclude<ClassifierWeights, Weights>;
  const weights = await readWeights(source, options).catch((error: Error) => {
    signal?.throwIfAborted();
    // With a dot or a slash it is a file or an address, whose error says what is wrong with it.
    if (typeof source !== 'string' || /[./\\:]/.test(source)) throw error;
    throw new ClassifyError(
      'ERR_UNKNOWN_WEIGHTS',
      `There is neither a file nor published weights called '${printable(source)}' for ${entry.name}; published are: ${Object.keys(entry.weights).join(', ') || 'none'}.`,
      { cause: error },
    );
  });
  return { weights, record: recognised(entry, source) };
}

const isValues = (given: unknown): given is Weights => kindOf(given) === 'Map';

/** Finds the record that is meant by name, or by giving nothing. */
function recordOf(
  { name, weights }: Pick<ModelEntry, 'name' | 'weights'>,
  given: ClassifierWeights | undefined,
): WeightsRecord | undefined {
  if (typeof given === 'string') return Object.hasOwn(weights, given) ? weights[given] : undefined;
  if (given !== undefined) return undefined;
  const [first] = Object.values(weights);
  if (!first)
    throw new ClassifyError(
      'ERR_NO_WEIGHTS',
      `No weights are published for ${name}. Give some with the option weights: a file, an address, a Blob, bytes, or a Map of tensors.`,
    );
  return first;
}

/** Gives the path or address of published weights; some lie in the package of the network. */
function placeOf({ name }: Pick<ModelEntry, 'name'>, { url }: WeightsRecord): string {
  if (!url.startsWith('package:')) return url;
  const file = url.slice('package:'.length);
  const nodeModule = builtin<typeof import('node:module')>('node:module');
  // Beside this package, or, in a bundle or a strict tree of packages, beside the program.
  if (nodeModule)
    for (const place of [typeof __filename === 'string' ? __filename : import.meta.url, `${process.cwd()}/`])
      try {
        return nodeModule.createRequire(place).resolve(file);
      } catch {
        // Not installed there.
      }
  throw new ClassifyError(
    'ERR_NO_WEIGHTS',
    nodeModule
      ? `The weights of ${name} are the file ${file}, which is not found from here. Give its path with the option weights.`
      : `The weights of ${name} are the file ${file}, which a page does not find by itself. Copy it from node_modules to your site, and give its address with the option weights.`,
  );
}

/**
 * Recognises published weights in a file of the user: by its address, or by the hash that its name ends in, as
 * torchvision names files (`resnet50-0676ba61.pth`, and what was converted from it).
 */
function recognised(
  { weights }: Pick<ModelEntry, 'weights'>,
  source: Exclude<ClassifierWeights, Weights>,
): WeightsRecord | undefined {
  const name = isBlob(source)
    ? (source as Partial<File>).name
    : kindOf(source) === 'URL'
      ? String(source)
      : source;
  if (typeof name !== 'string') return undefined;
  const hash = /-([0-9a-f]{8,64})\.\w+$/.exec(name)?.[1];
  return Object.values(weights).find(
    ({ url, sha256 }) =>
      url === name ||
      (hash !== undefined && sha256 !== '' && (hash.startsWith(sha256) || sha256.startsWith(hash))),
  );
}

const fits = (model: Module, weights: Weights): boolean => {
  const { missing, unexpected, shapeMismatch } = matchWeights(model, weights);
  return missing.length + unexpected.length + shapeMismatch.length === 0;
};

/**
 * Renames weights of the user by the rule of published ones, if only that makes them fit.
 * @returns weights that do not fit as they are; `compile` refuses them, naming the keys.
 */
export function renamedToFit(
  model: Module,
  weights: Weights,
  { weights: records }: Pick<ModelEntry, 'weights'>,
): Weights {
  if (fits(model, weights)) return weights;
  for (const { rename } of Object.values(records)) {
    if (!rename) continue;
    try {
      const renamed = renameWeights(weights, rename);
      if (fits(model, renamed)) return renamed;
    } catch {
      // The rule gives two tensors one name, so it is not for these.
    }
  }
  return weights;
}

/**
 * Gives the preparation of pictures for weights that name none: that of the published ones if they agree, else the usual
 * one of the input's size.
 */
export function assumedTransform({ input, weights }: Pick<ModelEntry, 'input' | 'weights'>): Transform {
  const [first, ...others] = Object.values(weights).map(({ transform }) => transform);
  if (first && others.every((other) => JSON.stringify(other) === JSON.stringify(first))) return first;
  const [, channels, height] = input as readonly [number, number, number, number];
  if (channels === 1) return { ...imagenetPreset, resize: height, crop: height, mean: [0], std: [1] };
  // Small pictures, as CIFAR-10's, are not cut.
  const resize = height < 100 ? height : Math.round((height * 256) / 224);
  return { ...imagenetPreset, resize, crop: height };
}
