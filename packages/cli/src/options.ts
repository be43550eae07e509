/** The options that several commands share, each written down once, and the readers of what is typed after an option. */
import type { BackendName } from '@cnn/core';
import { InvalidArgumentError, Option } from 'commander';

/** Where a command computes. */
export interface PlaceOptions {
  readonly backend: BackendName;
  readonly threads?: number;
}

/** A reader of numbers that fit; `what` says which do. */
export const number =
  (what: string, fits: (value: number) => boolean) =>
  (text: string): number => {
    const value = Number(text);
    if (!text.trim() || !Number.isFinite(value) || !fits(value))
      throw new InvalidArgumentError(`Give ${what}.`);
    return value;
  };

/** Reads a whole number from 1 up. */
export const count = number('a whole number from 1 up', (value) => Number.isSafeInteger(value) && value >= 1);

/** Reads a share. */
export const share = number('a number from 0 to 1', (value) => value >= 0 && value <= 1);

/** Reads `1x3x224x224`. */
export function shape(text: string): readonly number[] {
  const extents = text.split('x').map(Number);
  if (extents.length < 2 || !extents.every((extent) => Number.isSafeInteger(extent) && extent > 0))
    throw new InvalidArgumentError('Write a shape as 1x3x224x224.');
  return extents;
}

/** An option whose value is as it was typed, or what `read` makes of that. */
export function option<T>(
  flags: string,
  description: string,
  read?: (text: string) => T,
  preset?: T,
): Option {
  const made = new Option(flags, description).default(preset);
  return read ? made.argParser<T>(read) : made;
}

/** An option that takes one of some names. */
export const choice = (
  flags: string,
  description: string,
  names: readonly string[],
  preset?: string,
): Option => new Option(flags, description).choices(names).default(preset);

/** What `--backend` may be; a record, so that a back end that is new in core is missed here by the compiler. */
const backends: Readonly<Record<BackendName, true>> = { auto: true, gpu: true, wasm: true, reference: true };

/** The options that several commands have. */
export const shared = {
  model: option('--model <name>', "one of 'cnn list'; may be left out with weights that cnn has trained"),
  weights: option('--weights <source>', 'a file, a URL, a name of published weights, or default'),
  cache: option('--cache <folder>', "where downloads are kept; default: CNN_CACHE, else the user's cache"),
  modelOption: new Option('--option <key=value>', 'option of the model, such as width=0.5; may be repeated')
    .argParser<readonly string[]>((text, all) => [...all, text])
    .default([], 'none'),
  input: option('--input <shape>', "input shape, such as 1x3x224x224; default: the model's", shape),
  data: option(
    '--data <folder>',
    'a folder with the files of MNIST or CIFAR-10, or with a folder of pictures for each class',
  ).makeOptionMandatory(),
  badImage: choice(
    '--on-bad-image <what>',
    'what a picture that cannot be read does',
    ['skip', 'fail'],
    'fail',
  ),
  backend: choice(
    '--backend <name>',
    'what to run on; auto is the CPU here, gpu needs the packages gpu.js and webgpu',
    Object.keys(backends),
    'auto',
  ),
  threads: option('--threads <n>', 'threads for the CPU; default: one for each core', count),
  json: option('--json', 'the result as JSON'),
} as const;
