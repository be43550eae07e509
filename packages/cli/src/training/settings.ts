/** The settings of a training run: read from what was typed, kept beside the run, compared when it goes on. */
import type { BackendName, Transform } from '@cnn/core';
import {
  type Augmentation,
  adam,
  adamW,
  alexnetRecipe,
  centerCrop,
  colorJitter,
  compose,
  constantRate,
  cosine,
  type Dataset,
  type Normalisation,
  type Optimizer,
  oneCycle,
  randomCrop,
  randomHorizontalFlip,
  randomResizedCrop,
  reduceOnPlateau,
  resizeTo,
  rmsprop,
  type Schedule,
  sgd,
  stepDecay,
  type Views,
} from '@cnn/train';
import { UsageError } from '../errors.js';
import { parseCount } from '../options.js';

/** What is typed for `cnn train` and `cnn finetune` alike. */
export interface TrainingOptions {
  readonly data: string;
  readonly epochs: string;
  readonly batch: string;
  readonly lr?: string;
  readonly optimizer: OptimizerName;
  readonly weightDecay?: string;
  readonly schedule: ScheduleName;
  readonly augment?: AugmentName;
  readonly size?: string;
  readonly validation: string;
  readonly patience?: string;
  readonly onBadImage: 'skip' | 'fail';
  readonly seed: string;
  readonly out?: string;
  readonly resume?: boolean;
  readonly option: readonly string[];
  readonly backend: BackendName;
  readonly threads?: string;
  readonly json?: boolean;
  /** The command line as it was typed. */
  readonly args: readonly string[];
}

/** Whatever decides the numbers of a run, as plain data. */
export interface Settings {
  readonly model: string;
  readonly options: readonly string[];
  readonly data: string;
  readonly batch: number;
  readonly optimizer: OptimizerName;
  readonly lr: number;
  readonly weightDecay: number;
  readonly schedule: ScheduleName;
  readonly augment: AugmentName;
  readonly size: number;
  readonly validation: number;
  readonly seed: number;
  /** What fine-tuning starts from, and what of it stays as it is. */
  readonly weights?: string;
  readonly freeze?: string;
  readonly trunkLr?: number;
}

const optimizers = {
  sgd: { lr: 0.05, weightDecay: 5e-4, make: (o: Rates) => sgd({ ...o, momentum: 0.9 }) },
  adam: { lr: 1e-3, weightDecay: 0, make: (o: Rates) => adam(o) },
  adamW: { lr: 1e-3, weightDecay: 0.01, make: (o: Rates) => adamW(o) },
  rmsprop: { lr: 1e-3, weightDecay: 0, make: (o: Rates) => rmsprop({ ...o, momentum: 0.9 }) },
} as const;
interface Rates {
  readonly learningRate: number;
  readonly weightDecay: number;
}

/** What `--optimizer` may be. */
export type OptimizerName = keyof typeof optimizers;
/** The names that `--optimizer` takes. */
export const optimizerNames = Object.keys(optimizers) as readonly OptimizerName[];

const schedules = {
  cosine: () => cosine(),
  constant: () => constantRate(),
  step: (epochs: number) => stepDecay({ epochs: Math.max(1, Math.ceil(epochs / 3)) }),
  'one-cycle': () => oneCycle(),
  plateau: () => reduceOnPlateau({ patience: 3 }),
} as const satisfies Record<string, (epochs: number) => Schedule>;

/** What `--schedule` may be. */
export type ScheduleName = keyof typeof schedules;
/** The names that `--schedule` takes. */
export const scheduleNames = Object.keys(schedules) as readonly ScheduleName[];

/** The names that `--augment` takes. */
export const augmentNames = ['none', 'standard', 'color', 'alexnet'] as const;
/** What `--augment` may be. */
export type AugmentName = (typeof augmentNames)[number];

/** A number within bounds. */
function parseNumber(option: string, text: string, least: number, most = Infinity): number {
  const value = Number(text);
  if (!text.trim() || !(value >= least && value <= most))
    throw new UsageError(
      `--${option} is '${text}'; give a number from ${least}${most === Infinity ? ' up' : ` to ${most}`}.`,
    );
  return value;
}

