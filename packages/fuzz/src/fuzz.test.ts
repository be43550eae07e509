/** Runs a few seeds, and checks that the comparison finds injected faults. */
import { type Backend, type Tensor, wasmBackend } from '@cnn/core';
import { ops, type Program } from '@cnn/core/graph';
import { describe, expect, test } from 'vitest';
import { check } from './check.js';
import { fuzzFiles } from './files.js';
import { fuzzGraphs } from './graphs.js';
import { randomCase } from './randomGraph.js';
import { wasmVariants } from './variants.js';

/** Number of graphs checked in each test run: two or three seconds. */
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

test('a seed always gives the same graph, and many seeds cover all ops', () => {
  const seen = new Set<string>();
  let training = 0;
  for (let seed = 0; seed < 1000; seed++) {
    const subject = randomCase(seed);
    for (const { op } of subject.graph.nodes) seen.add(op);
    if (subject.training) training++;
  }
  // Only a pass creates folded weights.
  const uncovered = ['foldedBias', 'foldedWeight'];
  expect(Object.keys(ops).filter((op) => !seen.has(op))).toEqual(uncovered);
  expect(training).toBeGreaterThan(200);
  expect([...randomCase(7).runs[0]!]).toEqual([...randomCase(7).runs[0]!]);
});

/** The wasm back end with a fault injected into its results. */
const faulty = (corrupt: (values: Float32Array) => void): Backend => ({
  name: 'faulty',
  async compile(...given): Promise<Program> {
    const program = await wasmBackend({ workers: false }).compile(...given);
    return {
      ...program,
      async run(...feeds): Promise<ReadonlyMap<string, Tensor>> {
        const results = await program.run(...feeds);
        for (const { data } of results.values()) corrupt(data);
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
    ['the last value is wrong', (values) => values.set([values.at(-1)! + 0.1], values.length - 1)],
  ])('%s', async (_, corrupt) => {
    for (const seed of inference) {
      const { problem } = await check(randomCase(seed), [{ name: 'faulty', backend: faulty(corrupt) }], seed);
      expect(problem).toMatch(/^as traced, faulty: .* differs in \d+ of \d+ values/);
    }
  });

  test('a flipped bit on two threads', async () => {
    const flip = (values: Float32Array): void => {
      new Uint32Array(values.buffer, values.byteOffset, 1)[0]! ^= 1;
    };
    const [first] = wasmVariants(1);
    const variants = [first!, { name: 'flipped', backend: faulty(flip), sameBits: true }];
    const { problem } = await check(randomCase(inference[0]!), variants, 1);
    expect(problem).toMatch(/^as traced, flipped: .* differs in 1 of/);
  });
});
