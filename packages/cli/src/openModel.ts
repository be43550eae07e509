/** Opens the model that a command names, with its weights, input and classes. */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { ModelEntry, Module, Shape, Transform, Weights, WeightsRecord } from '@cnn/core';
import { imagenetLabels, imagenetPreset } from '@cnn/image';
import { UsageError } from './errors.js';
import { requirePicture, requireReadable } from './files.js';
import { commandOf } from './invocation.js';
import { buildModel, parseModelOptions } from './modelOptions.js';
import { type Family, familyOf, findModel } from './registry.js';
import { readDescription } from './savedModel.js';
import { printable, type Terminal } from './terminal.js';
import { loadWeights, recordOf } from './weights.js';

/** Options that name a model. */
export interface ModelRequest {
  /** Name; optional if the weights contain it. */
  readonly model?: string | undefined;
  /** Syntax of the name on the command line, for errors. Default: `--model <name>`. */
  readonly typed?: string;
  readonly weights?: string | undefined;
  /** Keys of the state dict in the file of weights. */
  readonly weightsKey?: string | undefined;
  /** Rules that rename the weights. */
  readonly rename?: readonly string[] | undefined;
  readonly option: readonly string[];
  readonly cache?: string | undefined;
  /** Pictures, at least one of which must be there before weights are loaded. Default: none. */
  readonly pictures?: readonly string[];
  /** Makes other checks before weights are loaded, which may take minutes; throws. */
  readonly check?: (entry: ModelEntry, reading: Reading) => Promise<void>;
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
  /** Options as on the command line: first the ones that the weights require or store, then the given ones. */
  readonly options: readonly string[];
  readonly model: Module;
  readonly weights: Weights;
  /** Shape of an input picture: 1 x channels x side x side. */
  readonly input: Shape;
}

/** Gives preprocessing and classes of a model: those of its weights' record, else a default for its input. */
export function readingOf(entry: ModelEntry, record?: WeightsRecord): Reading {
  const known = record ?? Object.values(entry.weights)[0];
  const [, , height] = entry.input as readonly [number, number, number, number];
  const categories = known?.categories ?? (height < 100 ? [] : 'imagenet');
  return {
    preset: known?.transform ?? usualPreset(entry),
    labels: categories === 'imagenet' ? imagenetLabels : categories,
  };
}

/** Gives the usual preprocessing for a model's input: that of ImageNet; of grey pictures, none. */
function usualPreset(entry: ModelEntry): Transform {
  const [, channels, height] = entry.input as readonly [number, number, number, number];
  const small = { ...imagenetPreset, resize: height, crop: height };
  if (channels === 1) return { ...small, mean: [0], std: [1] };
  if (height < 100) return small;
  return { ...imagenetPreset, resize: Math.round((height * 256) / 224), crop: height };
}

/**
 * Gives preprocessing and classes for weights that name neither: those of the published weights of the model
 * if these agree, else the usual ones. Notes what was assumed, where weights differ in it.
 */
function assumedReading(entry: ModelEntry, terminal: Terminal): Reading {
  const reading = readingOf(entry);
  const transforms = new Set(Object.values(entry.weights).map(({ transform }) => JSON.stringify(transform)));
  if (transforms.size < 2) return reading;
  const preset = usualPreset(entry);
  terminal.note(
    `These weights do not say how pictures are prepared, and the published ones of ${entry.name} differ in it. Pictures are resized to ${preset.resize} and cropped to ${preset.crop}, as is usual.`,
  );
  return { ...reading, preset };
}

/** Computes the SHA-256 of a file, in hexadecimal digits. */
async function hashOf(path: string, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  for await (const part of createReadStream(path, { highWaterMark: 1 << 20, signal }))
    hash.update(part as Uint8Array);
  return hash.digest('hex');
}

/**
 * Recognises the published weights of a model in a file or URL: by the URL, by the hash of the file, or by the
 * hash in its name, as torchvision names files (`resnet50-0676ba61.pth`, and what was converted from it).
 */
