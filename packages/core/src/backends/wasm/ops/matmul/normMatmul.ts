/**
 * Batch normalisation fused into the 1x1 convolution after it, as a prologue (DenseNet): each thread normalises a
 * block of pixels into a workspace that stays in its cache and multiplies it next, instead of a phase that
 * normalises all pixels and a barrier before the product.
 */
import { FLOAT, paddedChannels } from '../../codegen/kernel.js';
import { pixelRuns } from '../../memory/layout.js';
import type { LoweringContext } from '../../schedule/context.js';
import type { NormMatmul } from '../../schedule/fusions.js';
import type { Call } from '../../schedule/kernelCache.js';
import { shareOf } from '../../schedule/ranges.js';
import { conflictFreeStride } from '../conv/conflictFreeStride.js';
import { matmulSeconds } from '../conv/costModel.js';
import { channelGroups, pixelsOf } from '../lowering.js';
import { constantCoefficients } from '../norm/batchNorm.js';
import { pointwiseKernel } from '../pointwise/pointwiseKernel.js';
import { pointwiseRowMatmul } from './rowMatmul.js';

/** Bytes of the L2 cache for the normalised pixels of a thread. */
const NORMALISED_BLOCK_BYTES = 192 * 1024;

export function lowerNormMatmul(p: LoweringContext, { norm, conv }: NormMatmul): void {
  const x = pixelsOf(p, norm.inputs[0]!);
  const y = pixelsOf(p, conv);
  const runs = pixelRuns(x, y);
  const { scale, shift } = constantCoefficients(p, norm)!;
  const pixel = conflictFreeStride(paddedChannels(x.c));
  const product = pointwiseRowMatmul(p, conv, { a: pixel, c: y.pixelStride, residual: 0 });
  const { tileRows } = p.engine;
  const block = Math.max(1, Math.floor(NORMALISED_BLOCK_BYTES / pixel / tileRows)) * tileRows;
  const total = runs.count * runs.pixels;
  const normalised = p.workspacePerThread(Math.min(block, total) * pixel);
  const normalise = p.kernel(pointwiseKernel, {
    compute: 'affine',
    operands: [{ pixel: x.pixelStride }, { pixel: 0 }, { pixel: 0 }],
    pixel,
    activation: norm.attrs.activation,
  });
  const weightBytes = x.c * paddedChannels(y.c) * FLOAT;
  const weightBound = weightBytes > total * x.c * FLOAT;
  // As in `matmulPhase`: weight-bound products are divided by panels. Then every thread normalises all pixels.
  const byPanels = product.panels >= p.threads && (weightBound || total < 2 * p.threads * tileRows);
  p.addExpectedSeconds(matmulSeconds(p.engine, { pixels: total, inner: x.c, columns: y.c }));
  p.addPhase(`norm, gemm ${product.algorithm}`, (thread) => {
    const panels = byPanels ? shareOf(product.panels, thread, p.threads) : ([0, product.panels] as const);
    const [from, to] = byPanels ? [0, total] : shareOf(total, thread, p.threads);
    const calls: Call[] = [];
    for (let at = from; at < to; ) {
      const run = Math.floor(at / runs.pixels);
      const first = at - run * runs.pixels;
      const count = Math.min(block, to - at, runs.pixels - first);
      calls.push(
        normalise({
          y: normalised[thread]!,
          operands: [runs.at(x, run, first), scale, shift],
          pixels: count,
          groups: channelGroups(x.c),
        }),
        product.call(count, normalised[thread]!, runs.at(y, run, first), { panels }),
      );
      at += count;
    }
    return calls;
  });
}
