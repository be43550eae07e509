/** Writes the HTML report of a run or an evaluation: settings, curves, epochs, confusion matrix. */
import type { EpochRecord, Evaluation } from '@cnn/train';
import { escaped, page, row } from '../html.js';
import { curves } from './chart.js';
import { confusionHtml } from './confusion.js';

/** Content of a report. */
export interface Report {
  readonly title: string;
  /** Settings and other facts, by name. */
  readonly facts: Readonly<Record<string, unknown>>;
  readonly history: readonly EpochRecord[];
  readonly evaluation: Evaluation | undefined;
  readonly labels: readonly string[];
}

/** Formats a fraction as percent with two digits. */
export const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;

/** Formats an evaluation in one line. */
export const evaluationLine = ({ count, accuracy, topK, loss }: Evaluation): string =>
  `top-1 ${percent(accuracy)}${[...topK]
    .filter(([k]) => k > 1)
    .map(([k, share]) => `, top-${k} ${percent(share)}`)
    .join('')}, loss ${loss.toFixed(4)} on ${count.toLocaleString('en-US')} pictures`;

/** Gives the page, without references to other files. */
export function reportPage({ title, facts, history, evaluation, labels }: Report): string {
  const known = Object.entries(facts).filter(([, value]) => value !== undefined && String(value) !== '');
  const epochs = history.map(({ epoch, loss, accuracy, learningRate, validation }) =>
    row(
      'td',
      [
        String(epoch),
        loss.toFixed(4),
        percent(accuracy),
        validation?.loss.toFixed(4) ?? '',
        validation ? percent(validation.accuracy) : '',
        learningRate.toPrecision(3),
      ],
      everyColumn,
    ),
  );
  return page(
    title,
    [
      `<table>${known.map(([name, value]) => row('td', [name, String(value)])).join('\n')}</table>`,
      evaluation ? `<p>${escaped(evaluationLine(evaluation))}</p>` : '',
      history.length > 0 ? curves(history) : '',
      history.length > 0 ? `<table>${row('th', columns, everyColumn)}\n${epochs.join('\n')}</table>` : '',
      evaluation ? confusionHtml(evaluation, labels) : '',
    ].join('\n'),
    'svg { max-width: 100%; height: auto; }',
  );
}

const columns = ['epoch', 'loss', 'accuracy', 'evaluation loss', 'evaluation accuracy', 'learning rate'];
const everyColumn = [...columns.keys()];
