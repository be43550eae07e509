/** What the input gradients of batch normalisation come down to for each channel. */
import { f32x4, v128 } from '../../codegen/index.js';
import { defineKernel, type Variant, VECTOR } from '../../codegen/kernel.js';

/** Everything that is fixed when the kernel is generated. */
export interface NormGradient {
  readonly eps: number;
  /** Pixels of the batch where the statistics are its own; undefined where they are fixed. */
  readonly pixels?: number;
}

/**
 * dx = dy * scale + x * slope + shift: with s = sqrt(variance + eps), scale = weight / s; for the batch's own
 * statistics slope = -scale / s * dweight / m and shift = -scale * dbias / m - slope * mean, else nothing.
 */
export const normGradientCoefficients = defineKernel({
  name: 'norm gradient',
  parameters: {
    /** Address of the weight. */
    weight: 'address',
    /** Address of the variance. */
    variance: 'address',
    /** Address of the factors of dy, which are written. */
    scale: 'address',
    /** Address of the mean; it and those below where the statistics are the batch's own. */
    mean: 'address?',
    /** Address of the gradient of the weight. */
    dweight: 'address?',
    /** Address of the gradient of the bias. */
    dbias: 'address?',
    /** Address of the factors of x, which are written. */
    slope: 'address?',
    /** Address of the summands, which are written. */
    shift: 'address?',
    /** Number of pairs of vectors: channels divided by eight. */
    groups: 'integer',
  },
  build(f, p, { shape: { eps, pixels } }: Variant<NormGradient>) {
    const { groups, ...addresses } = p;
    const [deviation, scale, slope] = f.vectors('value', 3);
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
});
