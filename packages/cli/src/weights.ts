/** Loads the weights of a command: a file, a URL, or published weights of the model. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import {
  type ModelEntry,
  type Module,
  matchWeights,
  parameters,
  type Rename,
  readWeights,
  sizeOf,
  type Weights,
  type WeightsRecord,
} from '@cnn/core';
import { UsageError } from './errors.js';
import type { Family } from './registry.js';
import { megabytes, progressOf, type Terminal } from './terminal.js';

/** Source of weights. */
export interface WeightsRequest {
  /** Path, URL, name of published weights, or `default`. Default `default`. */
  readonly source?: string | undefined;
  /** Folder of downloads. Default: that of `readWeights`. */
  readonly cache?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Finds the record of published weights; undefined for a path or a URL.
 * @throws UsageError if the model has no published weights, or no record, file or URL has that name.
 */
export function recordOf(entry: ModelEntry, source = 'default'): WeightsRecord | undefined {
  const published = Object.keys(entry.weights);
  if (source === 'default') {
    if (published.length === 0)
      throw new UsageError(
        `No weights are published for ${entry.name}; give a file or a URL with --weights.`,
      );
    return entry.weights[published[0]!];
  }
  if (Object.hasOwn(entry.weights, source)) return entry.weights[source];
  // With a dot or a slash it is a path or a URL, whose errors `readWeights` reports.
  if (/[./\\]/.test(source) || existsSync(source)) return undefined;
  throw new UsageError(
    `There is neither a file nor published weights called '${source}' for ${entry.name}; published are: ${published.join(', ') || 'none'}.`,
  );
}

/** Resolves a file in an installed package: `package:@cnn/lenet/weights/lenet5.safetensors`. */
function inPackage(url: string): string {
  if (!url.startsWith('package:')) return url;
  const name = url.slice('package:'.length);
  try {
    return createRequire(import.meta.url).resolve(name);
  } catch (error) {
    const owner = name.split('/').slice(0, 2).join('/');
    throw new Error(`The installed package ${owner} lacks ${name}; install it again: npm install ${owner}`, {
      cause: error,
    });
  }
}

/**
 * Loads weights for a model. If keys of a file do not fit, tries the rename rules of the published records
 * and of the family, and notes the rule that fits. If none fits, gives the weights unchanged; `compile`
 * then refuses them.
 */
export async function loadWeights(
  model: Module,
  entry: ModelEntry,
  family: Family,
  { source, cache, signal }: WeightsRequest,
  terminal: Terminal,
): Promise<Weights> {
  const record = recordOf(entry, source);
  const place = record ? inPackage(record.url) : source!;
  const read = async (rename?: Rename): Promise<Fitted> => {
    const weights = await readWeights(place, {
      onProgress: progressOf(terminal, 'weights', megabytes),
      ...(record ? { sha256: record.sha256 } : {}),
      ...(cache ? { cacheDir: cache } : {}),
      ...(rename ? { rename } : {}),
      ...(signal ? { signal } : {}),
    });
    return reshaped(model, weights);
  };
  const accept = ({ weights, changed }: Fitted): Weights => {
    if (changed > 0) terminal.note(`${changed} tensors were reshaped to the model's shapes.`);
    return weights;
  };
  const plain = await read(record?.rename);
  if (record || fits(model, plain.weights)) return accept(plain);
  for (const [rule, rename] of rulesOf(entry, family)) {
    // The file itself has been read, so an error here means that the rule does not fit.
    const renamed = await read(rename).catch(() => signal?.throwIfAborted());
    if (!renamed || !fits(model, renamed.weights)) continue;
    terminal.note(`Keys were renamed by the rule '${rule}'.`);
    return accept(renamed);
  }
  return plain.weights;
}

/** Gives the rename rules to try: those of the published weights, and those of the family. */
const rulesOf = (entry: ModelEntry, family: Family): [name: string, rename: Rename][] => [
  ...Object.entries(entry.weights).flatMap(([name, { rename }]): [string, Rename][] =>
    rename ? [[name, rename]] : [],
  ),
  ...Object.entries(family.renames),
];

/** True if names and shapes are exactly the model's. */
function fits(model: Module, weights: Weights): boolean {
  const { missing, unexpected, shapeMismatch } = matchWeights(model, weights);
  return missing.length + unexpected.length + shapeMismatch.length === 0;
}

/** Weights, and the number of reshaped tensors. */
interface Fitted {
  readonly weights: Weights;
  readonly changed: number;
}

/**
 * Gives the weights the model's shapes where only the number of dimensions differs: a linear layer is a
 * convolution that covers its whole input. The values and their order are unchanged.
 */
function reshaped(model: Module, weights: Weights): Fitted {
  const expected = new Map([...parameters(model)].map(([name, { shape }]) => [name, shape]));
  let changed = 0;
  const result: Weights = new Map(
    [...weights].map(([name, value]) => {
      const shape = expected.get(name);
      if (!shape || shape.length === value.shape.length || shape[0] !== value.shape[0]) return [name, value];
      if (sizeOf(shape) !== value.data.length) return [name, value];
      changed++;
      return [name, { shape, data: value.data }];
    }),
  );
  return { weights: result, changed };
}
