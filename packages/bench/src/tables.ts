/** The tables of the document and of the terminal: a suite's rows with ratios, geometric means and targets. */
import type { Result } from './measure.js';
import type { DatedRow } from './records.js';
import type { Suite } from './suites.js';

/** Cells; the first row is the head. */
export type Table = readonly (readonly string[])[];

const milliseconds = (value: number): string => value.toPrecision(value < 100 ? 3 : 4).replace(/\.$/, '');

/** Our time over the other's: of the minima, which are steadier than medians. */
export const ratioOf = (ours: Result | undefined, other: Result | undefined): number | undefined =>
  ours?.minimum && other?.minimum ? ours.minimum / other.minimum : undefined;

/** The geometric mean; undefined for none. */
export const geometricMean = (values: readonly number[]): number | undefined =>
  values.length === 0
    ? undefined
    : Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);

/** Whether a ratio reaches its target, as a mark. */
const mark = (ratio: number | undefined, target: number | undefined): string =>
  target === undefined || ratio === undefined ? '' : ratio <= target ? ' ✓' : ' ✗';

function timeCell({ kind, batch }: Suite, result: Result | undefined): string {
  if (!result) return '';
  if (result.failure) return result.failure.startsWith('not supported') ? 'not supported' : 'failed';
  if (result.minimum === undefined || result.median === undefined) return '';
  if (kind === 'throughput')
    return `${milliseconds((1000 * batch) / result.median)} / ${milliseconds((1000 * batch) / result.minimum)}`;
  const times = `${milliseconds(result.median)} / ${milliseconds(result.minimum)}`;
  return kind === 'start' && result.memory ? `${times}, ${result.memory.toFixed(0)} MB` : times;
}

/** A suite as a table: a row for each network that was measured, and one for the geometric means. */
export function tableOf(
  suite: Suite,
  rows: Readonly<Record<string, DatedRow>>,
  names: readonly string[],
): Table {
  const [own, ...others] = suite.contenders.map(({ name }) => name) as [string, ...string[]];
  const measured = names.filter((name) => rows[name]);
  const targetOf = (contender: string) => suite.targets.find((target) => target.contender === contender);
  const unit = suite.kind === 'throughput' ? 'pictures/s' : 'ms';
  const head = [
    'network',
    `${own}, ${unit}`,
    ...others.flatMap((name) => [`${name}, ${unit}`, 'ratio', ...(targetOf(name) ? ['target'] : [])]),
    'deviation',
  ];
  const body = measured.map((network) => {
    const { results } = rows[network]!;
    const deviations = others.flatMap((name) => results[name]?.deviation ?? []);
    return [
      network,
      timeCell(suite, results[own]),
      ...others.flatMap((name) => {
        const ratio = ratioOf(results[own], results[name]);
        const target = targetOf(name)?.networks[network];
        return [
          timeCell(suite, results[name]),
          ratio === undefined ? '' : ratio.toFixed(2) + mark(ratio, target),
          ...(targetOf(name) ? [target?.toFixed(2) ?? ''] : []),
        ];
      }),
      deviations.length > 0 ? Math.max(...deviations).toExponential(0) : '',
    ];
  });
  const means = [
    '**geometric mean**',
    '',
    ...others.flatMap((name) => {
      const ratios = measured.flatMap((network) => {
        const { results } = rows[network]!;
        return ratioOf(results[own], results[name]) ?? [];
      });
      const mean = geometricMean(ratios);
      const target = targetOf(name)?.geometricMean;
      return [
        '',
        mean === undefined ? '' : `**${mean.toFixed(2)}**${mark(mean, target)}`,
        ...(target === undefined ? [] : [target.toFixed(2)]),
      ];
    }),
    '',
  ];
  return [head, ...body, ...(measured.length > 1 ? [means] : [])];
}

/** A table in Markdown; all columns but the first are numbers. */
export function markdown([head, ...body]: Table): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head!), `| --- |${' ---: |'.repeat(head!.length - 1)}`, ...body.map(line)].join('\n');
}

/** A table for a terminal. */
export function plain(table: Table): string {
  const cells = table.map((row) => row.map((cell) => cell.replaceAll('**', '')));
  const widths = cells[0]!.map((_, column) => Math.max(...cells.map((row) => row[column]!.length)));
  return cells
    .map((row) =>
      row
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
