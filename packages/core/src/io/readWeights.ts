/**
 * Reads weight files: safetensors and PyTorch's two formats, told apart by their first bytes, not by name.
 * The first step on the way of a weight from file to packed weights; see {@link Weights} for the others.
 */
import { FileFormatError } from '../errors.js';
import { printable } from '../printable.js';
import { sizeOf } from '../tensor/shape.js';
import type { Weights } from '../tensor/tensor.js';
import { timeSlices } from '../yield.js';
import { withoutUnused } from './convert.js';
import { describeFile } from './describeFile.js';
import { type FileBytes, inMemory, onDisk } from './fileBytes.js';
import { type Limits, OverLimit, resolveLimits, type SharedLimits, withinLimit } from './limits.js';
import { chosenBy, type Listing, type ReadOptions } from './listing.js';
import { Notes } from './notes.js';
import { isNpz, listNpz } from './npz.js';
import { type ReadWeightsOptions, requireOptions } from './options.js';
import { understandNames } from './rename.js';
import { listSafetensors, looksLikeSafetensors } from './safetensors.js';
import { requireShard, type Shards, shardsOf } from './shards.js';
import { besideSource, pathOf, readSource, sourceOfThisRealm, type WeightSource } from './source.js';
import {
  isTorchZip,
  listLegacyTorch,
  listPickle,
  listTorchZip,
  looksLikeLegacyTorch,
  looksLikeZip,
} from './torch.js';
import { readZip } from './zip.js';

/**
 * Reads weights from a path, URL, Blob or bytes: safetensors, whole or divided over the files of an index
 * (`model.safetensors.index.json`), PyTorch zip files (`.pt`, `.pth`), TorchScript programs, PyTorch's format
 * before version 1.6, and arrays of numpy (`.npz`, or in a pickle). No code in a file is ever run.
 *
 * From a training checkpoint only the state dict is read: the dict of tensors that `from` names; else the one
 * under `state_dict`, `model_state_dict`, `model`, `net`, `params`, `weights`, `module` or `model_state`, in
 * this order, or its average under `state_dict_ema`, `model_ema`, `params_ema`, `ema_state_dict` or `ema`,
 * which is preferred if it is complete: accuracies are published for averaged weights, and timm takes them
 * too. Else it is the file's top-level dict, or the dict in it with the most tensors. `onNote` hears of it.
 *
 * Names lose what wrappers of a network add: `_orig_mod.` (torch.compile) anywhere; a `module.` of all names
 * (DataParallel, AveragedModel); in a checkpoint a `model.` of all names (Lightning). Counters beside the
 * network, optimizer state and PyTorch's `num_batches_tracked` are left out.
 *
 * All number types become float32; integers beyond 2^24 round to the nearest float32. Float32 tensors are
 * views of the file's bytes (of `source`, if it is bytes, which are not copied), and tensors that share
 * storage in the file share it here; but if views would keep more than 8 MiB, and more than they use, of other
 * bytes in memory, they are copied.
 * @throws FileFormatError for a file of another format or hash, truncated, crafted, or over a limit.
 * @throws DownloadError if a URL cannot be fetched.
 * @throws Error for a path that cannot be read, and for rename rules that give two tensors one name.
 * @throws TypeError for another kind of source, which it names, for a malformed option, and for a `sha256` of an
 * index.
 * @example
 * const weights = await readWeights('resnet18-f37072fd.pth', { sha256: 'f37072fd' });
 * const averaged = await readWeights('checkpoint.pth', { from: 'state_dict_ema' });
 */
export async function readWeights(source: WeightSource, options: ReadWeightsOptions = {}): Promise<Weights> {
  source = sourceOfThisRealm(source);
  requireOptions(options);
  const limits = resolveLimits(options.limits);
  const notes = new Notes();
  const weights = await readFrom(source, options, limits, notes);
  for (const note of notes.all)
    if (options.onNote) options.onNote(note);
    else if (note.kind === 'choice')
      console.warn(`${note.text} Choose with readWeights(source, { from: '...' }).`);
  return weights;
}

async function readFrom(
  source: WeightSource,
  options: ReadWeightsOptions,
  limits: Limits,
  notes: Notes,
): Promise<Weights> {
  const { signal, rename, from } = options;
  const opened = await open(source, options, limits);
  const sliced = timeSlices(signal);
  const shards = await shardsOf(opened.bytes, limits);
  await sliced();
  if (!shards) {
    const file = await list(opened, { limits, owned: opened.owned, signal, from, notes });
    await sliced();
    const names = { rename, within: file.within, isScalar: (tensor: FileTensor) => tensor.isScalar };
    const chosen = understandNames(file.tensors, names, notes);
    await sliced();
    return file.read(chosen);
  }
  if (options.sha256 !== undefined)
    throw new TypeError(
      `The option sha256 is the hash of one file, but the source is the index of weights in ${shards.size} other ${shards.size === 1 ? 'file' : 'files'}, which it would not check. Leave it out, or read each file with its own.`,
    );
  const parts = await openShards(source, shards, options, limits, notes);
  const weights: Weights = new Map();
  let elements = 0;
  // The bytes of a file whose values are converted are freed before the next one is read.
  for (let part = parts.shift(); part; part = parts.shift()) {
    for (const [name, value] of await part()) {
      weights.set(name, value);
      elements += sizeOf(value.shape);
    }
    withinLimit('weight', limits, 'maxElements', elements);
  }
  return weights;
}

