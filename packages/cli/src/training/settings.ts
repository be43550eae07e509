/** The settings of a training run: made from what was typed, kept beside the run, compared when it goes on. */
import { type Module, ShapeError, type Transform, trace } from '@cnn/core';
import { UsageError } from '../errors.js';
import type { TrainingOptions } from './options.js';
import { type AugmentName, type OptimizerName, optimizers, type ScheduleName } from './recipes.js';

/** Whatever decides the numbers of a run, as plain data; what is undefined was not asked for. */
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
  /** As typed. */
  readonly classWeights?: string;
  readonly augment: AugmentName;
  readonly size: number;
  readonly validation: number;
  readonly seed: number;
  /** What fine-tuning starts from, and what of it stays as it is. */
  readonly weights?: string;
  readonly freeze?: string;
  readonly trunkLr?: number;
}

/** The settings in what was typed; `defaults` are those of the command and of the model. */
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

/** The option that a setting comes from, as it is typed: `weight-decay` for `weightDecay`. */
export const flagOf = (key: string): string => key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** The preset for pictures of another size: the resize keeps its proportion to the crop. */
export const presetOf = (preset: Transform, size: number): Transform => ({
  ...preset,
  resize: Math.round((preset.resize * size) / preset.crop),
  crop: size,
});

/**
 * Looks whether a model takes pictures of another than its usual size, before any is read.
 * @throws UsageError that names the option.
 */
export function requireSize(name: string, model: Module, { mean, crop }: Transform, usual: number): void {
  if (crop === usual) return;
  try {
    trace(model, [1, mean.length, crop, crop], { name });
  } catch (error) {
    if (!(error instanceof ShapeError)) throw error;
    throw new UsageError(
      `${name} takes no pictures of --size ${crop} (${error.message}). Without --size it is ${usual}.`,
    );
  }
}

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
      `The run in ${out} cannot go on with other settings: ${changed.map((key) => `${flagOf(key)} was ${shown(before[key])} and is ${shown(now[key])}`).join('; ')}. Give the same, or start anew with another --out.`,
    );
}
