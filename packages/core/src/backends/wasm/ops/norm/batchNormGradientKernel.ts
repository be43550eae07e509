/** Per-channel coefficients of the input gradient of batch normalisation. */
import { f32x4, v128 } from '../../codegen/index.js';
import { defineKernel, type Variant, VECTOR } from '../../codegen/kernel.js';

/** Epsilon and, in training, the size of the batch. */
export interface NormGradientShape {
  readonly eps: number;
  /** Number of pixels in the batch, if the statistics are those of the batch; undefined if they are given. */
  readonly pixels?: number;
}

/**
 * Computes the coefficients of dx = dy * scale + x * slope + shift. With s = sqrt(variance + eps) and m pixels in
 * the batch, scale = weight / s; for statistics of the batch slope = -scale / s * dweight / m and shift = -scale *
 * dbias / m - slope * mean; for given statistics slope and shift are zero and not written.
 */
export const normGradientCoefficients = defineKernel({
  name: 'norm gradient',
  parameters: {
    /** Address of the weight. */
    weight: 'address',
    /** Address of the variance. */
    variance: 'address',
    /** Address of the scales, which are written. */
    scale: 'address',
    /** Address of the mean; it and the next four only for statistics of the batch. */
    mean: 'address?',
    /** Address of the gradient of the weight. */
    dweight: 'address?',
    /** Address of the gradient of the bias. */
    dbias: 'address?',
    /** Address of the slopes, which are written. */
    slope: 'address?',
    /** Address of the shifts, which are written. */
    shift: 'address?',
    /** Number of channel blocks, of eight channels each. */
    groups: 'integer',
  },
  build(f, p, { shape: { eps, pixels } }: Variant<NormGradientShape>) {
    const { groups, ...addresses } = p;
    const [deviation, scale, slope] = f.vectors('value', 3);
    f.repeat(groups, () => {
      for (const offset of [0, VECTOR]) {
        f.set(deviation, f32x4.sqrt(f32x4.add(v128.load(p.variance, offset), f32x4.const(eps))));
        f.set(scale, f32x4.div(v128.load(p.weight, offset), deviation));
        f.store(p.scale, scale, offset);
        if (pixels === undefined) continue;
        const perPixel = f32x4.mul(scale, f32x4.const(-1 / pixels));
        f.set(slope, f32x4.div(f32x4.mul(perPixel, v128.load(p.dweight, offset)), deviation));
        f.store(p.slope, slope, offset);
        f.store(
          p.shift,
          f32x4.sub(
            f32x4.mul(perPixel, v128.load(p.dbias, offset)),
            f32x4.mul(slope, v128.load(p.mean, offset)),
          ),
          offset,
        );
      }
      for (const address of Object.values(addresses)) f.advance(address, 2 * VECTOR);
    });
  },
});
