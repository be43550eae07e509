/** Names of a model's classes, and the most likely classes of an output. */
import { probabilities, topK } from '@cnn/core';
import { UsageError } from './errors.js';
import { distance, MAX_NAME } from './registry.js';
import { printable, shortened } from './terminal.js';

/** Class with its probability. */
export interface Ranked {
  readonly index: number;
  readonly label: string;
  readonly probability: number;
}

/** Gives the name of a class, or `class 3` if it has none. */
export const labelOf = (labels: readonly string[], index: number): string =>
  labels[index] ?? `class ${index}`;

/**
 * Gives the `top` most likely classes of a row of logits, with their softmax.
 * @throws Error for logits that are not numbers, as of weights that overflow.
 */
export function rank(logits: Float32Array, labels: readonly string[], top: number): readonly Ranked[] {
  if (logits.some(Number.isNaN))
    throw new Error(
      "the network's outputs are not numbers (NaN); its weights are damaged, or need another preparation of pictures",
    );
  return topK(probabilities(logits), top).map(({ index, value }) => ({
    index,
    label: labelOf(labels, index),
    probability: value,
  }));
}

/** Finds a class by its label or its index. @throws UsageError if there is none. */
export function classOf(text: string, labels: readonly string[]): number {
  const byLabel = labels.indexOf(text);
  if (byLabel >= 0) return byLabel;
  const index = Number(text);
  if (text.trim() && Number.isInteger(index) && index >= 0) return index;
  const wanted = text.toLowerCase();
  const near = labels.filter((label) => label.toLowerCase().includes(wanted));
  // Comparing a long text with every label would take seconds.
  if (near.length === 0 && text.length <= MAX_NAME)
    near.push(...[...labels].sort((a, b) => distance(wanted, a) - distance(wanted, b)));
  throw new UsageError(
    `There is no class '${shortened(printable(text))}'. ${
      near.length > 0
        ? `Similar labels are ${near
            .slice(0, 5)
            .map((label) => `'${printable(label)}'`)
            .join(
              ', ',
            )}; the index of a class is understood too, and classify --top ${labels.length} prints all labels.`
        : 'The weights name no classes; give an index.'
    }`,
  );
}
