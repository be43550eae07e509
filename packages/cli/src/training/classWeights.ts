/** `--class-weights`: how much mistakes on each class count in the loss. */
import type { Dataset } from '@cnn/train';
import { InvalidArgumentError } from 'commander';
import { UsageError } from '../errors.js';

/** What was typed: the word `balanced`, weights by name, or a weight for each class in order. */
type ClassWeights = 'balanced' | Map<string, number> | readonly number[];

/** Reads what was typed. @throws InvalidArgumentError when it is none of the three. */
export function parseClassWeights(text: string): ClassWeights {
  if (text === 'balanced') return text;
  const items = text.split(',').map((item) => {
    const at = item.lastIndexOf('=');
    const weight = item.slice(at + 1);
    if (!weight.trim() || !(Number(weight) >= 0) || !Number.isFinite(Number(weight)))
      throw new InvalidArgumentError(
        `Give balanced, weights by name such as daisy=2,rose=0.5, or a number from 0 up for each class; '${item}' is none of them.`,
      );
    return [at < 0 ? undefined : item.slice(0, at).trim(), Number(weight)] as const;
  });
  const named = items.flatMap(([name, weight]) => (name === undefined ? [] : [[name, weight] as const]));
  if (named.length === 0) return items.map(([, weight]) => weight);
  if (named.length < items.length)
    throw new InvalidArgumentError('Give either all weights by name, or a number for each class.');
  return new Map(named);
}

/**
 * A weight for each class; undefined for none.
 * @param weights - as typed; `balanced` makes the classes count alike, however many pictures each has, and
 * leaves the mean over all pictures at 1.
 * @throws UsageError for a name that no class has, and for another number of weights than of classes.
 */
export async function classWeightsFor(
  weights: string | undefined,
  classes: readonly string[],
  pictures: Dataset,
): Promise<readonly number[] | undefined> {
  if (weights === undefined) return undefined;
  const parsed = parseClassWeights(weights);
  if (parsed === 'balanced') {
    const counts = new Array<number>(classes.length).fill(0);
    for (let index = 0; index < pictures.size; index++) {
      const { label } = await pictures.at(index);
      // A label that no class has is what training complains of, with its place.
      if (label < counts.length) counts[label]!++;
    }
    return counts.map((count) => (count === 0 ? 0 : pictures.size / (classes.length * count)));
  }
  if (parsed instanceof Map) {
    const unknown = [...parsed.keys()].filter((name) => !classes.includes(name));
    if (unknown.length > 0)
      throw new UsageError(
        `--class-weights names ${unknown.map((name) => `'${name}'`).join(', ')}, but the classes are ${classes.join(', ')}.`,
      );
    return classes.map((name) => parsed.get(name) ?? 1);
  }
  if (parsed.length !== classes.length)
    throw new UsageError(
      `--class-weights gives ${parsed.length} numbers for ${classes.length} classes: ${classes.join(', ')}.`,
    );
  return parsed;
}
