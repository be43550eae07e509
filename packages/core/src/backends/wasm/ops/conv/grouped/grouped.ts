/** Convolutions in groups, such as ResNeXt's: products on parts of the channels. */
import { CHANNEL_BLOCK, FLOAT, paddedChannels } from '../../../codegen/kernel.js';
import type { Pixels } from '../../../memory/layout.js';
import type { Pointer } from '../../../memory/region.js';
import type { Planner } from '../../../schedule/planner.js';
import { type PackedPart, pack } from '../../data/pack.js';
import { biasOf, pixelsOf } from '../../lowering.js';
import { columnPlace, matmulPhase } from '../../matmul/matmul.js';
import { type Convolution, underWindow } from '../convolution.js';

/**
 * How many groups are taken together, with zeros between them, so that their outputs fill whole blocks of channels.
 * Where that multiplies more zeros than it saves, each group is on its own, and what it writes behind its channels
 * is written again by the next one: if the last one stays within the pixel, and there is no residual, which may lie
 * where the output is written.
 */
function groupsTogether(groups: number, outEach: number, residual: boolean): number {
  let together = 1;
  while (together < groups && ((together * outEach) % CHANNEL_BLOCK !== 0 || groups % together !== 0))
    together++;
  const alone = paddedChannels(outEach);
  const fits = (groups - 1) * outEach + alone <= paddedChannels(groups * outEach);
  return fits && !residual && alone < together * outEach ? 1 : together;
}

/** Convolutions in groups: each group is a convolution on a part of the channels. */
export function lowerGrouped(p: Planner, convolution: Convolution): void {
  const { attrs, weight, order, bias, residual, kernel, channels, out, y } = convolution;
  const { groups } = attrs;
  const [outEach, inEach] = [out / groups, channels / groups];
  const together = groupsTogether(groups, outEach, residual !== undefined);
  const sets = groups / together;
  const [setOut, setIn] = [together * outEach, together * inEach];
  const x = convolution.x();
  const residualPixels = residual && pixelsOf(p, residual);
  const window = underWindow(p, convolution, x, setIn);
  const inner = kernel[0] * kernel[1] * setIn;
  const biasAt = bias && biasOf(p, bias, out);
  const part = (value: Pixels, first: number): Pixels => ({ ...value, at: value.at.plus(first * FLOAT) });
  const setFloats = paddedChannels(setOut) * inner;
  let packed: Pointer | undefined;
  /** All sets have panels of the same width: they are packed together when the first one asks. */
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
      residual: residualPixels && part(residualPixels, set * setOut),
      activation: attrs.activation,
      x: part(window.x, set * setIn),
      y: part(y, set * setOut),
      inputBytes: x.n * x.imageStride,
      overlaps: setOut % CHANNEL_BLOCK !== 0,
    })),
  );
}
