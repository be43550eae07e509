/** The classes of a model: what they are called, and which are the likeliest. */
import { probabilities, topK } from '@cnn/core';
import { UsageError } from './errors.js';

/** One class of the answer. */
export interface Ranked {
  readonly index: number;
  readonly label: string;
  readonly probability: number;
}

/** The name of a class, where it has one. */
export const labelOf = (labels: readonly string[], index: number): string =>
  labels[index] ?? `class ${index}`;

/** The `top` classes of a row of logits, by softmax. */
export function rank(logits: Float32Array, labels: readonly string[], top: number): readonly Ranked[] {
  return topK(probabilities(logits), top).map(({ index, value }) => ({
    index,
    label: labelOf(labels, index),
    probability: value,
  }));
}

/** A class by its index or its label. */
export function classOf(text: string, labels: readonly string[]): number {
  const byLabel = labels.indexOf(text);
  if (byLabel >= 0) return byLabel;
  const index = Number(text);
  if (text.trim() && Number.isInteger(index) && index >= 0) return index;
  const near = labels.filter((label) => label.includes(text)).slice(0, 5);
  throw new UsageError(
    `There is no class '${text}'.${near.length > 0 ? ` Near it are ${near.map((label) => `'${label}'`).join(', ')}.` : ' Give an index or a label.'}`,
  );
}
