/** Channel shuffles, alone or fused with the concatenation of their groups. */
import type { Node } from '../../../../graph/graph.js';
import type { ChannelShuffleAttrs } from '../../../../ops/arrange.js';
import { FLOAT } from '../../codegen/kernel.js';
import { type Pixels, pixelRuns } from '../../memory/layout.js';
import type { LoweringContext } from '../../schedule/context.js';
import type { ShuffledConcat } from '../../schedule/fusions.js';
import { type Lowering, parallelForPixels, pixelsOf } from '../lowering.js';
import { copyLoops, copyPhaseOf } from './copy.js';
import { shuffledConcatKernel } from './shuffledConcatKernel.js';

/** Strides of images, rows and pixels in floats. */
const pixelStrides = ({ imageStride, rowStride, pixelStride }: Pixels): readonly number[] =>
  [imageStride, rowStride, pixelStride].map((bytes) => bytes / FLOAT);

/** Channel j * groups + g of y is channel g * (c / groups) + j of x. */
export const lowerChannelShuffle: Lowering<ChannelShuffleAttrs> = (p, node) => {
  const { groups } = node.attrs;
  const [x, y] = [pixelsOf(p, node.inputs[0]!), pixelsOf(p, node)];
  const channels = x.c / groups;
  if (groups === 2) {
    const half = { ...x, c: channels };
    shuffledConcatPhase(p, half, { ...half, at: x.at.plus(channels * FLOAT) }, y);
    return;
  }
  copyPhaseOf(
    p,
    x.at,
    y.at,
    copyLoops(
      [x.n, x.h, x.w, channels, groups],
      [...pixelStrides(x), 1, channels],
      [...pixelStrides(y), groups, 1],
    ),
  );
};

/** Concatenates and shuffles in one pass: channel j * groups + g of y is channel j of part g. */
export function lowerShuffledConcat(p: LoweringContext, { parts }: ShuffledConcat, node: Node): void {
  const y = pixelsOf(p, node);
  const sources = parts.map((part) => pixelsOf(p, part));
  if (parts.length === 2) {
    shuffledConcatPhase(p, sources[0]!, sources[1]!, y);
    return;
  }
  for (const [index, x] of sources.entries())
    copyPhaseOf(
      p,
      x.at,
      y.at.plus(index * FLOAT),
      copyLoops([x.n, x.h, x.w, x.c], [...pixelStrides(x), 1], [...pixelStrides(y), parts.length]),
    );
}

/** Adds a phase that interleaves the channels of two values. */
function shuffledConcatPhase(p: LoweringContext, first: Pixels, second: Pixels, y: Pixels): void {
  const runs = pixelRuns(first, second, y);
  const shape = { channels: first.c, first: first.pixelStride, second: second.pixelStride, y: y.pixelStride };
  const call = p.kernel(shuffledConcatKernel, shape);
  parallelForPixels(p, 'interleave', runs, (run, from, pixels) =>
    call({
      first: runs.at(first, run, from),
      second: runs.at(second, run, from),
      y: runs.at(y, run, from),
      pixels,
    }),
  );
}
