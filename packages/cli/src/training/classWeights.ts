/** Parses `--class-weights`, the weights of the classes in the loss. */
import { InvalidArgumentError } from 'commander';
import { UsageError } from '../errors.js';
import { counted, printable } from '../terminal.js';

/** Parsed value: the word `balanced`, weights by class name, or one weight per class in order. */
type ClassWeights = 'balanced' | Map<string, number> | readonly number[];

/** Parses the option. @throws InvalidArgumentError if it is none of the three. */
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
 * Gives one weight per class; undefined without the option.
 * @param weights - text of the option. `balanced` gives all classes the same total weight, whatever their
 * numbers of pictures; the mean weight of a picture is 1.
 * @param labels - label of each training picture.
 * @throws UsageError for a name without a class, and if there is not one weight per class.
 */
export function classWeightsFor(
  weights: string | undefined,
  classes: readonly string[],
  labels: readonly number[],
): readonly number[] | undefined {
  if (weights === undefined) return undefined;
  const parsed = parseClassWeights(weights);
  if (parsed === 'balanced') {
    const counts = new Array<number>(classes.length).fill(0);
    for (const label of labels) counts[label]!++;
    return counts.map((count) => (count === 0 ? 0 : labels.length / (classes.length * count)));
  }
  if (parsed instanceof Map) {
    const unknown = [...parsed.keys()].filter((name) => !classes.includes(name));
    if (unknown.length > 0)
      throw new UsageError(
        `--class-weights names ${unknown.map((name) => `'${name}'`).join(', ')}, but the classes are ${classes.map(printable).join(', ')}.`,
      );
    return classes.map((name) => parsed.get(name) ?? 1);
  }
  if (parsed.length !== classes.length)
    throw new UsageError(
      `--class-weights gives ${counted(parsed.length, 'number')} for ${counted(classes.length, 'class', 'classes')}: ${classes.map(printable).join(', ')}.`,
    );
  return parsed;
}
