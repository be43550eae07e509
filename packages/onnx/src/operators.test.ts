/** Every op that is exported means in onnxruntime-node what it means here; every other one says why it is not. */
import type { OpName } from '@cnn/core';
import { differences, opConformance, opNames } from '@cnn/testing';
import { describe, expect, test } from 'vitest';
import { OnnxExportError } from './errors.js';
import { operators } from './operators.js';
import { onnxRuntime } from './testRuntime.js';
import { toOnnx } from './toOnnx.js';

/** Ops that have no node of their own, but are dropped or computed before. */
const without: readonly OpName[] = ['dropout', 'fill', 'stochasticDepth'];
const exported = opNames.filter((op) => typeof operators[op] === 'function' || without.includes(op));
const refused = opNames.filter((op) => !exported.includes(op));

describe.each(exported)('%s', (op) => {
  test.each(opConformance(op).map((subject) => [subject.name, subject] as const))(
    '%s',
    async (_, subject) => {
      expect(await differences(onnxRuntime(), subject)).toEqual([]);
    },
  );
});

test.each(refused)('%s is refused with its place and the reason', (op) => {
  const [{ graph, weights }] = opConformance(op) as [ReturnType<typeof opConformance>[number]];
  expect(() => toOnnx(graph, weights)).toThrow(OnnxExportError);
  expect(() => toOnnx(graph, weights)).toThrow(new RegExp(`^${op}: ${op} cannot be exported to ONNX: `));
});
