/** Max pooling where values tie or are not numbers: the winner is the one PyTorch takes. */
import { expect, test } from 'vitest';
import { referenceBackend } from '../backends/reference/reference.js';
import { Graph } from '../graph/graph.js';
import { differentiate } from '../passes/differentiate.js';
import { tensor } from '../tensor/tensor.js';
import { maxPool } from './pool.js';

/** Values and gradient of a 2x2 max pooling of a 2x4 picture, with upstream gradients 1 and 10. */
async function pooled(values: readonly number[]): Promise<readonly [number[], number[]]> {
  const graph = new Graph();
  const x = graph.input('x', [1, 1, 2, 4]);
  const y = maxPool(2)(x);
  graph.outputs.set('y', y);
  graph.outputs.set('dx', differentiate(y, [x], graph.input('dy', y.shape)).get(x)!);
  const program = await referenceBackend().compile(graph, new Map());
  const results = await program.run(
    new Map([
      ['x', tensor(values, x.shape)],
      ['dy', tensor([1, 10], y.shape)],
    ]),
  );
  return [[...results.get('y')!.data], [...results.get('dx')!.data]];
}

test('the first of equal values gets the gradient', async () => {
  expect(await pooled([2, 2, 0, 5, 2, 2, 5, 0])).toEqual([
    [2, 5],
    [1, 0, 0, 10, 0, 0, 0, 0],
  ]);
});

test('NaN wins, and -Infinity loses only to larger values', async () => {
  const low = -Infinity;
  expect(await pooled([9, Number.NaN, low, low, 1, 2, low, low])).toEqual([
    [Number.NaN, low],
    [0, 1, 10, 0, 0, 0, 0, 0],
  ]);
});
