/** Samples of every op, on which its kernels and its gradient are tested, and the values of their inputs. */
import type { OpName } from '@cnn/core/graph';
import { activationSamples } from './samples/activation.js';
import { arithmeticSamples } from './samples/arithmetic.js';
import { arrangeSamples } from './samples/arrange.js';
import { lossSamples } from './samples/loss.js';
import { normSamples } from './samples/norm.js';
import { optimizerSamples } from './samples/optimizer.js';
import { poolSamples } from './samples/pool.js';
import { productSamples } from './samples/product.js';
import type { Sample, SampleInput, Samples } from './samples/sample.js';
import { fillTensor } from './scheme.js';

export { activationName, everyActivation } from './samples/activation.js';
export type { Sample, SampleInput } from './samples/sample.js';

/** The type requires an entry for every op. */
const samples: Samples = {
  ...activationSamples,
  ...arithmeticSamples,
  ...arrangeSamples,
  ...lossSamples,
  ...normSamples,
  ...optimizerSamples,
  ...poolSamples,
  ...productSamples,
};

/** Returns the samples of an op. */
export const samplesOf = (op: OpName): readonly Sample[] => samples[op];

/** Returns the values of one input of a sample. @param name - determines the values if the input has none. */
export const sampleValues = (
  name: string,
  { shape, scale = 1, offset = 0, values }: SampleInput,
): Float32Array => (values ? Float32Array.from(values) : fillTensor(name, shape, scale, offset).data);
