/** Opens the model that a command names, with its weights, input and classes. */
import type { ModelEntry, Module, Shape, Transform, Weights, WeightsRecord } from '@cnn/core';
import { imagenetLabels, imagenetPreset } from '@cnn/image';
import { UsageError } from './errors.js';
import { buildModel, parseModelOptions } from './modelOptions.js';
import { type Family, findModel } from './registry.js';
import { readDescription } from './savedModel.js';
import type { Terminal } from './terminal.js';
import { loadWeights, recordOf } from './weights.js';

/** Options that name a model. */
export interface ModelRequest {
  /** Name; optional if the weights contain it. */
  readonly model?: string | undefined;
  /** Syntax of the name on the command line, for errors. Default: `--model <name>`. */
  readonly typed?: string;
  readonly weights?: string | undefined;
  readonly option: readonly string[];
  readonly cache?: string | undefined;
}

/** Preprocessing of pictures, and names of the outputs. */
export interface Reading {
  readonly preset: Transform;
  /** Names of the classes; empty if unknown. */
  readonly labels: readonly string[];
}

/** Model that is ready to be compiled. */
export interface OpenModel extends Reading {
  readonly entry: ModelEntry;
  readonly family: Family;
  /** Options as on the command line: those stored with the weights, then those given. */
  readonly options: readonly string[];
  readonly model: Module;
  readonly weights: Weights;
  /** Shape of an input picture: 1 x channels x side x side. */
  readonly input: Shape;
}

/** Gives preprocessing and classes of a model: those of its weights' record, else a default for its input. */
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
 * Builds a model and loads its weights. A file written by `cnn train` contains the model's name, options,
 * classes and preprocessing.
 * @throws UsageError if neither the request nor the file names the model, or if they differ.
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
      `Say which model: ${typed}; 'cnn list' shows all. Only weights that cnn has trained contain the name.`,
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
