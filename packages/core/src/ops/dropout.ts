/**
 * Dropout and stochastic depth. In a traced graph they are the identity; `forInference` removes them,
 * `forTraining` replaces them by products with random masks (`randomMask`).
 */
import { ShapeError } from '../errors.js';
import type { Node } from '../graph/graph.js';
import { hash32 } from '../tensor/random.js';
import { type Shape, sizeOf } from '../tensor/shape.js';
import { defineOp, emit } from './define.js';

/** Attributes of dropout and stochastic depth. */
export interface DropoutAttrs {
  /** Probability that a value (dropout) or an image of the batch (stochastic depth) is set to zero. */
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

/** Dropout of single values. The identity until `forTraining` replaces it. */
export const dropoutOp = neutral('dropout');

/** Dropout of whole images of the batch. The identity until `forTraining` replaces it. */
export const stochasticDepthOp = neutral('stochasticDepth');

/** Attributes of a random mask. */
export interface RandomMaskAttrs {
  /** Probability that a value is kept. */
  readonly keep: number;
  readonly shape: Shape;
  /** Number of the mask within the step: masks of one step differ by it. */
  readonly stream: number;
}

/** Computes the key of a mask, which differs for each step (seed) and each mask of the step (stream). */
export const maskKey = (seed: number, stream: number): number =>
  hash32(hash32(seed) ^ Math.imul(stream + 1, 0x9e3779b1));

/** True if the element at `index` is kept: a 32-bit hash of key and index is below `keep * 2^32`. */
export const maskKeeps = (key: number, index: number, keep: number): boolean =>
  hash32(key ^ Math.imul(index, 0x9e3779b1)) < keep * 2 ** 32;

/** y = 1 / keep with probability keep, else 0. Input: seed (1), an integer below 2^24, new in each step. */
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

/**
 * Makes a dropout (https://jmlr.org/papers/v15/srivastava14a.html): in training sets each value to zero with
 * probability p and divides the others by 1 - p; the identity in inference. Any shape.
 * @param p - default 0.5.
 */
export const dropout =
  (p = 0.5) =>
  (x: Node): Node =>
    emit(dropoutOp, [x], { p });

/**
 * Makes a stochastic depth (https://arxiv.org/abs/1603.09382, torchvision's StochasticDepth in mode `'row'`):
 * in training sets each image of the batch to zero with probability p and divides the others by 1 - p; the
 * identity in inference.
 */
export const stochasticDepth =
  (p: number) =>
  (x: Node): Node =>
    emit(stochasticDepthOp, [x], { p });
