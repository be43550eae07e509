/** Options that several commands share, and parsers of option values. */
import type { BackendName } from '@cnn/core';
import { InvalidArgumentError, Option } from 'commander';
import { commandOf } from './invocation.js';

/** Back end of a command. */
export interface PlaceOptions {
  readonly backend: BackendName;
  readonly threads?: number;
}

/**
 * Makes a parser of numbers.
 * @param what - description of the accepted numbers, for the error.
 */
export const number =
  (what: string, fits: (value: number) => boolean) =>
  (text: string): number => {
    const value = Number(text);
    if (!text.trim() || !Number.isFinite(value) || !fits(value))
      throw new InvalidArgumentError(`Give ${what}.`);
    return value;
  };

/** Parses a whole number from 1 up. */
export const count = number('a whole number from 1 up', (value) => Number.isSafeInteger(value) && value >= 1);

/** Parses a number from 0 to 1. */
export const share = number('a number from 0 to 1', (value) => value >= 0 && value <= 1);

/** Parses a shape such as `1x3x224x224`. */
export function shape(text: string): readonly number[] {
  const extents = text.split('x').map(Number);
  if (extents.length < 2 || !extents.every((extent) => Number.isSafeInteger(extent) && extent > 0))
    throw new InvalidArgumentError('Write a shape as 1x3x224x224.');
  return extents;
}

/** Makes an option whose value is the text that follows it, or the result of `read` on that text. */
export function option<T>(
  flags: string,
  description: string,
  read?: (text: string) => T,
  preset?: T,
): Option {
  const made = new Option(flags, description).default(preset);
  return read ? made.argParser<T>(read) : made;
}

/** Makes an option that accepts one of several names. */
export const choice = (
  flags: string,
  description: string,
  names: readonly string[],
  preset?: string,
): Option => new Option(flags, description).choices(names).default(preset);

/** Values of `--backend`; a record, so that the compiler demands every back end of core. */
const backends: Readonly<Record<BackendName, true>> = { auto: true, gpu: true, wasm: true, reference: true };

/** Options of several commands. */
export const shared = {
  model: option(
    '--model <name>',
    `a name from '${commandOf('list')}'; optional with weights that cnn has trained`,
  ),
  weights: option('--weights <source>', 'a file, a URL, a name of published weights, or default'),
  weightsKey: option(
    '--weights-key <keys>',
    'keys of the weights in a checkpoint, such as state_dict or model.ema; or a prefix of names',
  ),
  rename: new Option(
    '--rename <old=new>',
    'replace text in the names of the weights, or /regular expression/=new; may be repeated',
  )
    .argParser<readonly string[]>((text, all) => [...all, text])
    .default([], 'none'),
  cache: option(
    '--cache <folder>',
    "folder of downloads; default: CNN_CACHE, else cnn in the user's cache folder",
  ),
  modelOption: new Option('--option <key=value>', 'option of the model, such as width=0.5; may be repeated')
    .argParser<readonly string[]>((text, all) => [...all, text])
    .default([], 'none'),
  input: option('--input <shape>', "input shape, such as 1x3x224x224; default: the model's", shape),
  data: option(
    '--data <folder>',
    'a folder with the files of MNIST or CIFAR-10, or with one folder of pictures per class',
  ).makeOptionMandatory(),
  badImage: choice(
    '--on-bad-image <what>',
    'what to do with a picture that cannot be read',
    ['skip', 'fail'],
    'fail',
  ),
  backend: choice(
    '--backend <name>',
    'back end; auto is the CPU, gpu needs the packages gpu.js and webgpu',
    Object.keys(backends),
    'auto',
  ),
  threads: option('--threads <n>', 'CPU threads; default: one per core', count),
  json: option('--json', 'print the result as JSON'),
} as const;
