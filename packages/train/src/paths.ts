/** Prefixes of parameter paths, which name parts of a model in `freeze` and `groups`. */
import type { Weights } from '@cnn/core';

/**
 * True if a path is a prefix or lies under one: `layer1` covers `layer1.0.conv1.weight`, not `layer10`. `freeze` and
 * `groups` select parameters by it.
 */
export const isUnder = (path: string, prefixes: readonly string[]): boolean =>
  prefixes.some((prefix) => prefix === '' || path === prefix || path.startsWith(`${prefix}.`));

/** Throws if a prefix matches no parameter, so that a typing error cannot freeze or train the wrong part. */
export function requireKnown(option: string, prefixes: readonly string[], names: Iterable<string>): void {
  const all = [...names];
  for (const prefix of prefixes)
    if (!all.some((name) => isUnder(name, [prefix])))
      throw new RangeError(
        `'${option}' names '${prefix}', but no parameter has a path that starts with it; the model has ${[...new Set(all.map((name) => name.split('.')[0]))].join(', ')}.`,
      );
}

/** Gives the weights whose names start with `prefix`, under their names without it. */
export const stripped = (weights: Weights, prefix: string): Weights =>
  new Map(
    [...weights].flatMap(([name, value]) =>
      name.startsWith(prefix) ? [[name.slice(prefix.length), value]] : [],
    ),
  );
