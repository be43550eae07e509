/** Per-channel coefficients of the input gradient of batch normalisation. */
import { batchNormGradientCoefficients, normCoefficients } from '../../../../pointwise/batchNorm.js';
import { defineKernel, type Variant } from '../../codegen/kernel.js';
import { pointwiseLoop } from '../../codegen/pointwise.js';

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
  build(f, { groups, ...addresses }, { engine, shape: { eps, pixels } }: Variant<NormGradientShape>) {
    if (pixels === undefined)
      pointwiseLoop(f, engine, { scale: normCoefficients(eps).scale }, addresses, groups);
    else pointwiseLoop(f, engine, batchNormGradientCoefficients(eps, pixels), addresses, groups);
  },
});
