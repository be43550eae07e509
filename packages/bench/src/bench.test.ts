/**
 * Tests the benchmark: order of the contenders, comparison, tables, and a whole run of a tiny network without
 * other libraries.
 */
import { expect, test } from 'vitest';
import { hideAvx512, limitToAvx2 } from './avx2.js';
import { bench } from './bench.js';
import { chartOf } from './chart.js';
import { documentOf } from './document.js';
import { measure, type Row, type Schedule } from './measure.js';
import type { Network } from './networks.js';
import { type Records, readRecords, thisMachine, withRow } from './records.js';
import type { Contender, Suite } from './suite.js';
import { markdown, summaryOf, tablesOf } from './tables.js';

const lenet: Network = { name: 'lenet5', family: 'lenet', gain2: 1, macs: 1, picture: [1, 32, 32] };
const contender = (name: string): Contender => ({ name, peer: 'ours', runtime: 'node' });
const suite: Suite = {
  id: 'node24',
  title: 'A test',
  kind: 'interleaved',
  batch: 1,
  threads: 1,
  contenders: [contender('ours'), contender('theirs')],
  networks: [lenet],
  tables: [{ metric: 'time', targets: [{ contenders: ['theirs'], networks: { lenet5: 0.9 } }] }],
};
const once: Schedule = {
  rounds: 2,
  warmUp: { milliseconds: 0, runs: 1 },
  blockWarmUp: { milliseconds: 0, runs: 0 },
  block: { milliseconds: 0, runs: 1 },
};

/** Starts fake programs: each returns a given output, and one time per block. */
const fakeStart =
  (outputs: Readonly<Record<string, number[]>>, milliseconds: number, log: string[] = []) =>
  async ({ name }: Contender) => ({
    started: {
      output: outputs[name]!,
      threads: 1,
      notes: [],
      time: 0,
      firstResult: 2,
      compile: 1,
      kernels: 0,
      peakMemory: 0,
    },
    async block() {
      log.push(name);
      return [milliseconds];
    },
    async end() {
      log.push(`${name} ended`);
    },
  });

test('contenders are timed forwards, then backwards, and all are ended', async () => {
  const log: string[] = [];
  const row = await measure(suite, fakeStart({ ours: [1, 2], theirs: [1, 2.0001] }, 3, log), once, () => {});
  expect(log.slice(2)).toEqual(['ours', 'theirs', 'theirs', 'ours', 'ours ended', 'theirs ended']);
  expect(row.theirs).toMatchObject({
    median: 3,
    minimum: 3,
    runs: 2,
    deviation: 1e-4,
    firstResult: 2,
    compile: 1,
  });
});

test.each([
  ['another output', [1, 2.1], 'differs'],
  ['NaN', [1, Number.NaN], 'not finite'],
  ['fewer outputs', [1], '1 values instead of 2'],
])('a peer that returns %s has no time', async (_, theirs, message) => {
  const row = await measure(suite, fakeStart({ ours: [1, 2], theirs }, 3), once, () => {});
  expect(row.theirs?.failure).toContain(message);
  expect(row.theirs?.median).toBeUndefined();
  expect(row.ours?.median).toBe(3);
});

test('tables show ratios of minima, marks at targets and geometric means', () => {
  const row = (ours: number, theirs: number) => ({
    date: '2026-01-01',
    results: { ours: { median: 2 * ours, minimum: ours }, theirs: { median: 9, minimum: theirs } },
  });
  const two: Suite = { ...suite, networks: [lenet, { ...lenet, name: 'other' }] };
  const [table] = tablesOf(two, { lenet5: row(2, 4), other: row(4, 2) });
  expect(table?.cells).toEqual([
    ['network', 'ours, ms', 'theirs, ms', 'ratio', 'target', 'deviation'],
    ['lenet5', '4.00 / 2.00', '9.00 / 4.00', '0.50 ✓', '0.90', ''],
    ['other', '8.00 / 4.00', '9.00 / 2.00', '2.00', '', ''],
    ['**geometric mean**', '', '', '**1.00**', '', ''],
  ]);
  expect(markdown(table!.cells)).toContain('| lenet5 | 4.00 / 2.00 |');
  expect(summaryOf([[two, { lenet5: row(2, 4), other: row(4, 2) }]])).toEqual([
    ['suite', 'peer', 'ratio', 'lowest', 'highest'],
    ['A test', 'theirs', '1.00', 'lenet5 0.50', 'other 2.00'],
  ]);
});

