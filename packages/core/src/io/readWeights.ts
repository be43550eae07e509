/** Reads weights from any file the world publishes them in; the format is found by content, not by name. */
import { FileFormatError } from '../errors.js';
import type { Weights } from '../tensor/tensor.js';
import type { Progress } from './fetch.js';
import { defaultLimits, type Limits } from './limits.js';
import { looksLikeSafetensors, readSafetensors } from './safetensors.js';
import { readSource, type WeightSource } from './source.js';
import { looksLikeLegacyTorch, looksLikeZip, readLegacyTorch, readTorchZip } from './torch.js';

/** Gives a key of the file its name in the model: a function (undefined drops the key), or rules tried in order. */
export type Rename =
  | ((name: string) => string | undefined)
  | readonly (readonly [pattern: RegExp | string, replacement: string])[];

/** Options of {@link readWeights}. */
export interface ReadWeightsOptions {
  /** Renames keys after a common `module.` prefix is gone. Every rule is applied, in order. */
  readonly rename?: Rename;
  /** Bounds on what the file may ask for. Defaults: 4 GiB, 64 MiB of header, 100,000 tensors, 2^30 values. */
  readonly limits?: Partial<Limits>;
  /** Expected SHA-256 of the file, whole or its first digits, checked as it is read. */
  readonly sha256?: string;
  readonly onProgress?: (progress: Progress) => void;
  readonly signal?: AbortSignal;
  /** Folder for downloads in Node; false keeps none. Default: `CNN_CACHE`, else `cnn` in the user's cache folder. */
  readonly cache?: string | false;
  /** Milliseconds without a byte after which a download is taken up again. Default 30,000. */
  readonly stallTimeout?: number;
}

/**
 * Weights from a path, URL, Blob or bytes: safetensors, PyTorch zip files (`.pt`, `.pth`), and PyTorch's
 * older format. Of a training checkpoint the state dict is taken (`state_dict`, `model`, ...), the
 * optimizer's state beside it is not. A `module.` prefix that all keys share and PyTorch's
 * `num_batches_tracked` are dropped. Values become float32.
 * @throws FileFormatError for a wrong, truncated or crafted file, with format, offset and reason.
 * @throws DownloadError when a URL cannot be fetched.
 * @example
 * const weights = await readWeights(writeSafetensors(initialise(model)));
 */
export async function readWeights(source: WeightSource, options: ReadWeightsOptions = {}): Promise<Weights> {
  const limits = { ...defaultLimits, ...options.limits };
  const bytes = await readSource(source, { ...options, limits });
  let weights: Weights;
  try {
    weights = await parse(bytes, limits);
  } catch (error) {
    if (error instanceof FileFormatError || error instanceof DOMException) throw error;
    // Reading beyond the end of a DataView is how a truncated file shows in places without a check of their own.
    if (error instanceof RangeError)
      throw new FileFormatError('weight', `it is cut short or damaged (${error.message})`);
    throw error;
  }
  return renamed(weights, options.rename);
}

async function parse(bytes: Uint8Array, limits: Limits): Promise<Weights> {
  if (looksLikeZip(bytes)) return readTorchZip(bytes, limits);
  if (looksLikeLegacyTorch(bytes)) return readLegacyTorch(bytes, limits);
  if (looksLikeSafetensors(bytes)) return readSafetensors(bytes, limits);
  const start = [...bytes.subarray(0, 8)].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
  throw new FileFormatError(
    'weight',
    bytes.length === 0
      ? 'it is empty'
      : `it starts with ${start}, which is neither safetensors nor a PyTorch file. Convert it with safetensors or torch.save.`,
    0,
  );
}

function renamed(weights: Weights, rename: Rename = []): Weights {
  const names = [...weights.keys()];
  const wrapped = names.length > 0 && names.every((name) => name.startsWith('module.'));
  const apply =
    typeof rename === 'function'
      ? rename
      : (name: string): string =>
          rename.reduce((text, [pattern, replacement]) => text.replace(pattern, replacement), name);
  const result: Weights = new Map();
  for (const [original, value] of weights) {
    if (original.endsWith('num_batches_tracked')) continue;
    const name = apply(wrapped ? original.slice('module.'.length) : original);
    if (name === undefined) continue;
    if (result.has(name))
      throw new Error(`The rename rules give two keys the name '${name}', the second being '${original}'.`);
    result.set(name, value);
  }
  return result;
}
