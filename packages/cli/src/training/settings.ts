/** Settings of a training run: made from the options, stored with the run, compared when it continues. */
import { type Module, ShapeError, type Transform, trace } from '@cnn/core';
import { UsageError } from '../errors.js';
import { printable, shortened } from '../terminal.js';
import type { TrainingOptions } from './options.js';
import {
  type AugmentName,
  augmentNames,
  type OptimizerName,
  optimizerNames,
  optimizers,
  type ScheduleName,
  scheduleNames,
} from './recipes.js';

/** Everything that determines the numbers of a run, as plain data; undefined for options not given. */
export interface Settings {
  readonly model: string;
  readonly options: readonly string[];
  readonly data: string;
  readonly batch: number;
  readonly optimizer: OptimizerName;
  readonly lr: number;
  readonly weightDecay: number;
  readonly schedule: ScheduleName;
  readonly clip?: number;
  readonly ema?: number;
  readonly labelSmoothing?: number;
  /** Text of `--class-weights`. */
  readonly classWeights?: string;
  readonly augment: AugmentName;
  readonly size: number;
  readonly validation: number;
  readonly seed: number;
  /** Source of the weights that fine-tuning starts from. */
  readonly weights?: string;
  readonly freeze?: string;
  readonly trunkLr?: number;
}

/** Makes settings from options; `defaults` are those of the command and of the model. */
export function settingsOf(
  model: string,
  options: TrainingOptions,
  defaults: { readonly augment: AugmentName; readonly size: number },
): Settings {
  const { data, batch, optimizer, schedule, clip, ema, labelSmoothing, classWeights, validation, seed } =
    options;
  return {
    model,
    options: options.option,
    data,
    batch,
    optimizer,
    schedule,
    validation,
    seed,
    clip,
    ema,
    labelSmoothing,
    classWeights,
    lr: options.lr ?? optimizers[optimizer].lr,
    weightDecay: options.weightDecay ?? optimizers[optimizer].weightDecay,
    augment: options.augment ?? defaults.augment,
    size: options.size ?? defaults.size,
  };
}

/** Kind of value of a setting: its description, and the test of a value read from a file. */
interface Kind {
  readonly words: string;
  holds(value: unknown): boolean;
}

const isText = (value: unknown): boolean => typeof value === 'string';
const text: Kind = { words: 'a text', holds: isText };
const texts: Kind = {
  words: 'a list of texts',
  holds: (value) => Array.isArray(value) && value.every(isText),
};
const number: Kind = { words: 'a number', holds: (value) => typeof value === 'number' };
const oneOf = (names: readonly string[]): Kind => ({
  words: `one of ${names.join(', ')}`,
  holds: (value) => isText(value) && names.includes(String(value)),
});
const optional = ({ words, holds }: Kind): Kind => ({
  words: `${words}, or left out`,
  holds: (value) => value === undefined || holds(value),
});

const kinds: Readonly<Record<keyof Settings, Kind>> = {
  model: text,
  options: texts,
  data: text,
  batch: number,
  optimizer: oneOf(optimizerNames),
  lr: number,
  weightDecay: number,
  schedule: oneOf(scheduleNames),
  clip: optional(number),
  ema: optional(number),
  labelSmoothing: optional(number),
  classWeights: optional(text),
  augment: oneOf(augmentNames),
  size: number,
  validation: number,
  seed: number,
  weights: optional(text),
  freeze: optional(text),
  trunkLr: optional(number),
};

/** Gives what is wrong with settings that were read from a file, as the end of a sentence; undefined if nothing is. */
export function faultOfSettings(stored: Readonly<Record<string, unknown>>): string | undefined {
  const unknown = Object.keys(stored).find((key) => !Object.hasOwn(kinds, key));
  if (unknown !== undefined) return `it has '${shortened(unknown)}', which is no setting`;
  for (const [key, { words, holds }] of Object.entries(kinds))
    if (!holds(stored[key]))
      return `its '${key}' is ${shortened(JSON.stringify(stored[key]) ?? 'missing')}, and must be ${words}`;
  return undefined;
}

/** Gives the name of a setting's option: `weight-decay` for `weightDecay`. */
export const flagOf = (key: string): string => key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** Gives the preset for another input size; the ratio of resize to crop stays. */
export const presetOf = (preset: Transform, size: number): Transform => ({
  ...preset,
  resize: Math.round((preset.resize * size) / preset.crop),
  crop: size,
});

/**
 * Checks that a model accepts an input size other than its usual one, before pictures are read.
 * @throws UsageError that names the option.
 */
export function requireSize(
  name: string,
  model: Module,
  { mean, crop }: Transform,
  usual: number,
  flag = '--size',
): void {
  if (crop === usual) return;
  try {
    trace(model, [1, mean.length, crop, crop], { name });
  } catch (error) {
    if (!(error instanceof ShapeError)) throw error;
    throw new UsageError(
      `${name} does not accept ${flag} ${crop} (${error.message}). The default is ${usual}.`,
    );
  }
}

/** Gives a setting for a message. One from a file may be of any type. */
function shown(value: unknown): string {
  if (value === undefined) return 'none';
  const isList = Array.isArray(value) && value.every((item) => typeof item === 'string');
  if (typeof value === 'object' && !isList) return 'no setting';
  return shortened(printable(String(value)));
}

/** True if two settings are the same: texts, numbers or lists of texts. */
const isSame = (a: unknown, b: unknown): boolean =>
  Array.isArray(a) && Array.isArray(b)
    ? a.length === b.length && a.every((item, i) => item === b[i])
    : a === b;

/**
 * Compares the settings of a continued run with the settings at its start.
 * @throws UsageError that names every difference.
 */
export function requireSame(before: Settings, now: Settings, out: string): void {
  const keys = [...new Set([...Object.keys(before), ...Object.keys(now)])] as (keyof Settings)[];
  const changed = keys.filter((key) => !isSame(before[key], now[key]));
  if (changed.length > 0)
    throw new UsageError(
      `The run in ${out} cannot continue with other settings: ${changed.map((key) => `${shortened(printable(flagOf(key)))} was ${shown(before[key])} and is ${shown(now[key])}`).join('; ')}. Give the same settings, or start a new run with another --out.`,
    );
}
