/** Tests the errors of ops for shapes and options that do not fit: sentences that start with the module's path. */
import { expect, test } from 'vitest';
import { ShapeError } from '../errors.js';
import { Graph, type Node } from '../graph/graph.js';
import { adaptiveAvgPool } from './adaptivePool.js';
import { add, mul } from './arithmetic.js';
import { channelShuffle, concat, pad, reshape, slice } from './arrange.js';
import { emit } from './define.js';
import { dropout } from './dropout.js';
import { ops } from './index.js';
import { localResponseNorm } from './localResponseNorm.js';
import { crossEntropyLoss } from './loss.js';
import { avgPool, maxPool } from './pool.js';
import { softmax } from './softmax.js';

type Build = (input: (...shape: readonly number[]) => Node) => Node;

test.each<[what: string, build: Build, message: string]>([
  [
    'a window that does not fit',
    (x) => maxPool(3)(x(1, 3, 2, 2)),
    'maxPool with a 3x3 window does not fit into 2x2 pixels with padding 0, 0, 0, 0; use a larger input',
  ],
  [
    'a window of mere padding',
    (x) => avgPool(2, { padding: 2 })(x(1, 3, 8, 8)),
    'avgPool with a 2x2 window takes at most half a window of padding, got 2, 2, 2, 2 around 8x8 pixels',
  ],
  [
    'a dilated window that steps over the picture',
    (x) => maxPool(2, { padding: 1, dilation: 2 })(x(1, 3, 1, 1)),
    'maxPool with a 2x2 window takes at most half a window of padding, got 1, 1, 1, 1 around 1x1 pixels',
  ],
  [
    'a stride of nothing',
    (x) => maxPool(2, { stride: 0 })(x(1, 3, 8, 8)),
    'the stride of maxPool must be whole numbers from 1 up, got 0, 0',
  ],
  [
    'rows where pictures are due',
    (x) => maxPool(2)(x(4, 10)),
    'maxPool expects a batch of pictures (n x c x h x w), got 4x10',
  ],
  [
    'an output of nothing',
    (x) => adaptiveAvgPool(0)(x(1, 3, 8, 8)),
    'adaptiveAvgPool needs an output of at least 1x1, got 0x0',
  ],
  [
    'summands of different shapes',
    (x) => add(x(1, 3, 8, 8), x(1, 4, 8, 8)),
    'cannot add 1x4x8x8 to 1x3x8x8: the shapes must be equal',
  ],
  [
    'a gate that does not fit',
    (x) => mul(x(1, 3, 8, 8), x(1, 4, 1, 1)),
    'cannot multiply 1x3x8x8 by 1x4x1x1: each extent of the second must be that of the first, or 1',
  ],
  [
    'branches of different sizes',
    (x) => concat([x(1, 3, 8, 8), x(1, 4, 8, 7)]),
    'cannot concatenate 1x3x8x8, 1x4x8x7 along axis 1: all other extents must be equal',
  ],
  [
    'a slice beyond the end',
    (x) => slice(1, 2, 5)(x(1, 4, 8, 8)),
    'cannot take 2 to 5 in steps of 1 along axis 1 of 1x4x8x8: the range must lie within 0 to 4',
  ],
  [
    'a slice along no axis',
    (x) => slice(4, 0, 1)(x(1, 4, 8, 8)),
    'slice along axis 4 of 1x4x8x8: the axis must be from 0 to 3',
  ],
  [
    'an odd number of edges',
    (x) => pad([1, 1, 1])(x(1, 4, 8, 8)),
    'pad takes two numbers per axis, at most 8 for 1x4x8x8, got 3',
  ],
  [
    'a reshape that loses values',
    (x) => reshape([1, 5])(x(1, 4)),
    'cannot reshape 1x4 to 1x5: the number of values must stay, and extents are whole numbers',
  ],
  [
    'a reshape to no shape',
    (x) => reshape([-2, -2])(x(1, 4)),
    'cannot reshape 1x4 to -2x-2: the number of values must stay, and extents are whole numbers',
  ],
  [
    'groups that do not divide',
    (x) => channelShuffle(3)(x(1, 4, 8, 8)),
    'cannot shuffle 4 channels in 3 groups: use a divisor of 4',
  ],
  [
    'a norm over no channel',
    (x) => localResponseNorm(0)(x(1, 4, 8, 8)),
    'localResponseNorm needs a size of at least 1 channel, got 0',
  ],
  ['probabilities of a scalar', (x) => softmax(x(4)), 'softmax expects n x classes, got 4'],
  [
    'certain dropout',
    (x) => dropout(1)(x(1, 4)),
    'dropout needs a probability from 0 up to but not including 1, got 1',
  ],
  ['labels of another batch', (x) => crossEntropyLoss(x(3, 10), x(2)), '3 rows need 3 labels, got 2'],
  [
    'smoothing beyond the target',
    (x) => crossEntropyLoss(x(3, 10), x(3), { labelSmoothing: 1.5 }),
    'label smoothing is a share from 0 to 1, got 1.5',
  ],
  [
    'a rate that is not there',
    (x) => emit(ops.descend, [x(3), x(3), x(2)], { index: 2 }),
    'descend takes rate 2, but there are 2 rates',
  ],
])('%s', (_, build, message) => {
  const graph = new Graph({ name: 'net' });
  const input = (...shape: readonly number[]): Node => graph.input(`x${graph.nodes.length}`, shape);
  expect(() => build(input)).toThrow(new ShapeError(`net: ${message}`));
});