/** The settings in what was typed. `defaults` are those of the command. */
export function parseSettings(
  model: string,
  options: TrainingOptions,
  preset: Transform,
  defaults: { readonly augment: AugmentName },
): Settings {
  const optimizer = optimizers[options.optimizer];
  const seed = parseNumber('seed', options.seed, 0, 2 ** 32 - 1);
  if (!Number.isInteger(seed)) throw new UsageError(`--seed is '${options.seed}'; give a whole number.`);
  return {
    model,
    options: options.option,
    data: options.data,
    batch: parseCount(options.batch),
    optimizer: options.optimizer,
    lr: options.lr === undefined ? optimizer.lr : parseNumber('lr', options.lr, 0),
    weightDecay:
      options.weightDecay === undefined
        ? optimizer.weightDecay
        : parseNumber('weight-decay', options.weightDecay, 0),
    schedule: options.schedule,
    augment: options.augment ?? defaults.augment,
    size: options.size === undefined ? preset.crop : parseCount(options.size),
    validation: parseNumber('validation', options.validation, 0, 0.9),
    seed,
  };
}

/** The preset for pictures of another size: the resize keeps its proportion to the crop. */
export const presetOf = (preset: Transform, size: number): Transform => ({
  ...preset,
  resize: Math.round((preset.resize * size) / preset.crop),
  crop: size,
});

/**
 * Compares the settings of a run that goes on with those it was started with.
 * @throws UsageError that names every difference.
 */
export function requireSame(before: Settings, now: Settings, out: string): void {
  const keys = [...new Set([...Object.keys(before), ...Object.keys(now)])] as (keyof Settings)[];
  const shown = (value: unknown): string => (value === undefined ? 'none' : String(value));
  const changed = keys.filter((key) => JSON.stringify(before[key]) !== JSON.stringify(now[key]));
  if (changed.length > 0)
    throw new UsageError(
      `The run in ${out} cannot go on with other settings: ${changed.map((key) => `${key} was ${shown(before[key])} and is ${shown(now[key])}`).join('; ')}. Give the same, or start anew with another --out.`,
    );
}

/** The optimizer that the settings name. */
export const optimizerOf = ({ optimizer, lr, weightDecay }: Settings): Optimizer =>
  optimizers[optimizer].make({ learningRate: lr, weightDecay });

/** The schedule that the settings name. */
export const scheduleOf = ({ schedule }: Settings, epochs: number): Schedule => schedules[schedule](epochs);

/** How pictures are made ready. */
export interface Preparation {
  readonly prepare: Augmentation;
  readonly augment?: Augmentation;
  readonly normalise?: Normalisation;
  readonly views?: Views;
}

/** Cuts a square out of the middle; pictures that are much smaller or larger are resized first. */
const fitted =
  (resize: number, crop: number): Augmentation =>
  (picture, source) => {
    const shorter = Math.min(picture.shape[1]!, picture.shape[2]!);
    const near = shorter >= 0.8 * crop && shorter <= 1.25 * resize;
    return compose(...(near ? [] : [resizeTo(resize)]), centerCrop(crop))(picture, source);
  };

/** How the pictures of a dataset are made ready for a model. */
export function preparationOf(augment: AugmentName, preset: Transform, { shape }: Dataset): Preparation {
  const { resize, crop, mean, std } = preset;
  const plain = mean.every((value) => value === 0) && std.every((value) => value === 1);
  const prepare = fitted(resize, crop);
  const common = { prepare, ...(plain ? {} : { normalise: { mean, std } }) };
  if (augment === 'none') return common;
  if (augment === 'alexnet') return { ...common, ...alexnetRecipe({ size: crop, from: resize }) };
  // Pictures of one small size are moved about, photos are cropped; digits have no mirror image.
  const moved = shape
    ? [prepare, randomCrop(crop, { padding: Math.max(1, crop >> (shape[0] === 1 ? 4 : 3)) })]
    : [randomResizedCrop(crop)];
  const mirrored = shape?.[0] === 1 || mean.length === 1 ? [] : [randomHorizontalFlip()];
  const coloured =
    augment === 'color' ? [colorJitter({ brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 })] : [];
  return { ...common, augment: compose(...moved, ...mirrored, ...coloured) };
}
