/** Metrics of a classifier: accuracy, top-k accuracy, and the confusion matrix. */
import type { Tensor } from '@cnn/core';

/** Gives the index of the largest value, the first of equal ones. */
export const argmax = (values: ArrayLike<number>): number => {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  return best;
};

/** Gives the rows of a matrix (n x classes), not copied. */
export function* rowsOf({ shape, data }: Tensor): Generator<Float32Array> {
  const [n, classes] = shape as [number, number];
  for (let row = 0; row < n; row++) yield data.subarray(row * classes, (row + 1) * classes);
}

/** True if fewer than k scores rank before the label's: higher ones, and equal ones of lower classes. */
export function isInTop(scores: ArrayLike<number>, label: number, k: number): boolean {
  let before = 0;
  for (let c = 0; c < scores.length; c++)
    if (scores[c]! > scores[label]! || (scores[c] === scores[label] && c < label)) before++;
  // A NaN score is never right.
  return before < k && !Number.isNaN(scores[label]!);
}

/**
 * Gives the fraction of rows whose label is among the k highest scores.
 * @example
 * topKAccuracy(tensor([0.1, 0.7, 0.2, 0.5, 0.3, 0.2], [2, 3]), [1, 1], 1) // 0.5
 */
export function topKAccuracy(logits: Tensor, labels: ArrayLike<number>, k: number): number {
  let right = 0;
  let row = 0;
  for (const scores of rowsOf(logits)) if (isInTop(scores, labels[row++]!, k)) right++;
  return right / row;
}

/** Counts by true class (rows) and predicted class (columns). */
export type ConfusionMatrix = readonly (readonly number[])[];

/** Counts how often each class was predicted as each. */
export function confusionMatrix(
  labels: ArrayLike<number>,
  predictions: ArrayLike<number>,
  classes: number,
): ConfusionMatrix {
  const counts = Array.from({ length: classes }, () => new Array<number>(classes).fill(0));
  for (let i = 0; i < labels.length; i++) {
    const row = counts[labels[i]!];
    if (!row || row[predictions[i]!] === undefined)
      throw new RangeError(
        `Row ${i} has the label ${labels[i]} and the prediction ${predictions[i]}; with ${classes} classes both go from 0 to ${classes - 1}.`,
      );
    row[predictions[i]!]!++;
  }
  return counts;
}

/** Precision and recall of a class; NaN if the denominator is 0. */
export interface ClassReport {
  /** Fraction of the predictions of this class that are right. */
  readonly precision: number;
  /** Fraction of the examples of this class that are predicted as it. */
  readonly recall: number;
}

/** Gives precision and recall of every class. */
export const classReports = (matrix: ConfusionMatrix): readonly ClassReport[] =>
  matrix.map((row, c) => ({
    precision: row[c]! / matrix.reduce((sum, other) => sum + other[c]!, 0),
    recall: row[c]! / row.reduce((sum, count) => sum + count, 0),
  }));
