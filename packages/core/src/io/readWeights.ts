/** Reads weights from any file the world publishes them in; the format is found by content, not by name. */
import { FileFormatError } from '../errors.js';
import type { Weights } from '../tensor/tensor.js';
import type { Progress } from './fetch.js';
import { requireHashOption } from './hash.js';
import { type Limits, OverLimit, resolveLimits } from './limits.js';
import { openOnDemand } from './onDemand.js';
import { type Rename, renameWeights } from './rename.js';
import { looksLikeSafetensors, parseSafetensors } from './safetensors.js';
import { pathOf, readSource, type WeightSource } from './source.js';
import {
  looksLikeLegacyTorch,
  looksLikeZip,
  type ReadOptions,
  readLegacyTorch,
  readTorchZip,
} from './torch.js';

/** Options of {@link readWeights}. */
export interface ReadWeightsOptions {
  /** Renames keys, after a `module.` that all of them start with is gone. Two tensors of one name are an error. */
  readonly rename?: Rename;
  /** Bounds on what the file may ask for. Defaults: 2 GiB, 16 MiB of header, 20,000 tensors, 2^29 values. */
  readonly limits?: Partial<Limits>;
  /** Expected SHA-256 of the file in hexadecimal digits, all 64 or at least the first 6. */
  readonly sha256?: string;
  /** Told how far the read or download has come, in bytes. */
  readonly onProgress?: (progress: Progress) => void;
  /**
   * Leaves the values in their file until they are asked for, so that `compile` holds no second copy of a large
   * network's weights: for safetensors files on disk, in Node. All else is read whole. The file must stay as it
   * is until the weights are no longer needed, else asking for values is a FileFormatError. With `sha256` the
   * file is read whole too, as values that are read later could be others. Of files below some 40 MB the parts
   * leave more garbage than a second copy takes. Default false.
   */
  readonly onDemand?: boolean;
  /** Ends the read; the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Whether downloads are kept and used again. Default: in Node yes, in a browser (Cache storage) no. */
  readonly cache?: boolean;
  /** The folder for them in Node. Default: `CNN_CACHE`, else `cnn` in the user's cache folder. */
  readonly cacheDir?: string;
  /** Milliseconds without a byte after which a download is taken up again. Default 30,000. */
  readonly stallTimeout?: number;
}

/**
 * Weights from a path, URL, Blob or bytes: safetensors, PyTorch zip files (`.pt`, `.pth`), and PyTorch's
 * older format. No code in a file is ever run.
 *
 * Of a training checkpoint the state dict is taken: the dict of tensors under `state_dict`,
 * `model_state_dict`, `model`, `net`, `params`, `weights`, `module`, `state_dict_ema`, `model_ema` or
 * `params_ema`, in this order; else the file's own; else the only one in it. Optimizer state is left out, and
 * so are a `module.` that all names start with and PyTorch's `num_batches_tracked`.
 *
 * All types of numbers become float32; whole numbers beyond 2^24 round to the nearest. Float32 tensors are
 * views of the file's bytes (of the given bytes, where bytes are given), and tensors that share values in a
 * file share them here.
 * @throws FileFormatError for a wrong, truncated or crafted file, one over a limit or of another hash.
 * @throws DownloadError when a URL cannot be fetched.
 * @throws Error for a path that cannot be read, and for rename rules that give two tensors one name.
 * @example
 * const weights = await readWeights('resnet18-f37072fd.pth', { sha256: 'f37072fd' });
 */
export async function readWeights(source: WeightSource, options: ReadWeightsOptions = {}): Promise<Weights> {
  const limits = resolveLimits(options.limits);
  requireHashOption(options.sha256);
  const { signal } = options;
  const path = options.onDemand && options.sha256 === undefined ? pathOf(source) : undefined;
  const stored =
    path === undefined
      ? undefined
      : await openOnDemand(path, { ...options, limits }).catch((error: unknown) => fail(error, path));
  if (stored) return renameWeights(stored, options.rename);
  const { bytes, owned, place, forget } = await readSource(source, { ...options, limits });
  const weights = await parse(bytes, { limits, owned, signal }).catch(async (error: unknown) => {
    if (error instanceof FileFormatError && !(error instanceof OverLimit)) await forget();
    return fail(error, place);
  });
  return renameWeights(weights, options.rename);
}

/** Throws an error about a file, with the place of the file. */
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

/** What a file is instead, for the kinds that people do pass. */
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
