/** The options of `readWeights`, checked before a byte is read: a wrong one is a sentence, not a fault after a download. */
import { kindOf, showValue } from '../realms.js';
import { isSignal } from '../signal.js';
import type { Progress } from './fetch.js';
import type { Limits } from './limits.js';
import type { WeightsNote } from './notes.js';
import type { Rename } from './rename.js';

/** Options of `readWeights`. */
export interface ReadWeightsOptions {
  /**
   * Keys that lead to the state dict, joined by dots: `'state_dict_ema'`, `'model.state_dict'`; or a prefix of
   * names: `'generator'` for `generator.conv.weight`. Default: see `readWeights`.
   */
  readonly from?: string;
  /**
   * Renames keys, after prefixes of wrappers have been removed. Two keys may not get one name. Tensors that it
   * leaves out are not looked at, so they may be of any type.
   */
  readonly rename?: Rename;
  /**
   * Called with each decision that reading took: the state dict, of several; changed names; what was left out.
   * Default: `console.warn` if the file holds several state dicts, silence otherwise.
   */
  readonly onNote?: (note: WeightsNote) => void;
  /** Bounds on the file's sizes. Defaults: 2 GiB in all, 16 MiB of header, 20,000 tensors, 2^29 values. */
  readonly limits?: Partial<Limits>;
  /**
   * Expected SHA-256 of the file in hexadecimal digits, all 64 or at least the first 6; refused for an index, whose
   * other files it does not cover. Default: not checked.
   */
  readonly sha256?: string;
  /** Called with the number of bytes read or downloaded so far. */
  readonly onProgress?: (progress: Progress) => void;
  /**
   * Leaves the values in their file until they are used: the tensors are `LazyTensor`s, and `compile` holds
   * no second copy of a large network's weights. Applies to safetensors files and PyTorch's zip files on disk, in
   * Node, of any size; all others are read whole. Values that are compressed, or not contiguous, are read at once. Do
   * not change the file while the weights are in use: reading values of a changed file
   * throws a FileFormatError. With `sha256` the file is read whole too, since values read later could differ
   * from the hashed ones. Below some 40 MB, reading in parts leaves more garbage than a second copy takes.
   * Default false.
   */
  readonly onDemand?: boolean;
  /** Aborts the read; the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /**
   * Keeps downloads and reuses them. In Node a kept file that no longer has the hash it had, which takes 0.13 seconds
   * for 100 MB to check, is downloaded again with a warning. Default: true in Node, false in a browser (where it is Cache storage).
   */
  readonly cache?: boolean;
  /** Folder of the kept downloads, in Node. Default: `CNN_CACHE`, else `cnn` in the user's cache folder. */
  readonly cacheDir?: string;
  /** Milliseconds without a byte after which a download is resumed; from 2^31 on, never. Default 30,000. */
  readonly stallTimeout?: number;
  /**
   * `'error'` refuses redirects of the server. Default `'follow'`: they are followed, to other origins and to
   * private addresses too.
   */
  readonly redirect?: 'follow' | 'error';
}

/** A test of a value, and the kind of value that passes it, for the error. */
type Kind = readonly [isKind: (value: unknown) => boolean, kind: string];

const isFunction = (value: unknown): boolean => typeof value === 'function';
const isText = (value: unknown): value is string => typeof value === 'string';
const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;
const flag: Kind = [(value) => typeof value === 'boolean', 'true or false'];
const callback: Kind = [isFunction, 'a function'];

const isRule = (rule: unknown): boolean =>
  Array.isArray(rule) && (isText(rule[0]) || kindOf(rule[0]) === 'RegExp') && isText(rule[1]);

const kinds: Readonly<Record<keyof ReadWeightsOptions, Kind>> = {
  from: [(value) => isText(value) && value !== '', "keys joined by dots, such as 'state_dict_ema'"],
  rename: [
    (value) => isFunction(value) || (Array.isArray(value) && value.every(isRule)),
    'a function or a list of rules, each a pattern and its replacement',
  ],
  onNote: callback,
  limits: [isObject, 'an object of limits'],
  sha256: [(value) => isText(value) && /^[0-9a-f]{6,64}$/i.test(value), '6 to 64 hexadecimal digits'],
  onProgress: callback,
  onDemand: flag,
  signal: [isSignal, 'an AbortSignal'],
  cache: flag,
  cacheDir: [isText, 'the path of a folder'],
  stallTimeout: [(value) => typeof value === 'number' && value > 0, 'a number of milliseconds above 0'],
  redirect: [(value) => value === 'follow' || value === 'error', "'follow' or 'error'"],
};

/** Throws a TypeError that names the first option of a wrong kind. `undefined` counts as not given. */
export function requireOptions(options: ReadWeightsOptions): void {
  if (!isObject(options))
    throw new TypeError(`The options of readWeights are an object, got ${showValue(options)}.`);
  for (const [name, [isKind, kind]] of Object.entries(kinds)) {
    const value: unknown = options[name as keyof ReadWeightsOptions];
    if (value !== undefined && !isKind(value))
      throw new TypeError(`The option ${name} is ${kind}, got ${showValue(value)}.`);
  }
}
