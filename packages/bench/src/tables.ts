/**
 * Builds the tables for the document and the terminal: a suite's rows with ratios, geometric means and
 * targets.
 */
import type { Result } from './measure.js';
import type { DatedRow } from './records.js';
import type { Contender, Metric, Suite, SuiteTable, Target } from './suite.js';

/** Cells by row; the first row is the heading. */
export type Table = readonly (readonly string[])[];

const digits = (value: number): string => value.toPrecision(value < 100 ? 3 : 4).replace(/\.$/, '');

/** Formats a ratio with two decimals; below 0.1 with two significant digits. */
const ratioText = (value: number): string => (value < 0.1 ? value.toPrecision(2) : value.toFixed(2));

const pictures = (batch: number, milliseconds: number): number => (1000 * batch) / milliseconds;

/**
 * Column title and cell of a metric, and the value from which ratios are computed. Lower values are better;
 * for throughput the value is the time of a run.
 */
interface MetricRule {
  readonly title: string;
  cell(result: Result, batch: number): string;
  value(result: Result): number | undefined;
}

const times = ({ median, minimum }: Result): string =>
  median && minimum ? `${digits(median)} / ${digits(minimum)}` : '';

const metrics: Readonly<Record<Metric, MetricRule>> = {
  time: { title: 'ms', cell: times, value: ({ minimum }) => minimum },
  start: { title: 'ms', cell: times, value: ({ minimum }) => minimum },
  throughput: {
    title: 'pictures/s',
    cell: ({ median, minimum }, batch) =>
      median && minimum ? `${digits(pictures(batch, median))} / ${digits(pictures(batch, minimum))}` : '',
    value: ({ minimum }) => minimum,
  },
  memory: { title: 'MB', cell: ({ memory }) => memory?.toFixed(0) ?? '', value: ({ memory }) => memory },
  firstResult: {
    title: 'first result, ms',
    cell: ({ firstResult }) => firstResult?.toFixed(0) ?? '',
    value: ({ firstResult }) => firstResult,
  },
  compile: {
    title: 'compile, ms',
    cell: ({ compile }) => compile?.toFixed(0) ?? '',
    value: ({ compile }) => compile,
  },
  kernels: {
    title: 'kernels',
    cell: ({ kernels }) => kernels?.toFixed(0) ?? '',
    value: ({ kernels }) => kernels,
  },
};

/** The geometric mean; undefined for none. */
const geometricMean = (values: readonly number[]): number | undefined =>
  values.length === 0
    ? undefined
    : Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);

/** Returns a check mark if the value reaches its target, a cross if not. */
const mark = (value: number | undefined, target: number | undefined): string =>
  target === undefined || value === undefined ? '' : value <= target ? ' ✓' : ' ✗';

/** Ratio of @cnn's value of a metric to another contender's; undefined if one is missing. */
export function ratioOf(
  metric: Metric,
  ours: Result | undefined,
  other: Result | undefined,
): number | undefined {
  const { value } = metrics[metric];
  const [own, others] = [ours && value(ours), other && value(other)];
  return own && others ? own / others : undefined;
}

/** Rows by network. */
type Rows = Readonly<Record<string, DatedRow>>;

/** Returns the contenders with results; some are left out on some machines. */
export const measuredContenders = ({ contenders }: Suite, rows: Rows): readonly Contender[] =>
  contenders.filter(({ name }) => Object.values(rows).some(({ results }) => results[name]));

/** Builds the tables of a suite: a row for each measured network, and one for the geometric means. */
export function tablesOf(suite: Suite, rows: Rows): readonly { about?: string; cells: Table }[] {
  const measured = measuredContenders(suite, rows).map(({ name }) => name);
  return suite.tables.flatMap((table, index) => {
    const contenders = table.contenders?.filter((name) => measured.includes(name)) ?? measured;
    if (contenders.length === 0) return [];
    const cells = tableOf(suite, table, contenders, rows);
    return {
      ...(table.about ? { about: table.about } : {}),
      // All tables come from one measurement, so only the first one shows the deviation.
      cells: index === 0 ? cells : cells.map((row) => row.slice(0, -1)),
    };
  });
}

