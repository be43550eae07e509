/** Gets the weights that a command asks for: a file, a URL, or one of the model's published records. */
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
import { progressOf, type Terminal } from './terminal.js';

/** What a command knows about weights. */
export interface WeightsRequest {
  /** A path, a URL, the name of a record, or `default`; nothing means `default`. */
  readonly source?: string;
  readonly cache?: string;
  readonly signal?: AbortSignal;
}

/** The record that is meant, if it is a record. */
export function recordOf(entry: ModelEntry, source = 'default'): WeightsRecord | undefined {
  if (source === 'default') {
    const [first] = Object.values(entry.weights);
    if (!first)
      throw new UsageError(
        `No weights are published for ${entry.name}; give a file or a URL with --weights.`,
      );
    return first;
  }
  return entry.weights[source];
}

/** A file inside an installed package: `package:@cnn/lenet/weights/lenet5.safetensors`. */
const inPackage = (url: string): string =>
  url.startsWith('package:') ? createRequire(import.meta.url).resolve(url.slice('package:'.length)) : url;

/** Weights that fit the model; keys of other code bases are renamed by the family's rules. */
export async function loadWeights(
  model: Module,
  entry: ModelEntry,
  family: Family,
  { source, cache, signal }: WeightsRequest,
  terminal: Terminal,
): Promise<Weights> {
  const record = recordOf(entry, source);
  const place = record ? inPackage(record.url) : source!;
  const common = {
    onProgress: progressOf(terminal, 'weights'),
    ...(record ? { sha256: record.sha256 } : {}),
    ...(cache ? { cacheDir: cache } : {}),
    ...(signal ? { signal } : {}),
  };
  const read = (rename?: Rename): Promise<Weights> =>
    readWeights(place, rename ? { ...common, rename } : common);
  const weights = reshaped(model, await read(record?.rename));
  if (fits(model, weights)) return weights;
  for (const [name, rename] of Object.entries(family.renames)) {
    const renamed = reshaped(model, await read(rename));
    if (!fits(model, renamed)) continue;
    terminal.note(`Keys were renamed by the rule '${name}'.`);
    return renamed;
  }
  return weights;
}

function fits(model: Module, weights: Weights): boolean {
  const { missing, unexpected, shapeMismatch } = matchWeights(model, weights);
  return missing.length + unexpected.length + shapeMismatch.length === 0;
}

/** Weights of the same values under another shape: a 1x1 convolution for a linear layer, and the other way round. */
function reshaped(model: Module, weights: Weights): Weights {
  const expected = new Map([...parameters(model)].map(([name, { shape }]) => [name, shape]));
  return new Map(
    [...weights].map(([name, value]) => {
      const shape = expected.get(name);
      const same = shape && shape.length !== value.shape.length && sizeOf(shape) === value.data.length;
      return [name, same && shape[0] === value.shape[0] ? { shape, data: value.data } : value];
    }),
  );
}
