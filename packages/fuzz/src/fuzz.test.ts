/** A few seeds in every test run, and the comparison itself on faults that it must find. */
import { type Backend, ops, type Program, type Tensor, wasmBackend } from '@cnn/core';
import { describe, expect, test } from 'vitest';
import { check } from './check.js';
import { fuzzFiles } from './files.js';
import { fuzzGraphs } from './graphs.js';
import { randomCase } from './randomGraph.js';
import { wasmVariants } from './variants.js';

/** Graphs that are checked in every run of the tests: two or three seconds. */
const SEEDS = 12;

test('random graphs give the values of the reference', { timeout: 120_000 }, async () => {
  const { failures, cases } = await fuzzGraphs({ seed: 20_000, cases: SEEDS });
  expect(failures).toEqual([]);
  expect(cases).toBe(SEEDS);
});

test('damaged files give weights, pixels or a FileFormatError', async () => {
  const { failures } = await fuzzFiles({ seed: 20_000, cases: 3000 });
  expect(failures).toEqual([]);
});

test('a seed gives one graph, and many seeds all ops that a graph may have', () => {
  const seen = new Set<string>();
  let training = 0;
  for (let seed = 0; seed < 1000; seed++) {
    const subject = randomCase(seed);
    for (const { op } of subject.graph.nodes) seen.add(op);
    if (subject.training) training++;
  }
  // Folded weights are made by a pass.
  const never = ['foldedBias', 'foldedWeight'];
  expect(Object.keys(ops).filter((op) => !seen.has(op))).toEqual(never);
  expect(training).toBeGreaterThan(200);
  expect([...randomCase(7).runs[0]!]).toEqual([...randomCase(7).runs[0]!]);
});

/** The wasm back end with results that are not quite what it computes. */
const spoilt = (spoil: (values: Float32Array) => void): Backend => ({
  name: 'spoilt',
  async compile(...given): Promise<Program> {
    const program = await wasmBackend({ workers: false }).compile(...given);
    return {
      ...program,
      async run(...feeds): Promise<ReadonlyMap<string, Tensor>> {
        const results = await program.run(...feeds);
        for (const { data } of results.values()) spoil(data);
        return results;
      },
    };
  },
});

describe('a fault is found:', () => {
  const inference = [1, 2, 3, 4, 5, 6, 7, 8].filter((seed) => !randomCase(seed).training);

  test.each<[string, (values: Float32Array) => void]>([
    [
      'all values are off by a thousandth',
      (values) => {
        values.forEach((value, i) => {
          values[i] = value * 1.001 + 1e-3;
        });
      },
    ],
    ['the last value is missing', (values) => values.set([values.at(-1)! + 0.1], values.length - 1)],
  ])('%s', async (_, spoil) => {
    for (const seed of inference) {
      const { problem } = await check(randomCase(seed), [{ name: 'spoilt', backend: spoilt(spoil) }], seed);
      expect(problem).toMatch(/^as traced, spoilt: .* differs in \d+ of \d+ values/);
    }
  });

  test('another bit on two threads', async () => {
    const flip = (values: Float32Array): void => {
      new Uint32Array(values.buffer, values.byteOffset, 1)[0]! ^= 1;
    };
    const [first] = wasmVariants(1);
    const variants = [first!, { name: 'flipped', backend: spoilt(flip), sameBits: true }];
    const { problem } = await check(randomCase(inference[0]!), variants, 1);
    expect(problem).toMatch(/^as traced, flipped: .* differs in 1 of/);
  });
});
