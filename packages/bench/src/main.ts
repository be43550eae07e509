/** The command `npm run bench`: its options, and how it ends. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { bench, secondsFor } from './bench.js';
import { documentOf } from './document.js';
import { schedule } from './measure.js';
import { pictureOf } from './picture.js';
import { peerNames } from './programs.js';
import {
  BUSY,
  type DatedRow,
  type Records,
  readRecords,
  requireSameMachine,
  stateOfCore,
  thisMachine,
  withRow,
  writeRecords,
} from './records.js';
import type { Suite } from './suite.js';
import { groups, quickSuite, suites } from './suites.js';
import { plain, tablesOf } from './tables.js';
import { root } from './workplace.js';

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
    throw new InvalidArgumentError('It must be a whole number from 1 up.');
  return value;
};

const namesOf =
  (known: readonly string[]) =>
  (text: string): readonly string[] =>
    text.split(',').map((name) => {
      if (!known.includes(name))
        throw new InvalidArgumentError(`There is no ${name}; there are ${known.join(', ')}.`);
      return name;
    });

const suiteNames = [...suites.map(({ id }) => id), ...Object.keys(groups)].join(', ');

const program = new Command('bench')
  .description('Measures our back ends against their peers, side by side, and writes docs/benchmarks.md.')
  .argument('[suites...]', `what to measure: ${suiteNames}; default all`)
  .option(
    '--models <names>',
    'these networks only, separated by commas',
    namesOf([...new Set(suites.flatMap((suite) => suite.networks.map(({ name }) => name)))]),
  )
  .option('--peers <names>', `these peers only: ${peerNames.join(', ')}`, namesOf(peerNames))
  .option('--rounds <n>', 'turns of each peer', count, 4)
  .option('--threads <n>', 'other threads than the suites say; shown, not kept', count)
  .option('--batch <n>', 'another batch size than the suites say; shown, not kept', count)
  .option(
    '--node <path>',
    'a Node to use; may be repeated. Default: this one, and others installed from npm',
    (path, all: readonly string[]) => [...all, path],
    [],
  )
  .option('--browser <path>', 'a Chromium to use; default the one that the tests use')
  .option('--python <path>', 'a Python with PyTorch, for training (default: python3)')
  .option('--json <file>', 'where the measurements are kept (default: docs/benchmarks.json)')
  .option('--out <file>', 'where the document goes (default: docs/benchmarks.md)')
  .option('--quick', 'two networks against onnxruntime-node, shown only, in less than a minute')
  .option('--report', 'measure nothing, write the document from what is kept')
  .addHelpText(
    'after',
    '\nExamples:\n  npm run bench -- --quick\n  npm run bench -- node24 --models resnet18,vgg16 --json mine.json --out mine.md\n  npm run bench',
  );

/** The suites that were asked for, cut down to what was asked for. */
function chosenSuites(
  ids: readonly string[],
  { quick, models, peers, threads, batch }: Options,
): readonly Suite[] {
  const wanted = ids.flatMap((id) => groups[id] ?? [id]);
  for (const id of wanted)
    if (!suites.some((suite) => suite.id === id))
      throw new Error(`There is no suite ${id}; there are ${suiteNames}.`);
  const wider = thisMachine().vectors.includes('avx512f');
  const chosen = quick ? [quickSuite] : suites.filter(({ id }) => ids.length === 0 || wanted.includes(id));
  return chosen
    .map((suite) => ({
      ...suite,
      ...(threads ? { threads } : {}),
      ...(batch ? { batch } : {}),
      title: `${suite.title}${threads ? `, with ${threads} threads` : ''}${batch ? `, with batch ${batch}` : ''}`,
      // Elsewhere AVX2 is what native peers have anyway.
      contenders: suite.contenders
        .filter(({ avx2 }) => wider || !avx2)
        .filter(({ peer }) => !peers || peers.includes(peer)),
      networks: suite.networks.filter(({ name }) => !models || models.includes(name)),
    }))
    .filter(({ contenders, networks }) => contenders.length > 0 && networks.length > 0);
}

async function run(ids: readonly string[], options: Options, signal: AbortSignal): Promise<void> {
  const json = options.json ?? join(root, 'docs/benchmarks.json');
  const out = options.out ?? join(root, 'docs/benchmarks.md');
  const kept = !options.quick && !options.threads && !options.batch && !options.peers;
  let records = readRecords(json);
  if (options.report) return writeDocument(out, records);
  if (kept) {
    requireSameMachine(json, records);
    // A folder that is missing is better noticed before the measurement than after it.
    for (const file of [json, out]) mkdirSync(dirname(file), { recursive: true });
  }
  const chosen = chosenSuites(ids, options);
  const planOf = ({ slow }: Suite) => schedule(options.rounds, slow);
  const work = chosen.flatMap((suite) =>
    suite.networks.map((network) => secondsFor(suite, network, planOf(suite))),
  );
  const total = work.reduce((sum, seconds) => sum + seconds, 0);
  console.error(
    `${work.length} rows, about ${Math.ceil(total / 60)} minutes, and more where files are missing.`,
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
  const core = stateOfCore();
  const shown = new Map<Suite, Record<string, DatedRow>>();
  await bench({
    suites: chosen,
    scheduleFor: planOf,
    nodes: options.node,
    ...(options.browser ? { browser: options.browser } : {}),
    ...(options.python ? { python: options.python } : {}),
    work: { note, signal },
    progress: (line) => progress(`${done} of ${work.length}, ${line}`),
    onRow(suite, network, { results, busy }, versions) {
      const date = new Date().toISOString().slice(0, 10);
      const row = {
        date,
        ...(core ? { core } : {}),
        ...(busy > BUSY ? { busy: Number(busy.toFixed(2)) } : {}),
        results,
      };
      if (kept) {
        records = withRow(records, versions, suite.id, network.name, row);
        writeRecords(json, records);
      }
      const rows = shown.get(suite) ?? {};
      rows[network.name] = row;
      shown.set(suite, rows);
      expected += work[done++]!;
      const passed = (performance.now() - started) / 1000;
      const left = (total - expected) * (passed / expected);
      note(
        `${done} of ${work.length}, ${suite.title}: ${network.name} done${busy > BUSY ? `, but other programs used ${Math.round(100 * busy)} % of the machine: times are too long` : ''}; ${(passed / 60).toFixed(1)} minutes passed, about ${(left / 60).toFixed(1)} left`,
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
  if (kept) writeDocument(out, records);
}

/** Writes the document, and the picture beside it. */
function writeDocument(out: string, records: Records): void {
  const drawing = out.replace(/(\.md)?$/, '.svg');
  const picture = pictureOf(records);
  if (picture) writeFileSync(drawing, picture);
  writeFileSync(out, documentOf(records, picture && basename(drawing)));
  console.log(`Wrote ${out}.`);
}

// The first Ctrl-C ends the work in order, with all that it started; a second one ends the process.
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
