/**
 * Runs the conformance suite on the reference in float32, and on back ends with injected faults, which it
 * must find.
 */
import { type Backend, referenceBackend, type Tensor } from '@cnn/core';
import type { Program } from '@cnn/core/graph';
import { describe, expect, test } from 'vitest';
import {
  type ConformanceCase,
  difference,
  differences,
  differencesTogether,
  expectedOf,
} from './conformance.js';
import { networkConformance } from './conformanceNetworks.js';
import { opConformance, opNames } from './conformanceOps.js';
import { testBackend } from './testBackend.js';

const plain = referenceBackend({ precision: 'float32' });

testBackend('the reference in float32', plain);

/** A back end with a fault injected into every result. */
const faulty = (corrupt: (value: Float32Array) => Float32Array): Backend => {
  const corruptAll = (values: ReadonlyMap<string, Tensor>) =>
    new Map([...values].map(([name, { shape, data }]) => [name, { shape, data: corrupt(data) }]));
  return {
    name: 'faulty',
    async compile(graph, weights, options): Promise<Program> {
      const program = await plain.compile(graph, weights, options);
      return {
        ...program,
        run: async (feeds, signal) => corruptAll(await program.run(feeds, signal)),
        parameters: async () => corruptAll(await program.parameters()),
      };
    },
  };
};

/** True if a case has a value other than 0; a relative fault does not change zeros. */
const hasNonZeroValue = async (subject: ConformanceCase): Promise<boolean> =>
  [...(await expectedOf(subject)).single.values()].some(({ data }) => data.some((value) => value !== 0));

test.each(
  networkConformance()
    .filter(({ name }) => /batch 3/.test(name))
    .map((subject) => [subject.name, subject] as const),
)('%s: the result depends on the picture, so that a fault in any layer is visible', async (_, subject) => {
  const { shape, data } = (await expectedOf(subject)).single.get('output')!;
  const columns = shape[1]!;
  const size = Math.max(...data.map(Math.abs));
  for (let row = 1; row < shape[0]!; row++) {
    const distance = Math.max(
      ...data.slice(0, columns).map((value, i) => Math.abs(value - data[row * columns + i]!)),
    );
    expect(distance).toBeGreaterThan(size / 50);
  }
});

const allCases = [...opNames.flatMap(opConformance), ...networkConformance()];

describe.each<[fault: string, backend: Backend]>([
  ['all values are off by a thousandth', faulty((data) => data.map((value) => value * 1.001))],
  [
    'the last value is NaN',
    faulty((data) => data.map((value, i) => (i === data.length - 1 ? Number.NaN : value))),
  ],
])('when %s', (_, backend) => {
  test('every case fails', async () => {
    for (const subject of allCases)
      if (await hasNonZeroValue(subject))
        expect(await differences(backend, subject), subject.name).not.toHaveLength(0);
  });

  test('every case of an op finds the fault among others in one program', async () => {
    for (const op of opNames) {
      const subjects = opConformance(op);
      const problems = await differencesTogether(backend, subjects);
      for (const subject of subjects)
        if (await hasNonZeroValue(subject))
          expect(problems.join('\n'), op).toContain(`${subject.name}: y differs in`);
    }
  });
});

test.each<[what: string, expected: readonly number[], got: readonly number[], problem: string | undefined]>([
  ['equal values', [1, 2], [1, 2], undefined],
  ['values within the tolerance', [1, 2], [1.05, 2], undefined],
  [
    'values beyond it',
    [1, 2],
    [1, 2.5],
    'differs in 1 of 2 values, first in [1]: 2.5 where the reference has 2 (tolerance 1.0e-1)',
  ],
  ['missing values', [1, 2], [1], 'has shape [1], the reference has [2]'],
  ['NaN where it belongs', [Number.NaN], [Number.NaN], undefined],
  [
    'NaN where it does not',
    [1],
    [Number.NaN],
    'differs in 1 of 1 values, first in [0]: NaN where the reference has 1 (tolerance 1.0e-1)',
  ],
  [
    'a number where NaN belongs',
    [Number.NaN],
    [0],
    'differs in 1 of 1 values, first in [0]: 0 where the reference has NaN (tolerance 1.0e-1)',
  ],
  [
    'the wrong infinity',
    [Infinity],
    [-Infinity],
    'differs in 1 of 1 values, first in [0]: -Infinity where the reference has Infinity (tolerance 1.0e-1)',
  ],
])('%s', (_, expected, got, problem) => {
  const vector = (data: readonly number[]) => ({ shape: [data.length], data: Float32Array.from(data) });
  expect(difference(vector(expected), vector(got), 0.1)).toBe(problem);
});
