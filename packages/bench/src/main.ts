/** The command `npm run bench`: parses its options, runs the suites, writes the document. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { bench, secondsFor } from './bench.js';
import { root } from './cacheFolder.js';
import { chartOf } from './chart.js';
import { documentOf } from './document.js';
import { schedule } from './measure.js';
import { peerNames } from './programs.js';
import {
  BUSY_SHARE,
  coreRevision,
  type DatedRow,
  type Records,
  readRecords,
  requireSameMachine,
  thisMachine,
  withRow,
  writeRecords,
} from './records.js';
import type { Suite } from './suite.js';
import { quickSuite, suiteGroups, suites } from './suites.js';
import { plain, tablesOf } from './tables.js';

interface Options {
  readonly models?: readonly string[];
  readonly peers?: readonly string[];
  readonly rounds: number;
  readonly threads?: number;
  readonly batch?: number;
  readonly node: readonly string[];
  readonly browser?: string;
  readonly python?: string;
  readonly json?: string;
  readonly out?: string;
  readonly quick?: boolean;
  readonly report?: boolean;
}

const count = (text: string): number => {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1)
    throw new InvalidArgumentError('The value must be a whole number, at least 1.');
  return value;
};

const listOf =
  (known: readonly string[]) =>
  (text: string): readonly string[] =>
    text.split(',').map((name) => {
      if (!known.includes(name))
        throw new InvalidArgumentError(`'${name}' is unknown; use ${known.join(', ')}.`);
      return name;
    });

const suiteNames = [...suites.map(({ id }) => id), ...Object.keys(suiteGroups)].join(', ');

const program = new Command('bench')
  .description(
    'Measures the back ends of @cnn against other libraries, interleaved, and writes docs/benchmarks.md.',
  )
  .argument('[suites...]', `suites to measure: ${suiteNames}; default: all`)
  .option(
    '--models <names>',
    'measure only these networks, separated by commas',
    listOf([...new Set(suites.flatMap((suite) => suite.networks.map(({ name }) => name)))]),
  )
  .option(
    '--peers <names>',
    `measure only these peers, separated by commas: ${peerNames.join(', ')}; the results are shown but not saved`,
    listOf(peerNames),
  )
  .option('--rounds <n>', 'number of blocks of runs of each peer', count, 4)
  .option(
    '--threads <n>',
    'number of threads instead of that of the suites; the results are shown but not saved',
    count,
  )
  .option(
    '--batch <n>',
    'batch size instead of that of the suites; the results are shown but not saved',
    count,
  )
  .option(
    '--node <path>',
    'a Node executable; may be repeated. Default: the current one; other versions are installed from npm',
    (path, all: readonly string[]) => [...all, path],
    [],
  )
  .option('--browser <path>', 'a Chromium executable (default: the one that the tests use)')
  .option('--python <path>', 'a Python with PyTorch, for the training suites (default: python3)')
  .option('--json <file>', 'file of the measurements (default: docs/benchmarks.json)')
  .option('--out <file>', 'document to write (default: docs/benchmarks.md)')
  .option(
    '--quick',
    'compare two networks with onnxruntime-node in less than a minute; the results are shown but not saved',
  )
  .option('--report', 'measure nothing; write the document from the saved measurements')
  .addHelpText(
    'after',
    '\nExamples:\n  npm run bench -- --quick\n  npm run bench -- node24 --models resnet18,vgg16 --json mine.json --out mine.md\n  npm run bench',
  );

/** Returns the chosen suites, restricted to the chosen networks and peers. */
function chosenSuites(
  ids: readonly string[],
  { quick, models, peers, threads, batch }: Options,
): readonly Suite[] {
  const wanted = ids.flatMap((id) => suiteGroups[id] ?? [id]);
  for (const id of wanted)
    if (!suites.some((suite) => suite.id === id))
      throw new Error(`There is no suite '${id}'; use ${suiteNames}.`);
  const hasAvx512 = thisMachine().vectors.includes('avx512f');
  const chosen = quick ? [quickSuite] : suites.filter(({ id }) => ids.length === 0 || wanted.includes(id));
  return chosen
    .map((suite) => ({
      ...suite,
      ...(threads ? { threads } : {}),
      ...(batch ? { batch } : {}),
      title: `${suite.title}${threads ? `, with ${threads} threads` : ''}${batch ? `, with batch ${batch}` : ''}`,
      // Without AVX-512 the native peers use at most AVX2 anyway.
      contenders: suite.contenders
        .filter(({ avx2 }) => hasAvx512 || !avx2)
        .filter(({ peer }) => !peers || peers.includes(peer)),
      networks: suite.networks.filter(({ name }) => !models || models.includes(name)),
    }))
    .filter(({ contenders, networks }) => contenders.length > 0 && networks.length > 0);
}

