/** Confusion matrix as text and as HTML. */
import type { ConfusionMatrix, Evaluation } from '@cnn/train';
import { labelOf } from '../classes.js';
import { escaped } from '../html.js';
import { table } from '../terminal.js';

/** Largest number of classes for which the whole matrix is shown. */
const WHOLE = 20;

/** Gives the most frequent mistakes: true class, predicted class, count. */
export const mistakes = (
  matrix: ConfusionMatrix,
  limit = 10,
): readonly (readonly [truth: number, answer: number, count: number])[] =>
  matrix
    .flatMap((row, truth) => row.map((count, answer) => [truth, answer, count] as const))
    .filter(([truth, answer, count]) => truth !== answer && count > 0)
    .sort(([, , a], [, , b]) => b - a)
    .slice(0, limit);

/** Gives the matrix as text; of many classes only the most frequent mistakes. */
export function confusionText(matrix: ConfusionMatrix, labels: readonly string[]): string {
  if (matrix.length <= WHOLE) {
    const short = matrix.map((_, index) => labelOf(labels, index).slice(0, 8));
    const rows = matrix.map((row, index) => [labelOf(labels, index), ...row.map(String)]);
    return `Rows are true classes, columns are predicted classes:\n${table(
      [['', ...short], ...rows],
      short.map((_, column) => column + 1),
    )}`;
  }
  const found = mistakes(matrix);
  return found.length === 0
    ? 'No mistakes.'
    : `The most frequent mistakes:\n${table(
        found.map(([truth, answer, count]) => [
          String(count),
          `${labelOf(labels, truth)} predicted as ${labelOf(labels, answer)}`,
        ]),
        [0],
      )}`;
}

/** Gives the matrix as HTML; the shade of a cell is its fraction of the row. */
export function confusionHtml({ confusion }: Evaluation, labels: readonly string[]): string {
  if (confusion.length > WHOLE) return `<pre>${escaped(confusionText(confusion, labels))}</pre>`;
  const head = confusion
    .map((_, index) => `<th class="number">${escaped(labelOf(labels, index))}</th>`)
    .join('');
  const rows = confusion.map((row, truth) => {
    const total = row.reduce((sum, count) => sum + count, 0);
    const cells = row.map(
      (count, answer) =>
        `<td class="number" style="background:rgb(${truth === answer ? '42 157 143' : '214 39 40'}/${total === 0 ? 0 : (count / total).toFixed(3)})">${count}</td>`,
    );
    return `<tr><th>${escaped(labelOf(labels, truth))}</th>${cells.join('')}</tr>`;
  });
  return `<table class="confusion"><tr><th></th>${head}</tr>${rows.join('')}</table><p>Rows are true classes, columns are predicted classes.</p>`;
}
