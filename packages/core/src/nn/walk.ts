/** Walks over a model's tree of modules: its parameters by name, fresh weights, and surgery. */
import { ShapeError, WeightsMismatch } from '../errors.js';
import type { Param } from '../graph/graph.js';
import { random } from '../tensor/random.js';
import { formatShape, sameShape, sizeOf } from '../tensor/shape.js';
import { isLazy, type Weights } from '../tensor/tensor.js';
import { type Child, type Children, isModule, isParam, type Module, module } from './module.js';

const join = (path: string, name: string): string => (path ? `${path}.${name}` : name);

/** The children of a module as (path, child) with arrays spelled out: `blocks.0`, `blocks.1`, ... */
function* entriesOf(model: Module, path: string): Generator<[path: string, child: Param | Module]> {
  for (const [name, child] of Object.entries<Child>(model.children)) {
    if (child === undefined) continue;
    if (isModule(child) || isParam(child)) yield [join(path, name), child];
    else for (const [index, item] of child.entries()) yield [join(path, `${name}.${index}`), item];
  }
}

/** Every module of a model with its path, the model itself first under `''`. */
export function* modules(model: Module, path = ''): Generator<[path: string, module: Module]> {
  yield [path, model];
  for (const [childPath, child] of entriesOf(model, path))
    if (isModule(child)) yield* modules(child, childPath);
}

/**
 * Every parameter and buffer with its state-dict name, in state-dict order.
 * Buffers have `trainable` false.
 * @example
 * const count = [...parameters(model)].filter(([, p]) => p.trainable).length;
 */
export function* parameters(model: Module, path = ''): Generator<[name: string, param: Param]> {
  for (const [childPath, child] of entriesOf(model, path)) {
    if (isModule(child)) yield* parameters(child, childPath);
    else yield [childPath, child];
  }
}

/** How many trainable values a model has. */
export function countParameters(model: Module): number {
  let count = 0;
  for (const [, param] of parameters(model)) if (param.trainable) count += sizeOf(param.shape);
  return count;
}

/** Fresh weights, drawn as PyTorch would; the same seed gives the same weights everywhere. Default seed 0. */
export function initialise(model: Module, { seed = 0 }: { readonly seed?: number } = {}): Weights {
  const source = random(seed);
  const weights: Weights = new Map();
  for (const [name, { shape, initialise: draw }] of parameters(model))
    weights.set(name, { shape, data: draw(shape, source) });
  return weights;
}

/**
 * Another module in the place of the one at `path`: a new model, the old one stays as it is.
 * @throws ShapeError when there is no module at the path, naming those nearby.
 * @example
 * const tuned = replace(resnet18(), 'fc', linear(512, 10));
 */
export function replace(model: Module, path: string, replacement: Module): Module {
  const known = [...modules(model)].map(([at]) => at);
  if (path === '') return replacement;
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

/** How weights and a model differ. All three empty: they fit. */
export interface WeightsMatch {
  /** Names the model has and the weights lack. */
  readonly missing: readonly string[];
  /** Names the weights have and the model lacks; PyTorch's `num_batches_tracked` is not counted. */
  readonly unexpected: readonly string[];
  /**
   * Names both have, with both shapes: `fc.weight: model 10x512, weights 1000x512`. Also those whose values
   * do not fill their shape.
   */
  readonly shapeMismatch: readonly string[];
}

/** Compares weights with a list of parameters by name. */
export function matchParameters(
  expected: Iterable<readonly [string, { readonly shape: readonly number[] }]>,
  weights: Weights,
): WeightsMatch {
  const shapes = new Map([...expected].map(([name, { shape }]) => [name, shape]));
  return {
    missing: [...shapes.keys()].filter((name) => !weights.has(name)),
    unexpected: [...weights.keys()].filter(
      (name) => !shapes.has(name) && !name.endsWith('num_batches_tracked'),
    ),
    shapeMismatch: [...shapes].flatMap(([name, shape]) => {
      const found = weights.get(name);
      if (!found) return [];
      const mismatch = `${name}: model ${formatShape(shape)}, weights ${formatShape(found.shape)}`;
      if (!sameShape(found.shape, shape)) return [mismatch];
      // Of values in a file the number is known, and they are not read for this.
      const length = isLazy(found) ? sizeOf(shape) : found.data.length;
      return length === sizeOf(shape) ? [] : [`${mismatch} with ${length} values`];
    }),
  };
}

/** Throws a WeightsMismatch that lists every key when the weights do not fit. */
export function requireMatch(model: string, { missing, unexpected, shapeMismatch }: WeightsMatch): void {
  if (missing.length + unexpected.length + shapeMismatch.length === 0) return;
  const list = (title: string, names: readonly string[]): string =>
    names.length === 0 ? '' : `\n  ${title} (${names.length}): ${names.join(', ')}`;
  throw new WeightsMismatch(
    `The weights do not fit ${model}.${list('missing in the weights', missing)}${list('unknown to the model', unexpected)}${list('of another shape', shapeMismatch)}\nBuild the model with the options the weights were trained with, or rename keys with the 'rename' option of readWeights.`,
    missing,
    unexpected,
    shapeMismatch,
  );
}

/**
 * How weights fit a model; nothing is thrown. `rename` gives a key another name before comparing.
 * @example
 * const { missing, unexpected, shapeMismatch } = matchWeights(model, weights);
 */
export function matchWeights(
  model: Module,
  weights: Weights,
  { rename = (name) => name }: { readonly rename?: (name: string) => string } = {},
): WeightsMatch {
  return matchParameters(
    parameters(model),
    new Map([...weights].map(([name, value]) => [rename(name), value])),
  );
}
