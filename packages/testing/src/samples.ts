/** The values of op samples: given ones, or deterministic ones from the sample's name. */
import type { SampleInput } from '@cnn/core';
import { fillTensor } from './scheme.js';

/** Values for one input of a sample. */
export const sampleValues = (
  name: string,
  { shape, scale = 1, offset = 0, values }: SampleInput,
): Float32Array => (values ? Float32Array.from(values) : fillTensor(name, shape, scale, offset).data);
