/** The command `npm run fuzz`: runs random graphs or damaged files and reports the cases that fail. */
import { enableWideSimd } from '@cnn/core';
import { Command, InvalidArgumentError } from 'commander';
import { fuzzFiles } from './files.js';
import { fuzzGraphs } from './graphs.js';
import type { FormatCounts, Report } from './report.js';

interface Options {
  readonly seed: number;
  readonly cases: number;
  readonly wide?: boolean;
  readonly python?: string;
  readonly files?: boolean;
  readonly json?: boolean;
}

const whole =
  (least: number) =>
  (text: string): number => {
    const value = Number(text);
    if (!Number.isSafeInteger(value) || value < least || value >= 2 ** 31)
      throw new InvalidArgumentError(`The value must be a whole number, at least ${least} and below 2^31.`);
    return value;
  };

const program = new Command('fuzz')
  .description(
    'Runs random graphs on the wasm back end and compares them with the reference: values, gradients and training steps, as traced and simplified, on 1, 2 and 3 threads.',
  )
  .option('--seed <n>', 'seed of the first case; each further case uses the next seed', whole(0), 1)
  .option('--cases <n>', 'number of cases', whole(1), 200)
  .option('--wide', 'use 256-bit SIMD (Node 24 or newer on x64), like CNN_WIDE_SIMD=1')
  .option('--python <path>', 'also compare the reference with the PyTorch of this Python')
  .option('--files', 'read damaged files of weights and pictures instead')
  .option('--json', 'print the result as JSON')
  .addHelpText(
    'after',
    '\nFor each failing case the command prints the seed; for the first one also its graph, shrunk while it still fails.\n\nExamples:\n  npm run fuzz -- --cases 500\n  npm run fuzz -- --seed 133 --cases 1\n  npm run fuzz -- --python python3\n  npm run fuzz -- --files --cases 100000',
  );

/** Formats the numbers of files by format as a table. */
function tableOf(formats: NonNullable<Report['formats']>): string[] {
  const counts = Object.values(formats);
  const sum = (key: keyof FormatCounts): number =>
    counts.reduce((total, { [key]: count }) => total + count, 0);
  const rows: readonly (readonly (string | number)[])[] = [
    ['format', 'files', 'beyond the signature', 'read', 'failed'],
    ...Object.entries(formats).map(([name, { files, beyond, read, failed }]) => [
      name,
      files,
      beyond,
      read,
      failed,
    ]),
    ['all', sum('files'), sum('beyond'), sum('read'), sum('failed')],
  ];
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => String(row[column]).length)));
  return rows.map((row) =>
    row
      .map((cell, i) => (i === 0 ? String(cell).padEnd(widths[i]!) : String(cell).padStart(widths[i]!)))
      .join('  '),
  );
}

/** Formats the report for people. */
function textOf({ cases, skipped, failures, seconds, notes, formats }: Report): string {
  const uncompared = Object.entries(skipped).map(([reason, count]) => `${count} not compared: ${reason}`);
  return [
    ...notes,
    ...failures.flatMap(({ seed, problem, graph }) => [
      `seed ${seed}: ${problem}`,
      ...(graph ? [graph] : []),
    ]),
    ...(formats ? tableOf(formats) : []),
    [`${cases} cases, ${failures.length} failed`, ...uncompared, `${seconds.toFixed(0)} s`].join('; '),
  ].join('\n');
}

// The first Ctrl-C ends after the current case; the second one kills the process.
const interrupted = new AbortController();
process.once('SIGINT', () => interrupted.abort());
process.once('SIGTERM', () => interrupted.abort());
program.parse();
const options = program.opts<Options>();
try {
  if ((options.wide || process.env.CNN_WIDE_SIMD === '1') && !enableWideSimd())
    throw new Error('This engine has no 256-bit SIMD; use Node 24 or newer on x64.');
  const tty = process.stderr.isTTY;
  const progress = (line: string): void => {
    if (tty) process.stderr.write(`\r\x1b[K${line}`);
  };
  const report = await (options.files ? fuzzFiles : fuzzGraphs)({
    ...options,
    signal: interrupted.signal,
    progress,
  });
  progress('');
  console.log(options.json ? JSON.stringify(report, null, 2) : textOf(report));
  process.exitCode = interrupted.signal.aborted ? 130 : report.failures.length > 0 ? 1 : 0;
} catch (error) {
  console.error(`fuzz: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}
