/** Walks over a model's tree of modules: lists, draws and matches its parameters, and replaces modules. */
import { ShapeError, WeightsMismatch } from '../errors.js';
import type { Param } from '../graph/graph.js';
import { excerpt } from '../printable.js';
import { describeValue, floatsOf, kindOf } from '../realms.js';
import { random } from '../tensor/random.js';
import { formatShape, sameShape, sizeOf } from '../tensor/shape.js';
import { isLazy, type Weights } from '../tensor/tensor.js';
import {
  type Child,
  type Children,
  isModule,
  isParam,
  type Module,
  module,
  requireModule,
} from './module.js';

const join = (path: string, name: string): string => (path ? `${path}.${name}` : name);

/** Lists the children of a module with their paths; items of an array as `blocks.0`, `blocks.1`, ... */
function* entriesOf(model: Module, path: string): Generator<[path: string, child: Param | Module]> {
  requireModule(model);
  for (const [name, child] of Object.entries<Child>(model.children)) {
    if (child === undefined) continue;
    if (isModule(child) || isParam(child)) yield [join(path, name), child];
    else for (const [index, item] of child.entries()) yield [join(path, `${name}.${index}`), item];
  }
}

/** Most modules within each other: a traced module calls the next, and engines overflow at some thousand calls. */
const MAX_DEPTH = 1000;

/** Lists all modules and parameters below a module with their paths, depth first. */
function* descendants(
  model: Module,
  path: string,
  depth = 1,
): Generator<[path: string, descendant: Param | Module]> {
  if (depth > MAX_DEPTH)
    throw new ShapeError(
      `${excerpt(path)}: more than ${MAX_DEPTH} modules are nested within each other; put them one after the other, with sequential.`,
    );
  for (const [childPath, child] of entriesOf(model, path)) {
    yield [childPath, child];
    if (isModule(child)) yield* descendants(child, childPath, depth + 1);
  }
}

/**
 * Lists every module of a model with its path, depth first, the model itself first.
 * @param path - path of the model itself, a prefix of all others. Default `''`.
 * @throws ShapeError if more than 1,000 modules are nested within each other.
 */
export function* modules(model: Module, path = ''): Generator<[path: string, module: Module]> {
  yield [path, model];
  for (const [childPath, child] of descendants(model, path)) if (isModule(child)) yield [childPath, child];
}

/**
 * Lists all parameters and buffers (`trainable: false`) with their state-dict names, in state-dict order.
 * @param path - path of the model itself, a prefix of all names. Default `''`.
 * @throws ShapeError if more than 1,000 modules are nested within each other.
 * @example
 * const count = [...parameters(model)].filter(([, p]) => p.trainable).length;
 */
export function* parameters(model: Module, path = ''): Generator<[name: string, param: Param]> {
  for (const [name, child] of descendants(model, path)) if (!isModule(child)) yield [name, child];
}

/** Counts the trainable values of a model; buffers are not counted. */
export function countParameters(model: Module): number {
  let count = 0;
  for (const [, param] of parameters(model)) if (param.trainable) count += sizeOf(param.shape);
  return count;
}

/**
 * Draws initial weights, float32 in memory, from PyTorch's distributions (not with its random numbers). A
 * seed gives the same weights on every engine.
 * @param options - `seed` of the random numbers, default 0.
 * @example
 * const weights = initialise(model, { seed: 1 });
 */
export function initialise(model: Module, { seed = 0 }: { readonly seed?: number } = {}): Weights {
  const source = random(seed);
  const weights: Weights = new Map();
  for (const [name, { shape, initialise: draw }] of parameters(model))
    weights.set(name, { shape, data: draw(shape, source) });
  return weights;
}

/**
 * Replaces the module at a path. Makes a new model that shares all other modules; the old one is unchanged.
 * @param path - names of the children on the way: `'layer1.0.conv1'`; `''` for the model itself.
 * @throws ShapeError if there is no module at the path; the message names those nearby.
 * @example
 * const tuned = replace(resnet18(), 'fc', linear(512, 10));
 */
export function replace(model: Module, path: string, replacement: Module): Module {
  if (path === '') return replacement;
  const known = [...modules(model)].map(([at]) => at);
  if (!known.includes(path)) {
    const parent = path.slice(0, Math.max(0, path.lastIndexOf('.')));
    const near = known.filter((at) => at && at.slice(0, Math.max(0, at.lastIndexOf('.'))) === parent);
    throw new ShapeError(
      `There is no module at '${path}' to replace. ${near.length > 0 ? `Beside it there are: ${near.join(', ')}.` : `The model's own children are: ${Object.keys(model.children).join(', ')}.`}`,
    );
  }
  const rebuild = (current: Module, at: string): Module => {
    if (at === path) return replacement;
    if (at && !path.startsWith(`${at}.`)) return current;
    const children = Object.fromEntries(
      Object.entries<Child>(current.children).map(([name, child]): [string, Child] => {
        if (child === undefined || isParam(child)) return [name, child];
        if (isModule(child)) return [name, rebuild(child, join(at, name))];
        return [name, child.map((item, index) => rebuild(item, join(at, `${name}.${index}`)))];
      }),
    );
    return module(children as Children, current.forward);
  };
  return rebuild(model, '');
}

/** Differences between weights and a model. They fit if all three lists are empty. */
export interface WeightsMatch {
  /** Names of the model that the weights lack. */
  readonly missing: readonly string[];
  /** Names of the weights that the model lacks, without PyTorch's `num_batches_tracked`. */
  readonly unexpected: readonly string[];
  /**
   * Names in both whose shapes differ, with the shapes: `fc.weight: model 10x512, weights 1000x512`; and
   * those with another number of values than their shape has.
   */
  readonly shapeMismatch: readonly string[];
}

