/** Whole graphs: the conformance networks, traced and simplified, with a fixed and a dynamic batch size. */
import { differences, networkConformance } from '@cnn/testing';
import { describe, expect, test } from 'vitest';
import { onnxRuntime } from '../test/onnxRuntime.js';

const inference = networkConformance().filter(({ graph }) => graph.updates.size === 0);

describe.each([false, true])('dynamicBatch %s', (dynamicBatch) => {
  test.each(inference.map((subject) => [subject.name, subject] as const))('%s', async (_, subject) => {
    expect(await differences(onnxRuntime({ dynamicBatch }), subject)).toEqual([]);
  });
});