async function run(ids: readonly string[], options: Options, signal: AbortSignal): Promise<void> {
  const json = options.json ?? join(root, 'docs/benchmarks.json');
  const out = options.out ?? join(root, 'docs/benchmarks.md');
  const saved = !options.quick && !options.threads && !options.batch && !options.peers;
  let records = readRecords(json);
  if (options.report) return writeDocument(out, records);
  if (saved) {
    requireSameMachine(json, records);
    // Fails here, not after the measurement, if a folder cannot be created.
    for (const file of [json, out]) mkdirSync(dirname(file), { recursive: true });
  }
  const chosen = chosenSuites(ids, options);
  const scheduleFor = ({ slow }: Suite) => schedule(options.rounds, slow);
  const estimates = chosen.flatMap((suite) =>
    suite.networks.map((network) => secondsFor(suite, network, scheduleFor(suite))),
  );
  const total = estimates.reduce((sum, seconds) => sum + seconds, 0);
  console.error(
    `${estimates.length} rows, about ${Math.ceil(total / 60)} minutes, plus the time to install and export missing files.`,
  );
  const started = performance.now();
  let done = 0;
  let expected = 0;
  const tty = process.stderr.isTTY;
  const progress = (line: string): void => {
    if (tty) process.stderr.write(`\r\x1b[K${line.slice(0, (process.stderr.columns || 80) - 1)}`);
  };
  const note = (line: string): void => {
    progress('');
    console.error(line);
  };
  const core = coreRevision();
  const shown = new Map<Suite, Record<string, DatedRow>>();
  await bench({
    suites: chosen,
    scheduleFor,
    nodes: options.node,
    ...(options.browser ? { browser: options.browser } : {}),
    ...(options.python ? { python: options.python } : {}),
    context: { note, signal },
    progress: (line) => progress(`${done} of ${estimates.length}, ${line}`),
    onRow(suite, network, { results, busy }, versions) {
      const date = new Date().toISOString().slice(0, 10);
      const row = {
        date,
        ...(core ? { core } : {}),
        ...(busy > BUSY_SHARE ? { busy: Number(busy.toFixed(2)) } : {}),
        results,
      };
      if (saved) {
        records = withRow(records, versions, suite.id, network.name, row);
        writeRecords(json, records);
      }
      const rows = shown.get(suite) ?? {};
      rows[network.name] = row;
      shown.set(suite, rows);
      expected += estimates[done++]!;
      const passed = (performance.now() - started) / 1000;
      const left = (total - expected) * (passed / expected);
      note(
        `${done} of ${estimates.length}, ${suite.title}: ${network.name} done${busy > BUSY_SHARE ? `, but other programs used ${Math.round(100 * busy)} % of the cores, so the times are too long` : ''}; ${(passed / 60).toFixed(1)} minutes elapsed, about ${(left / 60).toFixed(1)} left`,
      );
      if (suite.networks.at(-1) === network) {
        progress('');
        const tables = tablesOf(suite, rows).flatMap(({ about, cells }) =>
          [about ?? [], plain(cells)].flat(),
        );
        console.log(`\n${suite.title}\n${tables.join('\n\n')}\n`);
        for (const [name, { results }] of Object.entries(rows))
          for (const [contender, { failure }] of Object.entries(results))
            if (failure) console.log(`${name}, ${contender}: ${failure}`);
      }
    },
  });
  if (saved) writeDocument(out, records);
}

/** Writes the document, and its chart as an SVG file beside it. */
function writeDocument(out: string, records: Records): void {
  const chartFile = out.replace(/(\.md)?$/, '.svg');
  const chart = chartOf(records);
  if (chart) writeFileSync(chartFile, chart);
  writeFileSync(out, documentOf(records, chart && basename(chartFile)));
  console.log(`Wrote ${out}.`);
}

// The first Ctrl-C stops the measurement and all child processes; the second one kills this process.
const interrupted = new AbortController();
process.once('SIGINT', () => interrupted.abort(new Error('Interrupted.')));
process.once('SIGTERM', () => interrupted.abort(new Error('Interrupted.')));
program.parse();
try {
  await run(program.args, program.opts<Options>(), interrupted.signal);
} catch (error) {
  console.error(
    `bench: ${interrupted.signal.aborted ? 'Interrupted.' : error instanceof Error ? error.message : error}`,
  );
  process.exitCode = interrupted.signal.aborted ? 130 : 1;
}
