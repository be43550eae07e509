/** Folds a batch normalisation into the weight and bias of the layer before it. */
import { foldedBias, normCoefficients } from '../../../../pointwise/batchNorm.js';
import { f32x4, v128 } from '../../codegen/index.js';
import { defineKernel, FLOAT, type Variant } from '../../codegen/kernel.js';
import { pointwiseLoop, setPointwise } from '../../codegen/pointwise.js';

interface FoldWeightShape {
  readonly eps: number;
  /** Values of the layer's weight for each output channel. */
  readonly perOutput: number;
}

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
  build(f, p, { engine, shape: { eps, perOutput } }: Variant<FoldWeightShape>) {
    const scale = f.vectors(1);
    const formula = normCoefficients(eps).scale;
    f.repeat(p.outputs, () => {
      const channel = { weight: [v128.loadSplat(p.weight)], variance: [v128.loadSplat(p.variance)] };
      setPointwise(f, engine, [[formula, scale]], channel);
      f.repeat(perOutput, () => {
        f.storeF32(p.y, f32x4.lane(f32x4.mul(v128.loadZero(p.w), scale[0]), 0));
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
  build: (f, { groups, ...addresses }, { engine, shape: { eps } }: Variant<{ readonly eps: number }>) =>
    pointwiseLoop(f, engine, { y: foldedBias(eps) }, addresses, groups),
});
