/** The command `npm run fuzz`: random graphs and damaged files by the hundred, and what is wrong with them. */
import { enableWideSimd } from '@cnn/core';
import { Command, InvalidArgumentError } from 'commander';
import { fuzzFiles } from './files.js';
import { fuzzGraphs } from './graphs.js';
import type { Report } from './report.js';

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
      throw new InvalidArgumentError(`It must be a whole number from ${least} up.`);
    return value;
  };

const program = new Command('fuzz')
  .description(
    'Runs random graphs on the wasm back end and compares them with the reference: values, gradients and training steps, as they are and simplified, on 1, 2 and 3 threads.',
  )
  .option('--seed <n>', 'the first seed; each case has the next one', whole(0), 1)
  .option('--cases <n>', 'how many', whole(1), 200)
  .option('--wide', 'with 256-bit SIMD (Node 24 on x64); CNN_WIDE_SIMD=1 says the same')
  .option('--python <path>', 'compares the reference with the PyTorch of this Python as well')
  .option('--files', 'reads damaged files of weights and pictures instead')
  .option('--json', 'prints the result as JSON')
  .addHelpText(
    'after',
    '\nA case that fails prints its seed; the first one also its graph, made as small as it stays wrong.\n\nExamples:\n  npm run fuzz -- --cases 500\n  npm run fuzz -- --seed 133 --cases 1\n  npm run fuzz -- --python python3\n  npm run fuzz -- --files --cases 100000',
  );

/** What happened, for people. */
function printed({ cases, skipped, failures, seconds, notes }: Report): string {
  const left = Object.entries(skipped).map(([reason, count]) => `${count} of them not compared: ${reason}`);
  return [
    ...notes,
    ...failures.flatMap(({ seed, problem, graph }) => [
      `seed ${seed}: ${problem}`,
      ...(graph ? [graph] : []),
    ]),
    [`${cases} cases, ${failures.length} failed`, ...left, `${seconds.toFixed(0)} s`].join('; '),
  ].join('\n');
}

// The first Ctrl-C ends after the present case; a second one ends the process.
const interrupted = new AbortController();
process.once('SIGINT', () => interrupted.abort());
process.once('SIGTERM', () => interrupted.abort());
program.parse();
const options = program.opts<Options>();
try {
  if ((options.wide || process.env.CNN_WIDE_SIMD === '1') && !enableWideSimd())
    throw new Error('This engine has no 256-bit SIMD; Node 24 and newer have it on x64.');
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
  console.log(options.json ? JSON.stringify(report, null, 2) : printed(report));
  process.exitCode = interrupted.signal.aborted ? 130 : report.failures.length > 0 ? 1 : 0;
} catch (error) {
  console.error(`fuzz: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}
