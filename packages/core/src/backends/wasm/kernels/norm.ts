/** What batch normalisation comes down to for each channel: one factor and one summand. */

import { type FunctionBuilder, f32x4, v128 } from '../emit/index.js';
import type { Engine } from '../engine.js';
import { defineKernel, VECTOR } from './kernel.js';

/**
 * scale = weight / sqrt(variance + eps), shift = bias - mean * scale.
 * Parameters: addresses of weight, bias, mean, variance, scale and shift; pairs of vectors.
 */
export const normCoefficients = (_: Engine, { eps }: { readonly eps: number }): FunctionBuilder =>
  defineKernel(['weight', 'bias', 'mean', 'variance', 'scale', 'shift', 'groups'], (f, p) => {
    const [scale] = f.vectors('scale', 1);
    f.repeat(p.groups, () => {
      for (const offset of [0, VECTOR]) {
        const deviation = f32x4.sqrt(f32x4.add(v128.load(p.variance, offset), f32x4.const(eps)));
        f.set(scale!, f32x4.div(v128.load(p.weight, offset), deviation));
        f.store(p.scale, scale!, offset);
        f.store(
          p.shift,
          f32x4.sub(v128.load(p.bias, offset), f32x4.mul(v128.load(p.mean, offset), scale!)),
          offset,
        );
      }
      for (const address of [p.weight, p.bias, p.mean, p.variance, p.scale, p.shift])
        f.advance(address, 2 * VECTOR);
    });
  });
