/** Parses the options of a model (`width=0.25`), and builds the model with them. */
import {
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

const activations: Readonly<Record<string, (x: Node) => Node>> = {
  relu,
  relu6,
  silu,
  hardSwish,
  sigmoid,
  tanh,
};

/** Parses options of a model, such as `width=0.25` and `activation=leakyRelu:0.1`. */
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

/** Slope of `leakyRelu` without one, as in PyTorch. */
const USUAL_SLOPE = 0.01;

/** True if two values of an option mean the same: `leakyRelu` and `leakyRelu:0.01`, `0.50` and `0.5`. */
export function sameValue(a: string, b: string): boolean {
  const plain = (text: string): string => {
    const [name, slope = USUAL_SLOPE] = text.split(':');
    return name === 'leakyRelu' ? `${name}:${Number(slope)}` : String(parseValue(text));
  };
  return plain(a) === plain(b);
}

/** Gives the value of an option for a message, with the slope that a bare `leakyRelu` has. */
export const shownValue = (value: string): string =>
  value === 'leakyRelu' ? `leakyRelu (its slope is ${USUAL_SLOPE})` : value;

/** Gives the names of the options that a model has. */
export function optionsOf(entry: ModelEntry): readonly string[] {
  const known = new Set<string>();
  entry.build(watching({}, known));
  return [...known];
}

/** Gives options that add the names that are read from them to a set: a builder reads its options by name. */
const watching = (options: Readonly<Record<string, unknown>>, read: Set<string>) =>
  new Proxy(options, {
    get(target, key) {
      if (typeof key === 'string') read.add(key);
      return Reflect.get(target, key);
    },
  });

/**
 * Builds a model with parsed options.
 * @throws UsageError for an option that the builder never reads, naming the options that it reads.
 */
export function buildModel(entry: ModelEntry, options: Readonly<Record<string, unknown>>): Module {
  const known = new Set<string>();
  const watched = watching(options, known);
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
