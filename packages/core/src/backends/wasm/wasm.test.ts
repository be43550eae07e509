/**
 * The conformance suite on the calling thread in Node; and training steps, which give the same bits on any
 * number of threads.
 */
import { resultsOf } from '@cnn/testing/conformance';
import { networkConformance } from '@cnn/testing/conformanceNetworks';
import { testBackend } from '@cnn/testing/testBackend';
import { expect, test } from 'vitest';
import { wasmBackend } from './wasm.js';

testBackend('wasm on the calling thread', wasmBackend({ workers: false }));

test.each(
  networkConformance()
    .filter(({ graph }) => graph.updates.size > 0)
    .map((subject) => [subject.name, subject] as const),
)('%s: the same bits on one, two and three threads', async (_, subject) => {
  const [one, ...others] = await Promise.all(
    [1, 2, 3].map((threads) => resultsOf(wasmBackend(), subject, { threads })),
  );
  const bits = (results: typeof one) =>
    [...results!].map(([name, { data }]) => [name, new Uint32Array(data.buffer)]);
  for (const other of others) expect(bits(other)).toEqual(bits(one));
});