/** Differences between weights and parameters, for {@link requireMatch}. */
export interface ParameterMatch extends WeightsMatch {
  /** Number of the parameters. If all of them are missing, no name matches. */
  readonly count: number;
}

/**
 * Compares weights with parameters by name. Reads no values of lazy tensors.
 * @throws TypeError if the weights are no Map, such as a promise of one.
 * @param expected - shapes by name: of `parameters(model)`, or of other weights.
 */
export function matchParameters(
  expected: Iterable<readonly [string, { readonly shape: readonly number[] }]>,
  weights: Weights,
): ParameterMatch {
  // A Map of another realm has the same methods.
  if (kindOf(weights) !== 'Map')
    throw new TypeError(
      `Weights are a Map of tensors by name, from readWeights or initialise; got ${describeValue(weights)}.`,
    );
  const shapes = new Map([...expected].map(([name, { shape }]) => [name, shape]));
  return {
    count: shapes.size,
    missing: [...shapes.keys()].filter((name) => !weights.has(name)),
    unexpected: [...weights.keys()].filter(
      (name) => !shapes.has(name) && !name.endsWith('num_batches_tracked'),
    ),
    shapeMismatch: [...shapes].flatMap(([name, shape]) => {
      const found = weights.get(name);
      if (!found) return [];
      if (!Array.isArray(found.shape) || !(isLazy(found) || floatsOf(found.data)))
        return [`${name}: model ${formatShape(shape)}, weights ${describeValue(found.data)}`];
      const mismatch = `${name}: model ${formatShape(shape)}, weights ${formatShape(found.shape)}`;
      if (!sameShape(found.shape, shape)) return [mismatch];
      // A lazy tensor has as many values as its shape says: that was checked with the file's header.
      const length = isLazy(found) ? sizeOf(shape) : found.data.length;
      return length === sizeOf(shape) ? [] : [`${mismatch} with ${length} values`];
    }),
  };
}

/** Most names of a kind that a message lists: a model has hundreds. */
const LISTED = 5;

/**
 * Throws a WeightsMismatch unless the weights fit. Its message gives the advice and the first names of each kind; its
 * properties list all.
 * @param model - name of the model, for the message.
 */
export function requireMatch(
  model: string,
  { missing, unexpected, shapeMismatch, count }: ParameterMatch,
): void {
  if (missing.length + unexpected.length + shapeMismatch.length === 0) return;
  const list = (title: string, names: readonly string[]): string => {
    if (names.length === 0) return '';
    const first = names.slice(0, LISTED).map(excerpt).join(', ');
    const more = names.length > LISTED ? ` and ${names.length - LISTED} more` : '';
    return `\n  ${title} (${names.length}): ${first}${more}`;
  };
  const isOther = missing.length === count && unexpected.length > 0;
  const hint =
    prefixHint(missing, unexpected) ||
    (isOther ? "No name matches: these are probably another model's weights. " : '');
  throw new WeightsMismatch(
    `The weights do not fit ${model}. ${hint}Build the model with the options the weights were trained with, or rename keys with the 'rename' option of readWeights (cnn: --rename).${list('missing in the weights', missing)}${list('unknown to the model', unexpected)}${list('of another shape', shapeMismatch)}`,
    missing,
    unexpected,
    shapeMismatch,
  );
}

/**
 * Finds the prefixes under which the weights have names of a model: `'encoder.'` for `encoder.conv1.weight`
 * and a model with `conv1.weight`. For choosing a part of weights that hold more than the model.
 * @param expected - the model's names.
 * @returns the prefixes, each with its dot, under which the first of the model's names is found.
 */
export function prefixesOf(names: Iterable<string>, expected: readonly string[]): readonly string[] {
  const [first] = expected;
  if (first === undefined) return [];
  return [...names].flatMap((name) => (name.endsWith(`.${first}`) ? [name.slice(0, -first.length)] : []));
}

/** Says by which prefix all missing names differ from unknown ones, in a sentence; empty if by none. */
function prefixHint(missing: readonly string[], unexpected: readonly string[]): string {
  /** The prefix before all of `short` that gives names in `long`. */
  const between = (short: readonly string[], long: readonly string[]): string | undefined => {
    const known = new Set(long);
    return prefixesOf(long, short).find((prefix) => short.every((name) => known.has(prefix + name)));
  };
  const tooMuch = between(missing, unexpected);
  if (tooMuch)
    return `The names in the weights have the prefix '${excerpt(tooMuch)}', those of the model do not. `;
  const tooLittle = between(unexpected, missing);
  return tooLittle
    ? `The names of the model have the prefix '${tooLittle}', those in the weights do not. `
    : '';
}

/**
 * Compares weights with a model, without throwing.
 * @param options - `rename` maps a key of the weights to a name of the model; default: the same name.
 * @example
 * const { missing, unexpected, shapeMismatch } = matchWeights(model, weights);
 */
export function matchWeights(
  model: Module,
  weights: Weights,
  { rename = (name) => name }: { readonly rename?: (name: string) => string } = {},
): WeightsMatch {
  const renamed: Weights = new Map([...weights].map(([name, value]) => [rename(name), value]));
  const { missing, unexpected, shapeMismatch } = matchParameters(parameters(model), renamed);
  return { missing, unexpected, shapeMismatch };
}
