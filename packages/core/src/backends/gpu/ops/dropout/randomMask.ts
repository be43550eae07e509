/** Masks of dropout. The host draws them: their hash needs 32-bit integers, and a kernel's have 24 bits. */
import { maskKeeps, maskKey, type RandomMaskAttrs } from '../../../../ops/dropout.js';
import { sizeOf } from '../../../../tensor/shape.js';
import type { HostValues, PlannedTensor } from '../../plan/plan.js';
import { unavailable } from '../../unavailable.js';
import type { Lowering } from '../lowering.js';

/** Gives a function that reads a tensor when a run starts; undefined if only the device has its values. */
const hostReader = ({ origin }: PlannedTensor): ((host: HostValues) => Float32Array) | undefined =>
  origin.kind === 'fed' ? origin.of : origin.kind === 'constant' ? () => origin.values.data : undefined;

/** y = 0 or 1 / keep. Inputs: seed. */
export const lowerRandomMask: Lowering<RandomMaskAttrs> = ({
  attrs: { keep, stream },
  inputs,
  node,
  shape,
  storedPadding,
  plan,
}) => {
  const seed = hostReader(inputs[0]!);
  if (!seed)
    throw unavailable(
      `${node.graph.at(node.path)}: the gpu back end draws masks on the host, so their seed must be an input or a parameter, not a computed value.`,
    );
  return plan.fed(
    shape,
    (host) => {
      const key = maskKey(seed(host)[0]!, stream);
      return Float32Array.from({ length: sizeOf(shape) }, (_, i) => (maskKeeps(key, i, keep) ? 1 / keep : 0));
    },
    storedPadding,
  );
};
