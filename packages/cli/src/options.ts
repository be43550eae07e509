/** Reads what is typed after an option: shapes, numbers, and the options of a model, which is built here too. */
import {
  type BackendName,
  hardSwish,
  leakyRelu,
  type ModelEntry,
  type Module,
  type Node,
  relu,
  relu6,
  ShapeError,
  sigmoid,
  silu,
  tanh,
} from '@cnn/core';
import { UsageError } from './errors.js';

/** What `--backend` may be; a record, so that a back end that is new in core is missed here by the compiler. */
const backends: Readonly<Record<BackendName, true>> = { auto: true, gpu: true, wasm: true, reference: true };

/** The names that `--backend` takes. */
export const backendNames = Object.keys(backends) as readonly BackendName[];

const activations: Readonly<Record<string, (x: Node) => Node>> = {
  relu,
  relu6,
  silu,
  hardSwish,
  sigmoid,
  tanh,
};

/** `1x3x224x224` as a shape. */
export function parseShape(text: string): readonly number[] {
  const shape = text.split('x').map(Number);
  if (shape.length < 2 || !shape.every((extent) => Number.isInteger(extent) && extent > 0))
    throw new UsageError(`'${text}' is not a shape; write it as 1x3x224x224.`);
  return shape;
}

/** A whole number from 1 up. */
export function parseCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1)
    throw new UsageError(`'${text}' is not a whole number from 1 up.`);
  return count;
}

/** `width=0.25`, `activation=leakyRelu:0.1`, ... as the options of a model. */
export function parseModelOptions(pairs: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const [key, value] = pair.split(/=(.*)/s) as [string, string | undefined];
      if (!key || value === undefined)
        throw new UsageError(`'${pair}' is not an option of a model; write it as width=0.25.`);
      return [key, key === 'activation' ? parseActivation(value) : parseValue(value)];
    }),
  );
}

function parseActivation(text: string): (x: Node) => Node {
  const [name, slope, ...rest] = text.split(':') as [string, ...string[]];
  if (name === 'leakyRelu' && rest.length === 0) {
    if (slope === undefined) return leakyRelu();
    if (slope.trim() && Number.isFinite(Number(slope))) return leakyRelu(Number(slope));
    throw new UsageError(`'${slope}' is not the slope of a leakyRelu; write it as leakyRelu:0.1.`);
  }
  if (!Object.hasOwn(activations, text))
    throw new UsageError(
      `There is no activation '${text}'; use ${Object.keys(activations).join(', ')} or leakyRelu:0.1.`,
    );
  return activations[text]!;
}

function parseValue(value: string): unknown {
  if (value === 'true' || value === 'false') return value === 'true';
  return value.trim() && Number.isFinite(Number(value)) ? Number(value) : value;
}

/**
 * Builds a model with options as they were typed.
 * @throws UsageError for an option that the model never looks at, naming those it does look at.
 */
export function buildModel(entry: ModelEntry, options: Readonly<Record<string, unknown>>): Module {
  const known = new Set<string>();
  // A builder takes its options apart by name: the names it asks for are the options it has.
  const watched = new Proxy(options, {
    get(target, key) {
      if (typeof key === 'string') known.add(key);
      return Reflect.get(target, key);
    },
  });
  let model: Module;
  try {
    model = entry.build(watched);
  } catch (error) {
    if (error instanceof ShapeError || error instanceof RangeError || error instanceof TypeError)
      throw new UsageError(`${entry.name} cannot be built with these options: ${error.message}`);
    throw error;
  }
  const unknown = Object.keys(options).filter((key) => !known.has(key));
  if (unknown.length > 0)
    throw new UsageError(
      `${entry.name} has no option ${unknown.map((key) => `'${key}'`).join(' or ')}; it has ${[...known].join(', ')}.`,
    );
  return model;
}