async function recognised(
  entry: ModelEntry,
  source: string,
  signal?: AbortSignal,
): Promise<WeightsRecord | undefined> {
  const records = Object.values(entry.weights);
  if (records.length === 0) return undefined;
  const hash = existsSync(source) ? await hashOf(source, signal) : undefined;
  const named = /-([0-9a-f]{8,64})\.\w+$/.exec(source)?.[1];
  return records.find(
    ({ url, sha256 }) =>
      url === source || hash?.startsWith(sha256) || (named !== undefined && agree(named, sha256)),
  );
}

/** Error of a command whose pictures are all missing. */
export class MissingPictures extends Error {
  override readonly name = 'MissingPictures';
  constructor(
    /** Name of the model. */
    readonly model: string,
    /** Each picture with the reason. */
    readonly faults: readonly { readonly file: string; readonly error: string }[],
  ) {
    super(faults.map(({ file, error }) => `${printable(file)}: ${printable(error)}`).join('\n'));
  }
}

/**
 * Checks that at least one picture is there, since weights may be a download of hundreds of megabytes.
 * @throws MissingPictures if all are missing.
 */
async function requireSomePicture(pictures: readonly string[], { name }: ModelEntry): Promise<void> {
  const faults: { file: string; error: string }[] = [];
  for (const file of pictures) {
    const error = await requirePicture(file).then(
      () => undefined,
      (reason: Error) => reason.message,
    );
    if (error === undefined) return;
    faults.push({ file, error });
  }
  if (faults.length > 0) throw new MissingPictures(name, faults);
}

/** True if two hashes are equal as far as both go. */
const agree = (a: string, b: string): boolean => a.startsWith(b) || b.startsWith(a);

/**
 * Builds a model and loads its weights. A file written by `cnn train` contains the model's name, options,
 * classes and preprocessing.
 * @param replaced - names of the model that the weights need not have, for a model built with these options.
 * @throws UsageError if neither the request nor the file names the model, or if they differ.
 * @throws MissingPictures if all pictures of the request are missing.
 */
export async function openModel(
  {
    model: name,
    typed = '--model <name>',
    weights: given,
    weightsKey,
    rename,
    option,
    cache,
    pictures = [],
    check,
  }: ModelRequest,
  terminal: Terminal,
  signal?: AbortSignal,
  replaced?: (entry: ModelEntry, options: Readonly<Record<string, unknown>>) => ReadonlySet<string>,
): Promise<OpenModel> {
  const source = given && /^file:/i.test(given) ? fileURLToPath(given) : given;
  const saved = await readDescription(source);
  const chosen = name ?? saved?.model;
  // A model among the pictures is one that was typed as an argument.
  const misplaced = chosen ? undefined : pictures.find((each) => familyOf(each) && !existsSync(each));
  if (misplaced !== undefined)
    throw new UsageError(`'${misplaced}' is no picture. A model is given with --model ${misplaced}.`);
  if (chosen === undefined)
    throw new UsageError(
      `Say which model: ${typed}; '${commandOf('list')}' shows all. Only weights that cnn has trained contain the name.`,
    );
  if (saved && saved.model !== chosen)
    throw new UsageError(`The weights in ${source} are for ${printable(saved.model)}, not for ${chosen}.`);
  const { entry, family } = await findModel(chosen);
  const options = [...(saved?.options ?? []), ...option];
  const parsed = parseModelOptions(options);
  const published = recordOf(entry, source);
  if (!published && existsSync(source!)) await requireReadable('--weights', source!);
  const record = published ?? (saved ? undefined : await recognised(entry, source!, signal));
  await requireSomePicture(pictures, entry);
  const reading = saved
    ? { preset: saved.transform, labels: saved.classes }
    : record
      ? readingOf(entry, record)
      : assumedReading(entry, terminal);
  await check?.(entry, reading);
  const { model, weights, required } = await loadWeights(
    (needed, trial = []) =>
      buildModel(entry, {
        ...(saved ? { numClasses: saved.classes.length } : {}),
        ...record?.options,
        ...parseModelOptions([...needed, ...options, ...trial]),
      }),
    entry,
    family,
    { source, key: weightsKey, rename, cache, signal, options, replaced: replaced?.(entry, parsed) },
    terminal,
  );
  const { mean, crop } = reading.preset;
  return {
    entry,
    family,
    options: [...required, ...options],
    model,
    weights,
    input: [1, mean.length, crop, crop],
    ...reading,
  };
}
