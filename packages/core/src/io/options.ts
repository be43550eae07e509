/** Checks the options of `readWeights` before a byte is read: a wrong one is a sentence, not a fault after a download. */
import { describeValue, kindOf } from '../realms.js';
import { quote } from './quote.js';
import type { ReadWeightsOptions } from './readWeights.js';

/** A test of a value, and the kind of value that passes it, for the error. */
type Kind = readonly [isKind: (value: unknown) => boolean, kind: string];

const isFunction = (value: unknown): boolean => typeof value === 'function';
const isText = (value: unknown): value is string => typeof value === 'string';
const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;
const flag: Kind = [(value) => typeof value === 'boolean', 'true or false'];
const callback: Kind = [isFunction, 'a function'];

const isRule = (rule: unknown): boolean =>
  Array.isArray(rule) && (isText(rule[0]) || kindOf(rule[0]) === 'RegExp') && isText(rule[1]);

const isSignal = (value: unknown): boolean =>
  isObject(value) &&
  ['throwIfAborted', 'addEventListener', 'removeEventListener'].every((method) =>
    isFunction(value[method as keyof object]),
  );

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

const shown = (value: unknown): string => {
  if (isText(value)) return quote(value);
  return typeof value === 'number' ? String(value) : describeValue(value);
};

/** Throws a TypeError that names the first option of a wrong kind. `undefined` counts as not given. */
export function requireOptions(options: ReadWeightsOptions): void {
  if (!isObject(options))
    throw new TypeError(`The options of readWeights are an object, got ${shown(options)}.`);
  for (const [name, [isKind, kind]] of Object.entries(kinds)) {
    const value: unknown = options[name as keyof ReadWeightsOptions];
    if (value !== undefined && !isKind(value))
      throw new TypeError(`The option ${name} is ${kind}, got ${shown(value)}.`);
  }
}
