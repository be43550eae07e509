/** Pointwise ops write their own values and nothing after them. */
import { differences } from '@cnn/testing/conformance';
import { fillTensor } from '@cnn/testing/scheme';
import { expect, test } from 'vitest';
import { Graph } from '../../../../graph/graph.js';
import { relu } from '../../../../ops/activation.js';
import { mul } from '../../../../ops/arithmetic.js';
import { emit } from '../../../../ops/define.js';
import { ops } from '../../../../ops/index.js';
import { wasmBackend } from '../../wasm.js';

test('the sum of two gradients of a depthwise weight is stored row-major, not as pixels', async () => {
  const graph = new Graph();
  const shape = [1, 12, 5, 5];
  const [x, dy] = [graph.input('x', shape), graph.input('dy', shape)];
  const window = { stride: [1, 1], padding: [0, 0, 0, 0], dilation: [1, 1], groups: 12 } as const;
  const gradient = () => emit(ops.conv2dGradWeight, [dy, x], { ...window, shape: [12, 1, 1, 1] });
  // The first value dies before the sum is computed, which takes its memory; the value after it stays alive.
  const first = emit(ops.channelSum, [x], {});
  const after = emit(ops.channelSum, [dy], {});
  const [one, other] = [gradient(), gradient()];
  const twice = emit(ops.add, [first, first], {});
  const sum = emit(ops.add, [one, other], {});
  graph.outputs.set('sum', sum).set('after', after).set('twice', twice);
  const runs = [
    new Map([
      ['x', fillTensor('x', shape)],
      ['dy', fillTensor('dy', shape)],
    ]),
  ];
  const subject = { name: 'sum of gradients', graph, weights: new Map(), runs };
  expect(await differences(wasmBackend({ workers: false }), subject)).toEqual([]);
});

test('a map of one channel multiplies each of a few channels', async () => {
  const graph = new Graph();
  const [x, map] = [graph.input('x', [2, 3, 4, 5]), graph.input('map', [2, 1, 4, 5])];
  graph.outputs.set('y', mul(relu(x), relu(map)));
  const runs = [new Map([x, map].map(({ shape }, i) => [i === 0 ? 'x' : 'map', fillTensor(`${i}`, shape)]))];
  const subject = { name: 'map', graph, weights: new Map(), runs };
  expect(await differences(wasmBackend({ workers: false }), subject)).toEqual([]);
});