/** Opens the files of an index beside it; gives functions that read the chosen tensors of each. */
async function openShards(
  source: WeightSource,
  shards: Shards,
  options: ReadWeightsOptions,
  limits: Limits,
  notes: Notes,
): Promise<(() => Promise<Weights>)[]> {
  // The prefixes, the rules and `from` are those of all files together: a file may hold no tensor under `from`.
  const { rename, from, ...rest } = options;
  const all = new Map<string, { readonly file: OpenFile; readonly tensor: FileTensor }>();
  let bytesBefore = 0;
  for (const name of shards.keys()) {
    const shard = besideSource(source, name);
    if (shard === undefined)
      throw new FileFormatError(
        'weight',
        `it is the index of weights in ${shards.size} other files; pass its path or URL, so that they are found beside it`,
      );
    // Refuses a file before it is read; those whose values stay on disk take no memory.
    const opened = await open(shard, rest, { ...limits, bytesBefore });
    if (!opened.bytes.lazy) bytesBefore += opened.bytes.length;
    const file = await list(opened, { limits, owned: opened.owned, signal: rest.signal, notes });
    requireShard(shards, name, file.tensors);
    for (const [key, tensor] of file.tensors) all.set(key, { file, tensor });
  }
  const chosen = understandNames(
    chosenBy('weight', all, from),
    { rename, isScalar: ({ tensor }) => tensor.isScalar },
    notes,
  );
  withinLimit('weight', limits, 'maxTensors', chosen.size);
  const files = new Map<OpenFile, Map<string, FileTensor>>();
  for (const [name, { file, tensor }] of chosen)
    files.set(file, (files.get(file) ?? new Map<string, FileTensor>()).set(name, tensor));
  return [...files].map(
    ([file, own]) =>
      () =>
        file.read(own),
  );
}

/** Bytes of a source, in memory or on disk. */
interface OpenSource {
  readonly bytes: FileBytes;
  /** True if a reader may overwrite them. */
  readonly owned: boolean;
  /** Throws an error of a reader; adds the place to it, and deletes a cached download that cannot be read. */
  failed(error: unknown): Promise<never>;
}

async function open(
  source: WeightSource,
  options: ReadWeightsOptions,
  limits: SharedLimits,
): Promise<OpenSource> {
  const path = options.onDemand && options.sha256 === undefined ? pathOf(source) : undefined;
  if (path !== undefined) {
    const bytes = await onDisk(path, options);
    const start = await bytes.read(0, Math.min(bytes.length, 9));
    if (looksLikeZip(start) || looksLikeSafetensors(start))
      return { bytes, owned: true, failed: async (error) => fail(error, path) };
  }
  const { bytes, owned, place, forget } = await readSource(source, { ...options, limits });
  return {
    bytes: inMemory(bytes),
    owned,
    async failed(error) {
      if (error instanceof FileFormatError && !(error instanceof OverLimit)) await forget();
      return fail(error, place);
    },
  };
}

/** A weight file whose tensors are listed, and not read yet. */
interface OpenFile {
  /** By their names in the file. */
  readonly tensors: ReadonlyMap<string, FileTensor>;
  /** See `Listing.within`. */
  readonly within: Listing<unknown>['within'];
  /** Reads some of the tensors, under new names. */
  read(chosen: ReadonlyMap<string, FileTensor>): Promise<Weights>;
}

/** A tensor of an open file. */
interface FileTensor {
  readonly name: string;
  readonly isScalar: boolean;
}

/** Lists the tensors of a file of any format. */
async function list({ bytes, failed }: OpenSource, options: ReadOptions): Promise<OpenFile> {
  const opened = <T>({ tensors, within, isScalar: isScalarOf, read }: Listing<T>): OpenFile => ({
    tensors: new Map([...tensors].map(([name, tensor]) => [name, { name, isScalar: isScalarOf(tensor) }])),
    within,
    read: (chosen) =>
      read(new Map([...chosen].map(([name, tensor]) => [name, tensors.get(tensor.name)!])))
        .then((weights) => (bytes.lazy ? weights : withoutUnused(weights, options.signal)))
        .catch(failed),
  });
  return parse(bytes, options, opened).catch(failed);
}

/** Throws the error; adds the path or URL of the file to a FileFormatError. */
function fail(error: unknown, place: string | undefined): never {
  throw error instanceof FileFormatError && place !== undefined
    ? new FileFormatError(error.format, `${error.reason} (${printable(place)})`, error.offset)
    : error;
}

/** Lists the tensors of a file. @param opened - called with the listing. */
async function parse(
  file: FileBytes,
  options: ReadOptions,
  opened: <T>(listing: Listing<T>) => OpenFile,
): Promise<OpenFile> {
  const start = await file.read(0, Math.min(file.length, 64));
  if (looksLikeZip(start)) {
    const entries = await readZip(file, options.limits, options.signal);
    if (isNpz(entries) && !isTorchZip(entries)) return opened(listNpz(file, entries, options));
    return opened(await listTorchZip(file, entries, options));
  }
  if (looksLikeSafetensors(start)) return opened(await listSafetensors(file, options));
  const bytes = await file.read(0, file.length);
  if (looksLikeLegacyTorch(bytes)) return opened(await listLegacyTorch(bytes, options));
  if (bytes[0] === 0x80) return opened(await otherPickle(bytes, options));
  throw new FileFormatError('weight', describeFile(bytes), 0);
}

/** Reads a pickle that PyTorch did not write: numpy's arrays in it are weights too. */
const otherPickle = (bytes: Uint8Array, options: ReadOptions) =>
  listPickle(bytes, options).catch((error: unknown) => {
    if (!(error instanceof FileFormatError) || error instanceof OverLimit) throw error;
    throw new FileFormatError(
      'weight',
      `it is a pickle, but not one of PyTorch's: ${error.reason}`,
      error.offset,
    );
  });
