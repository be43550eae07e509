/** Prefixes of parameter paths: how parts of a model are named for freezing and for learning rates. */
import type { Weights } from '@cnn/core';

/** Whether a path is one of the prefixes or lies under one: `layer1` covers `layer1.0.conv1.weight`, not `layer10`. */
export const isUnder = (path: string, prefixes: readonly string[]): boolean =>
  prefixes.some((prefix) => prefix === '' || path === prefix || path.startsWith(`${prefix}.`));

/** Throws when a prefix names nothing, so that a slip of the pen does not train (or freeze) the wrong part. */
export function requireKnown(option: string, prefixes: readonly string[], names: Iterable<string>): void {
  const all = [...names];
  for (const prefix of prefixes)
    if (!all.some((name) => isUnder(name, [prefix])))
      throw new RangeError(
        `'${option}' names '${prefix}', but no parameter's path starts so; the model has ${[...new Set(all.map((name) => name.split('.')[0]))].join(', ')}.`,
      );
}

/** The entries of some weights whose names start with `prefix`, without it. */
export const stripped = (weights: Weights, prefix: string): Weights =>
  new Map(
    [...weights].flatMap(([name, value]) =>
      name.startsWith(prefix) ? [[name.slice(prefix.length), value]] : [],
    ),
  );
