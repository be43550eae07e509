/** From what is typed about a model to the model itself with its weights, its input and its classes. */
import type { ModelEntry, Module, Shape, Transform, Weights, WeightsRecord } from '@cnn/core';
import { imagenetLabels, imagenetPreset } from '@cnn/image';
import { UsageError } from './errors.js';
import { buildModel, parseModelOptions } from './modelOptions.js';
import { type Family, findModel } from './registry.js';
import { readDescription } from './savedModel.js';
import type { Terminal } from './terminal.js';
import { loadWeights, recordOf } from './weights.js';

/** What is typed about a model. */
export interface ModelRequest {
  /** Its name; may be left out where the weights say it. */
  readonly model?: string | undefined;
  /** How the name is typed, for errors. Default: `--model <name>`. */
  readonly typed?: string;
  readonly weights?: string | undefined;
  readonly option: readonly string[];
  readonly cache?: string | undefined;
}

/** How pictures become the input, and what the outputs are called. */
export interface Reading {
  readonly preset: Transform;
  /** Empty where nothing says what the classes are. */
  readonly labels: readonly string[];
}

/** A model that is ready to be compiled. */
export interface OpenModel extends Reading {
  readonly entry: ModelEntry;
  readonly family: Family;
  /** Its options as they would be typed, those that the weights brought first. */
  readonly options: readonly string[];
  readonly model: Module;
  readonly weights: Weights;
  /** The shape of one picture as the model takes it: 1 x channels x side x side. */
  readonly input: Shape;
}

/** How pictures are read for a model: as its weights' record says, else as is usual for its input. */
export function readingOf(entry: ModelEntry, record?: WeightsRecord): Reading {
  const known = record ?? Object.values(entry.weights)[0];
  const [, channels, height] = entry.input as readonly [number, number, number];
  const small = { ...imagenetPreset, resize: height, crop: height };
  const fallback =
    channels === 1
      ? { ...small, mean: [0], std: [1] }
      : height < 100
        ? small
        : { ...imagenetPreset, resize: Math.round((height * 256) / 224), crop: height };
  const categories = known?.categories ?? (height < 100 ? [] : 'imagenet');
  return {
    preset: known?.transform ?? fallback,
    labels: categories === 'imagenet' ? imagenetLabels : categories,
  };
}

/**
 * Builds a model and loads its weights. A file that `cnn train` wrote says itself what model it is for, with
 * which options, classes and pictures.
 * @throws UsageError when neither the request nor the file names the model, or when they contradict.
 */
export async function openModel(
  { model: name, typed = '--model <name>', weights: source, option, cache }: ModelRequest,
  terminal: Terminal,
  signal?: AbortSignal,
): Promise<OpenModel> {
  const saved = await readDescription(source);
  const chosen = name ?? saved?.model;
  if (chosen === undefined)
    throw new UsageError(
      `Say which model: ${typed}; 'cnn list' shows all. Only weights that cnn has trained name theirs.`,
    );
  if (saved && saved.model !== chosen)
    throw new UsageError(`The weights in ${source} are for ${saved.model}, not for ${chosen}.`);
  const { entry, family } = await findModel(chosen);
  const options = [...(saved?.options ?? []), ...option];
  const model = buildModel(entry, {
    ...(saved ? { numClasses: saved.classes.length } : {}),
    ...parseModelOptions(options),
  });
  const reading = saved
    ? { preset: saved.transform, labels: saved.classes }
    : readingOf(entry, recordOf(entry, source));
  const weights = await loadWeights(model, entry, family, { source, cache, signal }, terminal);
  const { mean, crop } = reading.preset;
  return { entry, family, options, model, weights, input: [1, mean.length, crop, crop], ...reading };
}
