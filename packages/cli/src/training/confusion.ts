/** What was taken for what, as text and as a table of a page. */
import type { ConfusionMatrix, Evaluation } from '@cnn/train';
import { labelOf } from '../classes.js';
import { escaped } from '../html.js';
import { table } from '../terminal.js';

/** Classes up to which the whole matrix is shown. */
const WHOLE = 20;

/** The commonest mistakes: true class, what it was taken for, how often. */
export const mistakes = (
  matrix: ConfusionMatrix,
  limit = 10,
): readonly (readonly [truth: number, answer: number, count: number])[] =>
  matrix
    .flatMap((row, truth) => row.map((count, answer) => [truth, answer, count] as const))
    .filter(([truth, answer, count]) => truth !== answer && count > 0)
    .sort(([, , a], [, , b]) => b - a)
    .slice(0, limit);

/** The matrix as lines of text; of many classes only the commonest mistakes. */
export function confusionText(matrix: ConfusionMatrix, labels: readonly string[]): string {
  if (matrix.length <= WHOLE) {
    const short = matrix.map((_, index) => labelOf(labels, index).slice(0, 8));
    const rows = matrix.map((row, index) => [labelOf(labels, index), ...row.map(String)]);
    return `Rows are true classes, columns what they were taken for:\n${table(
      [['', ...short], ...rows],
      short.map((_, column) => column + 1),
    )}`;
  }
  const found = mistakes(matrix);
  return found.length === 0
    ? 'No mistakes.'
    : `The commonest mistakes:\n${table(
        found.map(([truth, answer, count]) => [
          String(count),
          `${labelOf(labels, truth)} taken for ${labelOf(labels, answer)}`,
        ]),
        [0],
      )}`;
}

/** The same for a page; the darker a cell, the more of its row it holds. */
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
  return `<table class="confusion"><tr><th></th>${head}</tr>${rows.join('')}</table><p>Rows are true classes, columns what they were taken for.</p>`;
}
