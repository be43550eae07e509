/**
 * Dropout and stochastic depth. In a traced graph they are neutral; `forInference` drops them,
 * `forTraining` turns them into products with masks that `randomMask` draws.
 */
import { ShapeError } from '../errors.js';
import type { Node } from '../graph/graph.js';
import { hash32 } from '../tensor/random.js';
import { type Shape, sizeOf } from '../tensor/shape.js';
import { defineOp, emit } from './define.js';

/** Attributes of dropout and stochastic depth. */
export interface DropoutAttrs {
  /** Probability that a value (or a picture's branch) is dropped. */
  readonly p: number;
}

const neutral = (op: string) =>
  defineOp<DropoutAttrs>({
    op,
    role: 'inference',
    layout: 'activations',
    perImage: false,
    neutral: true,
    exact: true,
    shape([x], { p }) {
      if (!(p >= 0 && p < 1))
        throw new ShapeError(`${op} needs a probability from 0 up to but not including 1, got ${p}`);
      return x!;
    },
    reference({ inputs: [x], output }) {
      output.set(x!);
    },
    gradient: (_, upstream) => [upstream],
    flops: () => 0,
  });

/** Neutral until `forTraining`: each value is dropped on its own. */
export const dropoutOp = neutral('dropout');

/** Neutral until `forTraining`: each picture's values are dropped together. */
export const stochasticDepthOp = neutral('stochasticDepth');

/** Attributes of a random mask. */
export interface RandomMaskAttrs {
  /** Probability that a value is kept. */
  readonly keep: number;
  readonly shape: Shape;
  /** Tells apart the masks of one step. */
  readonly stream: number;
}

/** Where a mask's sequence starts: distinct for each step and each mask in it. */
export const maskKey = (seed: number, stream: number): number =>
  hash32(hash32(seed) ^ Math.imul(stream + 1, 0x9e3779b1));

/** Whether element i is kept: a 32-bit hash of key and index against a threshold of `keep * 2^32`. */
export const maskKeeps = (key: number, index: number, keep: number): boolean =>
  hash32(key ^ Math.imul(index, 0x9e3779b1)) < keep * 2 ** 32;

/** y = 1 / keep with probability keep, else 0. Input: seed (1), a whole number below 2^24 that changes every step. */
export const randomMaskOp = defineOp<RandomMaskAttrs, 'training'>({
  op: 'randomMask',
  role: 'training',
  layout: 'activations',
  shape(_, { keep, shape }) {
    if (!(keep > 0 && keep <= 1))
      throw new ShapeError(`randomMask keeps with a probability above 0 and up to 1, got ${keep}`);
    return shape;
  },
  reference({ inputs: [seed], attrs: { keep, stream }, output }) {
    const key = maskKey(seed![0]!, stream);
    for (let i = 0; i < output.length; i++) output[i] = maskKeeps(key, i, keep) ? 1 / keep : 0;
  },
  gradient: 'a mask does not depend on any parameter',
  flops: (_, output) => sizeOf(output),
});

/** Drops values in training (https://jmlr.org/papers/v15/srivastava14a.html); nothing in inference. Default p 0.5. */
export const dropout =
  (p = 0.5) =>
  (x: Node): Node =>
    emit(dropoutOp, [x], { p });

/** Drops a whole branch per picture in training (https://arxiv.org/abs/1603.09382); nothing in inference. */
export const stochasticDepth =
  (p: number) =>
  (x: Node): Node =>
    emit(stochasticDepthOp, [x], { p });
