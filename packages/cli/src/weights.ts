/** Gets the weights that a command asks for: a file, a URL, or one of the model's published records. */
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

/** What a command knows about weights. */
export interface WeightsRequest {
  /** A path, a URL, the name of a record, or `default`; nothing means `default`. */
  readonly source?: string | undefined;
  /** The folder for downloads; without one that of `readWeights`. */
  readonly cache?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The record that is meant; undefined when it is a path or a URL.
 * @throws UsageError when nothing is published, or when it is neither a record nor a file nor a URL.
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
  // With a dot or a slash it is meant as a path or a URL, and reading it says what is wrong.
  if (/[./\\]/.test(source) || existsSync(source)) return undefined;
  throw new UsageError(
    `There is neither a file nor published weights called '${source}' for ${entry.name}; published are: ${published.join(', ') || 'none'}.`,
  );
}

/** The path of a file in an installed package: `package:@cnn/lenet/weights/lenet5.safetensors`. */
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
 * Weights for the model. Where keys do not fit as they are, the published records' and the family's rules are
 * tried one by one; which one was used is said. Where none fits the weights come as they are, for `compile` to refuse.
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
    if (changed > 0) terminal.note(`Values of ${changed} tensors were read under the model's shapes.`);
    return weights;
  };
  const plain = await read(record?.rename);
  if (record || fits(model, plain.weights)) return accept(plain);
  for (const [rule, rename] of rulesOf(entry, family)) {
    // The file itself was read before, so that what fails here is the rule.
    const renamed = await read(rename).catch(() => signal?.throwIfAborted());
    if (!renamed || !fits(model, renamed.weights)) continue;
    terminal.note(`Keys were renamed by the rule '${rule}'.`);
    return accept(renamed);
  }
  return plain.weights;
}

/** The rules that may make a file fit: those of published files, which may be what was given, and the family's. */
const rulesOf = (entry: ModelEntry, family: Family): [name: string, rename: Rename][] => [
  ...Object.entries(entry.weights).flatMap(([name, { rename }]): [string, Rename][] =>
    rename ? [[name, rename]] : [],
  ),
  ...Object.entries(family.renames),
];

function fits(model: Module, weights: Weights): boolean {
  const { missing, unexpected, shapeMismatch } = matchWeights(model, weights);
  return missing.length + unexpected.length + shapeMismatch.length === 0;
}

/** Weights, and how many of them have got another shape. */
interface Fitted {
  readonly weights: Weights;
  readonly changed: number;
}

/**
 * Weights of the same values under the model's shapes: a convolution that covers its whole input is a linear
 * layer with more dimensions, and the other way round. Outputs and the order of values stay.
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