function tableOf(
  suite: Suite,
  { metric, targets = [], limits }: SuiteTable,
  contenders: readonly string[],
  rows: Rows,
): Table {
  const rule = metrics[metric];
  const [own, ...others] = contenders as [string, ...string[]];
  const measured = suite.networks.map(({ name }) => name).filter((name) => rows[name]);
  const targetOf = (contender: string): Target | undefined =>
    targets.find(({ contenders }) => contenders.includes(contender));
  /**
   * Returns the cells of each other contender; a target has one column, after the last contender that shares
   * it.
   */
  const columns = (
    cells: (name: string, target: Target | undefined) => readonly string[],
    targetCell: (target: Target) => string,
  ): readonly string[] =>
    others.flatMap((name, index) => {
      const target = targetOf(name);
      const last = target && target !== targetOf(others[index + 1] ?? '');
      return [...cells(name, target), ...(last ? [targetCell(target)] : [])];
    });
  const cell = (result: Result | undefined): string => {
    if (!result?.failure) return result ? rule.cell(result, suite.batch) : '';
    return result.failure.startsWith('not supported') ? 'not supported' : 'failed';
  };
  const optional = (value: number | undefined): string => (value === undefined ? '' : ratioText(value));
  const body = measured.map((network) => {
    const { results } = rows[network]!;
    const ours = results[own];
    const limit = limits?.[network];
    const deviations = Object.values(results).flatMap(({ deviation }) => deviation ?? []);
    return [
      network,
      cell(ours) + mark(ours && rule.value(ours), limit),
      ...(limits ? [limit?.toFixed(0) ?? ''] : []),
      ...columns(
        (name, target) => {
          const ratio = ratioOf(metric, ours, results[name]);
          return [cell(results[name]), optional(ratio) + mark(ratio, target?.networks[network])];
        },
        ({ networks }) => optional(networks[network]),
      ),
      deviations.length > 0 ? Math.max(...deviations).toExponential(0) : '',
    ];
  });
  const head = [
    'network',
    `${own}, ${rule.title}`,
    ...(limits ? ['limit'] : []),
    ...columns(
      (name) => [`${name}, ${rule.title}`, 'ratio'],
      () => 'target',
    ),
    'deviation',
  ];
  const means = [
    '**geometric mean**',
    '',
    ...(limits ? [''] : []),
    ...columns(
      (name, target) => {
        const ratios = measured.flatMap(
          (network) => ratioOf(metric, rows[network]!.results[own], rows[network]!.results[name]) ?? [],
        );
        const mean = geometricMean(ratios);
        return ['', mean === undefined ? '' : `**${ratioText(mean)}**${mark(mean, target?.geometricMean)}`];
      },
      ({ geometricMean }) => optional(geometricMean),
    ),
    '',
  ];
  return [head, ...body, ...(measured.length > 1 && others.length > 0 ? [means] : [])];
}

/** Summarises all suites: geometric mean, lowest and highest ratio in the first table of each. */
export function summaryOf(measured: readonly (readonly [Suite, Rows])[]): Table {
  const body = measured.flatMap(([suite, rows]) => {
    const [table] = suite.tables as [SuiteTable];
    const shown = measuredContenders(suite, rows).filter(
      ({ name }) => table.contenders?.includes(name) ?? true,
    );
    const [own, ...others] = shown.map(({ name }) => name);
    return others.map((name) => {
      const ratios = Object.entries(rows)
        .flatMap(([network, { results }]) => {
          const ratio = ratioOf(table.metric, results[own!], results[name]);
          return ratio === undefined ? [] : [{ network, ratio }];
        })
        .toSorted((a, b) => a.ratio - b.ratio);
      const mean = geometricMean(ratios.map(({ ratio }) => ratio));
      const end = (at: number): string =>
        ratios.length > 1 ? `${ratios.at(at)!.network} ${ratioText(ratios.at(at)!.ratio)}` : '';
      return [suite.title, name, mean === undefined ? '' : ratioText(mean), end(0), end(-1)];
    });
  });
  return [['suite', 'peer', 'ratio', 'lowest', 'highest'], ...body];
}

/** Formats a table as Markdown; all columns except the first are right-aligned. */
export function markdown([head, ...body]: Table): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head!), `| --- |${' ---: |'.repeat(head!.length - 1)}`, ...body.map(line)].join('\n');
}

/** Formats a table for a terminal. */
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
