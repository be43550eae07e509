/** Every exported op gives the same results in onnxruntime-node; every other op is refused with a reason. */
import type { Node } from '@cnn/core';
import { emit, Graph, type OpName, ops, pair, symmetric } from '@cnn/core/graph';
import { differences, fillTensor, opConformance, opNames } from '@cnn/testing';
import { describe, expect, test } from 'vitest';
import { onnxRuntime } from '../test/onnxRuntime.js';
import { OnnxExportError } from './errors.js';
import { operatorOf } from './operators.js';
import { toOnnx } from './toOnnx.js';

/** Ops that are removed or evaluated before the export. */
const removed: readonly OpName[] = ['dropout', 'fill', 'stochasticDepth'];
const nodeOf = (op: OpName): Node => new Graph().add(op, [], {}, []);
const exported = opNames.filter((op) => typeof operatorOf(nodeOf(op)) === 'function' || removed.includes(op));
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

describe('windows that overhang or are dilated', () => {
  const pool = (
    kernel: number,
    stride: number,
    padding: number,
    dilation: number,
    countIncludePad = true,
  ) => ({
    kernel: pair(kernel),
    stride: pair(stride),
    padding: symmetric(padding),
    dilation: pair(dilation),
    ceilMode: true,
    countIncludePad,
  });
  test.each([
    ['maxPool', [1, 3, 11, 12], pool(3, 3, 1, 1)],
    ['maxPool', [1, 3, 14, 13], pool(3, 2, 3, 3)],
    ['maxPool', [2, 1, 10, 9], pool(2, 3, 0, 4)],
    ['avgPool', [1, 3, 11, 12], pool(3, 3, 1, 1)],
    ['avgPool', [1, 3, 11, 12], pool(3, 3, 1, 1, false)],
    ['avgPool', [2, 1, 10, 9], pool(4, 3, 2, 1)],
    ['avgPool', [2, 1, 6, 6], pool(2, 3, 0, 1)],
  ] as const)('%s of %j with %j', async (op, shape, attrs) => {
    const graph = new Graph({ name: op });
    const x = graph.input('x', shape);
    graph.outputs.set('y', op === 'maxPool' ? emit(ops.maxPool, [x], attrs) : emit(ops.avgPool, [x], attrs));
    const subject = {
      name: op,
      graph,
      weights: new Map(),
      runs: [new Map([['x', fillTensor(op, shape, 1, -2)]])],
    };
    expect(await differences(onnxRuntime(), subject)).toEqual([]);
  });
});
