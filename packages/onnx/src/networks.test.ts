/** Whole graphs: the conformance networks as traced and as simplified, with the number of pictures fixed and open. */
import { differences, networkConformance } from '@cnn/testing';
import { describe, expect, test } from 'vitest';
import { onnxRuntime } from './testRuntime.js';

const inference = networkConformance().filter(({ graph }) => graph.updates.size === 0);

describe.each([false, true])('dynamicBatch %s', (dynamicBatch) => {
  test.each(inference.map((subject) => [subject.name, subject] as const))('%s', async (_, subject) => {
    expect(await differences(onnxRuntime({ dynamicBatch }), subject)).toEqual([]);
  });
});
