/** The page about a run or an evaluation: what was asked for, the curves, every epoch, and what was confused. */
import type { EpochRecord, Evaluation } from '@cnn/train';
import { escaped } from '../html.js';
import { curves } from './chart.js';
import { confusionHtml } from './confusion.js';

/** What a report is made from. */
export interface Report {
  readonly title: string;
  /** What was asked for, by name. */
  readonly facts: Readonly<Record<string, unknown>>;
  readonly history: readonly EpochRecord[];
  readonly evaluation: Evaluation | undefined;
  readonly labels: readonly string[];
}

/** A share as percent with two digits. */
export const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;

/** The results of an evaluation in one line. */
export const evaluationLine = ({ count, accuracy, topK, loss }: Evaluation): string =>
  `top-1 ${percent(accuracy)}${[...topK]
    .filter(([k]) => k > 1)
    .map(([k, share]) => `, top-${k} ${percent(share)}`)
    .join('')}, loss ${loss.toFixed(4)} on ${count.toLocaleString('en-US')} pictures`;

const row = (tag: 'td' | 'th', cells: readonly string[]): string =>
  `<tr>${cells.map((cell) => `<${tag}>${escaped(cell)}</${tag}>`).join('')}</tr>`;

/** The page, complete in itself. */
export function reportPage({ title, facts, history, evaluation, labels }: Report): string {
  const known = Object.entries(facts).filter(([, value]) => value !== undefined && String(value) !== '');
  const epochs = history.map(({ epoch, loss, accuracy, learningRate, validation }) =>
    row('td', [
      String(epoch),
      loss.toFixed(4),
      percent(accuracy),
      validation?.loss.toFixed(4) ?? '',
      validation ? percent(validation.accuracy) : '',
      learningRate.toPrecision(3),
    ]),
  );
  const head = ['epoch', 'loss', 'accuracy', 'evaluation loss', 'evaluation accuracy', 'learning rate'];
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>${escaped(title)}</title>
<style>body{font:14px system-ui;margin:2em;color-scheme:light dark}svg{max-width:100%;height:auto}td,th{padding:2px 8px;text-align:right}table{border-collapse:collapse;margin:1em 0}.facts th,.facts td{text-align:left}.confusion th{font-weight:normal}</style>
<h1>${escaped(title)}</h1>
<table class="facts">${known.map(([name, value]) => row('td', [name, String(value)])).join('')}</table>
${evaluation ? `<p>${escaped(evaluationLine(evaluation))}</p>` : ''}
${history.length > 0 ? `${curves(history)}<table>${row('th', head)}${epochs.join('')}</table>` : ''}
${evaluation ? confusionHtml(evaluation, labels) : ''}
</html>\n`;
}
