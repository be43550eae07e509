/**
 * Reads weight files: safetensors and PyTorch's two formats, told apart by their first bytes, not by name.
 * The first step on the way of a weight from file to packed weights; see {@link Weights} for the others.
 */
import { FileFormatError } from '../errors.js';
import type { Weights } from '../tensor/tensor.js';
import type { Progress } from './fetch.js';
import { requireHashOption } from './hash.js';
import { type Limits, OverLimit, resolveLimits } from './limits.js';
import { openOnDemand } from './onDemand.js';
import { type Rename, renameWeights } from './rename.js';
import { looksLikeSafetensors, parseSafetensors } from './safetensors.js';
import { pathOf, readSource, sourceOfThisRealm, type WeightSource } from './source.js';
import {
  looksLikeLegacyTorch,
  looksLikeZip,
  type ReadOptions,
  readLegacyTorch,
  readTorchZip,
} from './torch.js';

/** Options of {@link readWeights}. */
export interface ReadWeightsOptions {
  /** Renames keys, after a `module.` prefix common to all has been removed. Two keys may not get one name. */
  readonly rename?: Rename;
  /** Bounds on the file's sizes. Defaults: 2 GiB in all, 16 MiB of header, 20,000 tensors, 2^29 values. */
  readonly limits?: Partial<Limits>;
  /**
   * Expected SHA-256 of the file in hexadecimal digits, all 64 or at least the first 6. Default: not checked.
   */
  readonly sha256?: string;
  /** Called with the number of bytes read or downloaded so far. */
  readonly onProgress?: (progress: Progress) => void;
  /**
   * Leaves the values in their file until they are used: the tensors are `LazyTensor`s, and `compile` holds
   * no second copy of a large network's weights. Applies to safetensors files on disk, in Node; all others
   * are read whole. Do not change the file while the weights are in use: reading values of a changed file
   * throws a FileFormatError. With `sha256` the file is read whole too, since values read later could differ
   * from the hashed ones. Below some 40 MB, reading in parts leaves more garbage than a second copy takes.
   * Default false.
   */
  readonly onDemand?: boolean;
  /** Aborts the read; the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /**
   * Keeps downloads and reuses them. Default: true in Node, false in a browser (where it is Cache storage).
   */
  readonly cache?: boolean;
  /** Folder of the kept downloads, in Node. Default: `CNN_CACHE`, else `cnn` in the user's cache folder. */
  readonly cacheDir?: string;
  /** Milliseconds without a byte after which a download is resumed. Default 30,000. */
  readonly stallTimeout?: number;
  /**
   * `'error'` refuses redirects of the server. Default `'follow'`: they are followed, to other origins and to
   * private addresses too.
   */
  readonly redirect?: 'follow' | 'error';
}

/**
 * Reads weights from a path, URL, Blob or bytes: safetensors, PyTorch zip files (`.pt`, `.pth`), and
 * PyTorch's format before version 1.6. No code in a file is ever run.
 *
 * From a training checkpoint only the state dict is read: the dict of tensors under `state_dict`,
 * `model_state_dict`, `model`, `net`, `params`, `weights`, `module`, `state_dict_ema`, `model_ema` or
 * `params_ema`, in this order; else the file's top-level dict; else the only dict of tensors in it. Optimizer
 * state and PyTorch's `num_batches_tracked` are left out; a `module.` prefix of all names is removed.
 *
 * All number types become float32; integers beyond 2^24 round to the nearest float32. Float32 tensors are
 * views of the file's bytes (of `source`, if it is bytes, which are not copied), and tensors that share
 * storage in the file share it here.
 * @throws FileFormatError for a file of another format or hash, truncated, crafted, or over a limit.
 * @throws DownloadError if a URL cannot be fetched.
 * @throws Error for a path that cannot be read, and for rename rules that give two tensors one name.
 * @throws TypeError for another kind of source, which it names, and a malformed `sha256` or limit.
 * @example
 * const weights = await readWeights('resnet18-f37072fd.pth', { sha256: 'f37072fd' });
 */
export async function readWeights(source: WeightSource, options: ReadWeightsOptions = {}): Promise<Weights> {
  source = sourceOfThisRealm(source);
  const limits = resolveLimits(options.limits);
  requireHashOption(options.sha256);
  const { signal } = options;
  const path = options.onDemand && options.sha256 === undefined ? pathOf(source) : undefined;
  const lazy =
    path === undefined
      ? undefined
      : await openOnDemand(path, { ...options, limits }).catch((error: unknown) => fail(error, path));
  if (lazy) return renameWeights(lazy, options.rename);
  const { bytes, owned, place, forget } = await readSource(source, { ...options, limits });
  const weights = await parse(bytes, { limits, owned, signal }).catch(async (error: unknown) => {
    if (error instanceof FileFormatError && !(error instanceof OverLimit)) await forget();
    return fail(error, place);
  });
  return renameWeights(weights, options.rename);
}

/** Throws the error; adds the path or URL of the file to a FileFormatError. */
function fail(error: unknown, place: string | undefined): never {
  throw error instanceof FileFormatError && place !== undefined
    ? new FileFormatError(error.format, `${error.reason} (${place})`, error.offset)
    : error;
}

async function parse(bytes: Uint8Array, options: ReadOptions): Promise<Weights> {
  if (looksLikeZip(bytes)) return readTorchZip(bytes, options);
  if (looksLikeLegacyTorch(bytes)) return readLegacyTorch(bytes, options);
  if (looksLikeSafetensors(bytes)) return parseSafetensors(bytes, options).weights;
  throw new FileFormatError('weight', describeOther(bytes), 0);
}

const latin1 = (bytes: Uint8Array): string => String.fromCharCode(...bytes);

/** Names the format of a file that cannot be read, for formats that people pass by mistake. */
function describeOther(bytes: Uint8Array): string {
  if (bytes.length === 0) return 'it is empty';
  const start = latin1(bytes.subarray(0, 64));
  const convert =
    'Convert it with safetensors, or save the weights with torch.save(model.state_dict(), file).';
  if (/^\s*</.test(start)) return 'it is a web page or XML; check that the URL leads to the file itself';
  if (start.startsWith('version https://git-lfs'))
    return 'it is a Git LFS pointer; fetch the real file with git lfs pull';
  if (start.startsWith('\x1f\x8b')) return 'it is compressed with gzip; decompress it first';
  if (start.startsWith('\x89HDF')) return `it is an HDF5 file, as Keras writes. ${convert}`;
  if (latin1(bytes.subarray(257, 262)) === 'ustar')
    return `it is a tar archive, as PyTorch wrote before 0.1.10. Unpack it, or open it in PyTorch. ${convert}`;
  if (start.startsWith('\x80')) return `it is a pickle, but not one of PyTorch's. ${convert}`;
  const digits = Array.from(bytes.subarray(0, 8), (byte) => byte.toString(16).padStart(2, '0')).join(' ');
  return `it starts with ${digits}, which is neither safetensors nor a PyTorch file. ${convert}`;
}
