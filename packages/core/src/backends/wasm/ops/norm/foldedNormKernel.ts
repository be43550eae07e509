/** Folds a batch normalisation into the weight and bias of the layer before it. */
import { f32x4, v128 } from '../../codegen/index.js';
import { defineKernel, FLOAT, type Variant, VECTOR } from '../../codegen/kernel.js';

/** Multiplies the layer's weight by weight / sqrt(variance + eps) of each output channel, in row-major order. */
export const foldWeight = defineKernel({
  name: 'fold weight',
  parameters: {
    /** Address of the layer's weight at the first output channel. */
    w: 'address',
    /** Address of the normalisation's weight of that channel. */
    weight: 'address',
    /** Address of the variance of that channel. */
    variance: 'address',
    /** Address of the result at that channel. */
    y: 'address',
    /** Number of output channels. */
    outputs: 'integer',
  },
  build(f, p, { shape: { eps, perOutput } }: Variant<{ readonly eps: number; readonly perOutput: number }>) {
    const [scale] = f.vectors('scale', 1);
    f.repeat(p.outputs, () => {
      const deviation = f32x4.sqrt(f32x4.add(v128.loadSplat(p.variance), f32x4.const(eps)));
      f.set(scale, f32x4.div(v128.loadSplat(p.weight), deviation));
      f.repeat(perOutput, () => {
        f.storeF32(p.y, f32x4.lane(f32x4.mul(v128.loadZero(p.w), scale), 0));
        for (const address of [p.w, p.y]) f.advance(address, FLOAT);
      });
      for (const address of [p.weight, p.variance]) f.advance(address, FLOAT);
    });
  },
});

/** Computes bias + (layerBias - mean) * weight / sqrt(variance + eps). */
export const foldBias = defineKernel({
  name: 'fold bias',
  parameters: {
    /** Address of the normalisation's weight. */
    weight: 'address',
    /** Address of the normalisation's bias. */
    bias: 'address',
    /** Address of the mean. */
    mean: 'address',
    /** Address of the variance. */
    variance: 'address',
    /** Address of the layer's bias, zeros if it has none. */
    layerBias: 'address',
    /** Address of the result. */
    y: 'address',
    /** Number of channel blocks, of eight channels each. */
    groups: 'integer',
  },
  build(f, p, { shape: { eps } }: Variant<{ readonly eps: number }>) {
    const { groups, ...addresses } = p;
    f.repeat(groups, () => {
      for (const offset of [0, VECTOR]) {
        const centred = f32x4.sub(v128.load(p.layerBias, offset), v128.load(p.mean, offset));
        const deviation = f32x4.sqrt(f32x4.add(v128.load(p.variance, offset), f32x4.const(eps)));
        const scaled = f32x4.div(f32x4.mul(centred, v128.load(p.weight, offset)), deviation);
        f.store(p.y, f32x4.add(v128.load(p.bias, offset), scaled), offset);
      }
      for (const address of Object.values(addresses)) f.advance(address, 2 * VECTOR);
    });
  },
});
