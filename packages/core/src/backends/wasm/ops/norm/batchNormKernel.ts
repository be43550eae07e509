/** Per-channel coefficients of batch normalisation: a scale and a shift. */
import { normCoefficients as coefficients } from '../../../../pointwise/batchNorm.js';
import { defineKernel, type Variant } from '../../codegen/kernel.js';
import { pointwiseLoop } from '../../codegen/pointwise.js';

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
  build: (f, { groups, ...addresses }, { engine, shape: { eps } }: Variant<{ readonly eps: number }>) =>
    pointwiseLoop(f, engine, coefficients(eps), addresses, groups),
});
