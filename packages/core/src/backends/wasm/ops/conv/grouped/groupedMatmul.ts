/** Grouped convolutions as matrix products, each over the channels of one or several groups. */
import { CHANNEL_BLOCK, FLOAT, paddedChannels } from '../../../codegen/kernel.js';
import type { Pixels } from '../../../memory/layout.js';
import type { Pointer } from '../../../memory/region.js';
import type { LoweringContext } from '../../../schedule/context.js';
import { type PackedPart, pack } from '../../data/pack.js';
import { biasOf, pixelsOf } from '../../lowering.js';
import { columnPlace, matmulPhase } from '../../matmul/matmul.js';
import type { Convolution } from '../convolution.js';
import { directWindow } from '../direct.js';

/**
 * Returns the number of groups of one matrix product. Several groups, as a block-diagonal weight with zeros
 * outside of the diagonal, have outputs that fill whole blocks of eight channels. One group writes padding
 * channels after its own, which the next group overwrites. That is chosen if it multiplies fewer zeros, if
 * the last group's padding stays within the pixel, and if there is no residual, which may share memory with
 * the output.
 */
function groupsPerSet(groups: number, outEach: number, residual: boolean): number {
  let perSet = 1;
  while (perSet < groups && ((perSet * outEach) % CHANNEL_BLOCK !== 0 || groups % perSet !== 0)) perSet++;
  const paddedOut = paddedChannels(outEach);
  const fits = (groups - 1) * outEach + paddedOut <= paddedChannels(groups * outEach);
  return fits && !residual && paddedOut < perSet * outEach ? 1 : perSet;
}

/** Plans a grouped convolution as one matrix product for each set of groups. */
export function lowerGroupedMatmul(p: LoweringContext, convolution: Convolution): void {
  const { attrs, weight, order, bias, residual, kernel, channels, out, y } = convolution;
  const { groups } = attrs;
  const [outEach, inEach] = [out / groups, channels / groups];
  const perSet = groupsPerSet(groups, outEach, residual !== undefined);
  const sets = groups / perSet;
  const [setOut, setIn] = [perSet * outEach, perSet * inEach];
  const x = convolution.x();
  const residualPixels = residual && pixelsOf(p, residual);
  const window = directWindow(p, convolution, x, setIn);
  const inner = kernel[0] * kernel[1] * setIn;
  const biasAt = bias && biasOf(p, bias, out);
  /** The channels of a value from `first` on. */
  const channelsFrom = (value: Pixels, first: number): Pixels => ({
    ...value,
    at: value.at.plus(first * FLOAT),
  });
  const setFloats = paddedChannels(setOut) * inner;
  let packed: Pointer | undefined;
  /** Packs the weights of all sets at the first call: their panels have the same width. */
  const weightsOf = (set: number, panel: number): Pointer => {
    packed ??= pack(
      p,
      weight,
      sets * setFloats,
      Array.from({ length: out }, (_, channel): PackedPart => {
        const column = channel % setOut;
        const { offset, width, within } = columnPlace(inner, setOut, panel, column);
        const firstIn = Math.floor(column / outEach) * inEach;
        return {
          loops: [
            { count: kernel[0], from: order.row, to: kernel[1] * setIn * width },
            { count: kernel[1], from: order.column, to: setIn * width },
            { count: inEach, from: order.in, to: width },
          ],
          from: order.start + Math.floor(channel / outEach) * order.group + (channel % outEach) * order.out,
          to: Math.floor(channel / setOut) * setFloats + offset + firstIn * width + within,
        };
      }),
    );
    return packed.plus(set * setFloats * FLOAT);
  };
  matmulPhase(
    p,
    ...Array.from({ length: sets }, (_, set) => ({
      name: 'direct grouped',
      inner: window.inner,
      columns: setOut,
      weights: (panel: number) => weightsOf(set, panel),
      bias: biasAt?.plus(set * setOut * FLOAT),
      residual: residualPixels && channelsFrom(residualPixels, set * setOut),
      activation: attrs.activation,
      x: channelsFrom(window.x, set * setIn),
      y: channelsFrom(y, set * setOut),
      inputBytes: x.n * x.imageStride,
      overlaps: setOut % CHANNEL_BLOCK !== 0,
    })),
  );
}
