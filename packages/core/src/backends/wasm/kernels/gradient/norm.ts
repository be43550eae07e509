/** What the input gradients of batch normalisation come down to for each channel. */
import { type FunctionBuilder, f32x4, type Local, v128 } from '../../emit/index.js';
import type { Engine } from '../../engine.js';
import { defineKernel, VECTOR } from '../kernel.js';

type Vector = Local<'v128'>;

/** Everything that is fixed when the kernel is generated. */
export interface NormGradient {
  readonly eps: number;
  /** Pixels of the batch where the statistics are its own; undefined where they are fixed. */
  readonly pixels?: number;
}

/**
 * dx = dy * scale + x * slope + shift: with s = sqrt(variance + eps), scale = weight / s; for the batch's own
 * statistics slope = -scale / s * dweight / m and shift = -scale * dbias / m - slope * mean, else nothing.
 * Parameters: addresses of weight, variance, scale, and then of mean, dweight, dbias, slope, shift; pairs of vectors.
 */
export const normGradientCoefficients = (_: Engine, { eps, pixels }: NormGradient): FunctionBuilder =>
  defineKernel(
    ['weight', 'variance', 'scale', 'mean', 'dweight', 'dbias', 'slope', 'shift', 'groups'],
    (f, p) => {
      const { groups, ...addresses } = p;
      const [deviation, scale, slope] = f.vectors('value', 3) as readonly [Vector, Vector, Vector];
      f.repeat(groups, () => {
        for (const offset of [0, VECTOR]) {
          f.set(deviation, f32x4.sqrt(f32x4.add(v128.load(p.variance, offset), f32x4.const(eps))));
          f.set(scale, f32x4.div(v128.load(p.weight, offset), deviation));
          f.store(p.scale, scale, offset);
          if (pixels === undefined) continue;
          const share = f32x4.mul(scale, f32x4.const(-1 / pixels));
          f.set(slope, f32x4.div(f32x4.mul(share, v128.load(p.dweight, offset)), deviation));
          f.store(p.slope, slope, offset);
          f.store(
            p.shift,
            f32x4.sub(
              f32x4.mul(share, v128.load(p.dbias, offset)),
              f32x4.mul(slope, v128.load(p.mean, offset)),
            ),
            offset,
          );
        }
        for (const address of Object.values(addresses)) f.advance(address, 2 * VECTOR);
      });
    },
  );