test('contenders may share a target, are left out without results, and can be selected for a table', () => {
  const times = (minimum: number) => ({ median: minimum, minimum, deviation: 1e-6 });
  const results = { ours: times(1), theirs: times(2), narrow: times(4), old: times(3) };
  const rows = { lenet5: { date: '2026-01-01', results } };
  const targets = [{ contenders: ['theirs', 'narrow', 'absent'], networks: { lenet5: 0.3 } }];
  const all: Suite = {
    ...suite,
    contenders: ['ours', 'theirs', 'narrow', 'absent', 'old'].map(contender),
    tables: [
      { metric: 'time', targets },
      { metric: 'time', about: 'Old ones:', contenders: ['old', 'theirs'], targets },
      { metric: 'time', contenders: ['absent'] },
    ],
  };
  expect(tablesOf(all, rows)).toEqual([
    {
      cells: [
        [
          'network',
          'ours, ms',
          'theirs, ms',
          'ratio',
          'narrow, ms',
          'ratio',
          'target',
          'old, ms',
          'ratio',
          'deviation',
        ],
        [
          'lenet5',
          '1.00 / 1.00',
          '2.00 / 2.00',
          '0.50 ✗',
          '4.00 / 4.00',
          '0.25 ✓',
          '0.30',
          '3.00 / 3.00',
          '0.33',
          '1e-6',
        ],
      ],
    },
    {
      about: 'Old ones:',
      cells: [
        ['network', 'old, ms', 'theirs, ms', 'ratio', 'target'],
        ['lenet5', '3.00 / 3.00', '2.00 / 2.00', '1.50 ✗', '0.30'],
      ],
    },
  ]);
});

test('hideAvx512 replaces every xgetbv and nothing else', () => {
  const library = Buffer.from('0f01d0c3'.concat('83e00f01d0c3', '900f01d0'), 'hex');
  expect(hideAvx512(library)).toBe(2);
  expect(library.toString('hex')).toBe('6a0758c3'.concat('83e00f01d0c3', '906a0758'));
});

test('a peer that cannot be limited to AVX2 has a reason', async () => {
  const context = { note: () => {}, signal: new AbortController().signal };
  expect(await limitToAvx2('tfjs-wasm', context)).toEqual({
    impossible: expect.stringContaining('tfjs-wasm'),
  });
});

test('the chart has a bar for each time and a mark for each target', () => {
  const results = {
    'ours, 256-bit': { median: 2, minimum: 2 },
    'onnxruntime-node': { median: 5, minimum: 5 },
  };
  const rows = { node24: { resnet18: { date: '2026-01-01', results } } };
  const chart = chartOf({ machine: thisMachine(), versions: {}, rows });
  expect(chart).toContain('>resnet18<');
  expect(chart).toContain('>2.50<');
  expect(chart?.match(/class="target"/g)).toHaveLength(1);
  expect(chartOf({ machine: thisMachine(), versions: {}, rows: {} })).toBeUndefined();
});

test('a whole run measures real processes and creates the document', async () => {
  const rows: Row[] = [];
  await bench({
    suites: [suite],
    scheduleFor: () => once,
    nodes: [],
    context: { note: () => {}, signal: new AbortController().signal },
    progress: () => {},
    onRow: (_, network, { results }) => {
      expect(network).toBe(lenet);
      rows.push(results);
    },
  });
  expect(rows[0]?.ours?.minimum).toBeGreaterThan(0);
  // Both contenders are the same program, so their outputs are identical.
  expect(rows[0]?.theirs).toMatchObject({ deviation: 0, runs: 2 });
  const records = withRow(readRecords('/nowhere'), { 'Node 20': 'v20' }, suite.id, lenet.name, {
    date: '2026-01-01',
    busy: 0.5,
    results: rows[0]!,
  });
  const text = documentOf(records);
  expect(text).toContain('## Node 24, batch 1, 2 threads');
  expect(text).toContain('other programs used the machine: lenet5 (50 % of the cores)');
  expect(text).toContain('## Experiments');
});

test('the document gives dates by section if they differ', () => {
  const dated = (date: string, core?: string) => ({
    date,
    ...(core ? { core } : {}),
    results: { 'ours, 256-bit': {} },
  });
  const records = (rows: Records['rows']): Records => ({ machine: thisMachine(), versions: {}, rows });
  const once = documentOf(
    records({ node24: { vgg16: dated('2026-01-01') }, batch8: { vgg16: dated('2026-01-01') } }),
  );
  expect(once.match(/Measured: .*/g)).toEqual(['Measured: 2026-01-01.']);
  const often = documentOf(
    records({
      node24: { vgg16: dated('2026-01-01'), alexnet: dated('2026-01-02', '12ab34cd') },
      batch8: { vgg16: dated('2026-01-02', '12ab34cd') },
    }),
  );
  expect(often.match(/Measured: .*/g)).toEqual([
    expect.stringContaining('Measured: at several dates, given in each section. `core` is the revision of'),
    'Measured: 2026-01-01: vgg16; 2026-01-02, core 12ab34cd: alexnet.',
    'Measured: 2026-01-02, core 12ab34cd.',
  ]);
});

test('an aborted run ends', async () => {
  const stop = new AbortController();
  const run = bench({
    suites: [suite],
    scheduleFor: () => ({ ...once, block: { milliseconds: 60_000, runs: 1 } }),
    nodes: [],
    context: { note: () => {}, signal: stop.signal },
    progress: (line) => {
      if (line.includes('round 1')) setTimeout(() => stop.abort(new Error('enough')), 100);
    },
    onRow: () => {},
  });
  await expect(run).rejects.toThrow('enough');
});
