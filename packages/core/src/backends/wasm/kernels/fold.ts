/** Folds a batch normalisation into the weight and bias before it, for graphs that leave that to a run. */
import { type FunctionBuilder, f32x4, v128 } from '../emit/index.js';
import type { Engine } from '../engine.js';
import { defineKernel, FLOAT, VECTOR } from './kernel.js';

/**
 * Values of one output channel after the other, each times weight / sqrt(variance + eps).
 * Parameters: addresses of w, weight, variance and y; output channels.
 */
export const foldWeight = (
  _: Engine,
  { eps, perOutput }: { readonly eps: number; readonly perOutput: number },
): FunctionBuilder =>
  defineKernel(['w', 'weight', 'variance', 'y', 'outputs'], (f, p) => {
    const [scale] = f.vectors('scale', 1);
    f.repeat(p.outputs, () => {
      const deviation = f32x4.sqrt(f32x4.add(v128.loadSplat(p.variance), f32x4.const(eps)));
      f.set(scale!, f32x4.div(v128.loadSplat(p.weight), deviation));
      f.repeat(perOutput, () => {
        f.storeF32(p.y, f32x4.lane(f32x4.mul(v128.loadZero(p.w), scale!), 0));
        for (const address of [p.w, p.y]) f.advance(address, FLOAT);
      });
      for (const address of [p.weight, p.variance]) f.advance(address, FLOAT);
    });
  });

/**
 * bias + (own - mean) * weight / sqrt(variance + eps).
 * Parameters: addresses of weight, bias, mean, variance, the layer's own bias (zeros if it has none) and y; pairs of vectors.
 */
export const foldBias = (_: Engine, { eps }: { readonly eps: number }): FunctionBuilder =>
  defineKernel(['weight', 'bias', 'mean', 'variance', 'own', 'y', 'groups'], (f, p) => {
    const { groups, ...addresses } = p;
    f.repeat(groups, () => {
      for (const offset of [0, VECTOR]) {
        const centred = f32x4.sub(v128.load(p.own, offset), v128.load(p.mean, offset));
        const deviation = f32x4.sqrt(f32x4.add(v128.load(p.variance, offset), f32x4.const(eps)));
        const scaled = f32x4.div(f32x4.mul(centred, v128.load(p.weight, offset)), deviation);
        f.store(p.y, f32x4.add(v128.load(p.bias, offset), scaled), offset);
      }
      for (const address of Object.values(addresses)) f.advance(address, 2 * VECTOR);
    });
  });
