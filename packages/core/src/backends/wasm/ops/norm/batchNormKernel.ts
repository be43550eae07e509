/** Per-channel coefficients of batch normalisation: a scale and a shift. */
import { f32x4, v128 } from '../../codegen/index.js';
import { defineKernel, type Variant, VECTOR } from '../../codegen/kernel.js';

/** Computes scale = weight / sqrt(variance + eps) and shift = bias - mean * scale. */
export const normCoefficients = defineKernel({
  name: 'norm coefficients',
  parameters: {
    /** Address of the weight. */
    weight: 'address',
    /** Address of the bias. */
    bias: 'address',
    /** Address of the mean. */
    mean: 'address',
    /** Address of the variance. */
    variance: 'address',
    /** Address of the scales, which are written. */
    scale: 'address',
    /** Address of the shifts, which are written. */
    shift: 'address',
    /** Number of channel blocks, of eight channels each. */
    groups: 'integer',
  },
  build(f, p, { shape: { eps } }: Variant<{ readonly eps: number }>) {
    const [scale] = f.vectors('scale', 1);
    f.repeat(p.groups, () => {
      for (const offset of [0, VECTOR]) {
        const deviation = f32x4.sqrt(f32x4.add(v128.load(p.variance, offset), f32x4.const(eps)));
        f.set(scale, f32x4.div(v128.load(p.weight, offset), deviation));
        f.store(p.scale, scale, offset);
        f.store(
          p.shift,
          f32x4.sub(v128.load(p.bias, offset), f32x4.mul(v128.load(p.mean, offset), scale)),
          offset,
        );
      }
      for (const address of [p.weight, p.bias, p.mean, p.variance, p.scale, p.shift])
        f.advance(address, 2 * VECTOR);
    });
  },
});
