/**
 * Winograd convolutions (see `transforms.ts`): chooses the algorithm by cost, and divides its three steps
 * among threads: input transform, one matrix product for each element of the transformed tile, output
 * transform.
 */
import { FLOAT, paddedChannels } from '../../../codegen/kernel.js';
import type { Pointer } from '../../../memory/region.js';
import { type Call, type Planner, shareOf } from '../../../schedule/planner.js';
import { biasOf, pixelsOf } from '../../lowering.js';
import { type MatmulShape, matmulKernel, panelColumns, tilingOf } from '../../matmul/matmulKernel.js';
import { planPrefetch, prefetchLinesPerIteration, shouldPrefetch } from '../../matmul/prefetch.js';
import { conflictFreeStride } from '../conflictFreeStride.js';
import type { Convolution } from '../convolution.js';
import { fastestMethod, SHARED_WEIGHTS, winogradSeconds } from '../costModel.js';
import { tileWorkspaceBytes, winogradInput } from './inputKernel.js';
import { winogradOutput } from './outputKernel.js';
import { elementCount, type WinogradMethod, winogradAlgorithms } from './transforms.js';
import { transformWeights } from './weights.js';

/** Bytes of a thread's caches that its transformed tiles, before and after the matrix products, may take. */
const PRIVATE_BYTES = 600 * 1024;

/**
 * Bytes of transformed tiles, before and after the matrix products, that all threads share where weights are
 * large.
 */
const SHARED_BYTES = 24e6;

/**
 * Returns the Winograd algorithm that the cost model expects to be the fastest; undefined if that is the
 * direct convolution or if the convolution is not 3x3 with stride 1 or 2, undilated and ungrouped, with at
 * least 16 input and output channels.
 *
 * The rounding error of F(4x4) is about three times that of the direct convolution, that of F(2x2) the same.
 * In a graph with gradients neither the forward pass nor input gradients use F(4x4): an activation that rounds
 * to the other side of zero changes gradients by far more than rounding does. Without F(4x4) they are as
 * exact as PyTorch's. Weight gradients may use it (`fastestWeightGradient`): no activation depends on them.
 */
export function chooseWinograd(
  p: Planner,
  { attrs, kernel, channels, out, order, y: { n, h, w }, weight }: Convolution,
): WinogradMethod | undefined {
  const { stride, dilation, groups } = attrs;
  const suits =
    kernel.every((extent) => extent === 3) &&
    stride[0] === stride[1] &&
    stride[0] <= 2 &&
    [...dilation, groups].every((value) => value === 1) &&
    // The nine taps of a window must be contiguous, in order or rotated by 180 degrees.
    Math.abs(order.column) === 1 &&
    Math.abs(order.row) === 3 &&
    channels >= 16 &&
    out >= 16;
  const changing = !p.constantValue(weight);
  const cost = { n, h, w, channels, out, changing, precise: p.hasGradients, stride: stride[0] };
  return suits ? fastestMethod(p.engine, cost) : undefined;
}

/** Consecutive tiles of one image. */
interface ImageTiles {
  readonly image: number;
  /** Index of the first tile in the image. */
  readonly first: number;
  /** Number of tiles of the range that come before these. */
  readonly before: number;
  readonly count: number;
}

/**
 * Splits a range of tiles at the borders between images.
 * @param tiles - number of tiles of an image.
 * @param from - first tile, counted through all images.
 */
export function tilesByImage(tiles: number, from: number, count: number): readonly ImageTiles[] {
  const parts = [];
  for (let tile = from; tile < from + count; ) {
    const image = Math.floor(tile / tiles);
    const end = Math.min(from + count, (image + 1) * tiles);
    parts.push({ image, first: tile - image * tiles, before: tile - from, count: end - tile });
    tile = end;
  }
  return parts;
}

/**
 * Plans a Winograd convolution. Small transformed weights stay in each core's cache: every thread takes its
 * tiles through all three steps, without a barrier. Large ones are divided among threads by element of the
 * transformed tile, with a barrier between the steps.
 */
export function lowerWinograd(p: Planner, convolution: Convolution, method: WinogradMethod): void {
  const { attrs, bias, residual, channels, out, y } = convolution;
  const { engine, threads } = p;
  const { outputTile, name } = winogradAlgorithms[method];
  const elements = elementCount(method);
  const x = convolution.x();
  const residualPixels = residual && pixelsOf(p, residual);
  const [inPadded, outPadded] = [paddedChannels(channels), paddedChannels(out)];
  const tileColumns = Math.ceil(y.w / outputTile);
  const tiles = tileColumns * Math.ceil(y.h / outputTile);
  const total = y.n * tiles;
  const panel = panelColumns(engine, engine.tileRows, outPadded);
  const weights = transformWeights(p, convolution, method, panel);
  const weightBytes = elements * weights.elementStride;
  const biasAt = biasOf(p, bias, out);
  const changing = !p.constantValue(convolution.weight);
  const cached = weightBytes <= SHARED_WEIGHTS;
  // Large weights are divided among threads by element, so only one thread prefetches each of them.
  const prefetches = !cached && !changing && shouldPrefetch(engine, Math.ceil(total / engine.tileRows));
  const prefetchArguments = prefetches ? planPrefetch(p, weights.at, weightBytes) : undefined;

  const inputStride = (capacity: number): number => conflictFreeStride(capacity * inPadded);
  const outputStride = (capacity: number): number => conflictFreeStride(capacity * outPadded);
  /** Generates the transforms for a workspace with room for `capacity` tiles. */
  const transforms = (capacity: number) => ({
    input: p.kernel(winogradInput, {
      method,
      side: 'input',
      height: x.h,
      width: x.w,
      channels: inPadded,
      top: attrs.padding[0],
      left: attrs.padding[1],
      rowStride: x.rowStride,
      pixelStride: x.pixelStride,
      tileColumns,
      elementStride: inputStride(capacity),
      tileStride: inPadded * FLOAT,
    }),
    output: p.kernel(winogradOutput, {
      method,
      height: y.h,
      width: y.w,
      channels: outPadded,
      y: { row: y.rowStride, pixel: y.pixelStride },
      residual: residualPixels && { row: residualPixels.rowStride, pixel: residualPixels.pixelStride },
      tileColumns,
      elementStride: outputStride(capacity),
      activation: attrs.activation,
    }),
  });
  /**
   * Returns the call of the matrix product of one element of the transformed tile.
   * @param capacity - tiles that the workspace has room for.
   * @param count - tiles to multiply.
   * @param end - end of the thread's range of elements; the product prefetches weights up to there.
   */
  const multiply = (
    element: number,
    from: Pointer,
    to: Pointer,
    capacity: number,
    count: number,
    end = element + 1,
  ): Call => {
    const { tileRows, large, small } = tilingOf(count, engine.tileRows);
    const inner = { loops: [], run: channels };
    const prefetchLines = prefetchArguments
      ? prefetchLinesPerIteration(engine, { inner, panel }, large + small)
      : 0;
    const shape: MatmulShape = {
      inner,
      tileRows,
      panel,
      narrowPanel: outPadded % panel,
      pixel: { a: inPadded * FLOAT, c: outPadded * FLOAT, residual: 0 },
      row: { a: 0, c: 0, residual: 0 },
      bias: false,
      residual: false,
      preload: prefetchLines === 0 && large + small > 1 && !cached,
      prefetchLines,
    };
    const multiplyTiles = p.kernel(matmulKernel, shape);
    return multiplyTiles({
      a: from.plus(element * inputStride(capacity)),
      b: weights.at.plus(element * weights.elementStride),
      c: to.plus(element * outputStride(capacity)),
      rows: 1,
      large,
      small,
      panels: Math.floor(outPadded / panel),
      narrow: outPadded % panel ? 1 : 0,
      ...prefetchArguments?.(element * weights.elementStride, end * weights.elementStride),
    });
  };
  const tileWorkspace = p.workspacePerThread(
    tileWorkspaceBytes({ method, side: 'input', channels: inPadded }),
  );
  type Transforms = ReturnType<typeof transforms>;
  const transformInput = (
    input: Transforms['input'],
    thread: number,
    to: Pointer,
    from: number,
    tileCount: number,
  ) =>
    tilesByImage(tiles, from, tileCount).map(({ image, first, before, count }) =>
      input({
        x: x.at.plus(image * x.imageStride),
        result: to.plus(before * inPadded * FLOAT),
        workspace: tileWorkspace[thread]!,
        first,
        count,
      }),
    );
  const transformOutput = (
    output: Transforms['output'],
    products: Pointer,
    from: number,
    tileCount: number,
  ) =>
    tilesByImage(tiles, from, tileCount).map(({ image, first, before, count }) =>
      output({
        products: products.plus(before * outPadded * FLOAT),
        y: y.at.plus(image * y.imageStride),
        bias: biasAt,
        residual: residualPixels?.at.plus(image * residualPixels.imageStride),
        first,
        count,
      }),
    );
  p.addExpectedSeconds(winogradSeconds(engine, method, { n: y.n, h: y.h, w: y.w, channels, out, changing }));
  const bytesPerTile = elements * (inPadded + outPadded) * FLOAT;

  if (cached) {
    // Each thread takes its tiles through all three steps, in blocks that fit into its caches.
    const blockTiles =
      Math.max(2, Math.floor(PRIVATE_BYTES / bytesPerTile / engine.tileRows)) * engine.tileRows;
    const capacity = Math.min(blockTiles, Math.ceil(total / threads));
    const { input, output } = transforms(capacity);
    const transformed = p.workspacePerThread(elements * inputStride(capacity));
    const multiplied = p.workspacePerThread(elements * outputStride(capacity));
    p.setAlgorithm(name);
    p.addPhase((thread) => {
      const [from, to] = shareOf(total, thread, threads);
      const calls: Call[] = [];
      for (let first = from; first < to; first += capacity) {
        const count = Math.min(capacity, to - first);
        calls.push(
          ...transformInput(input, thread, transformed[thread]!, first, count),
          ...Array.from({ length: elements }, (_, element) =>
            multiply(element, transformed[thread]!, multiplied[thread]!, capacity, count),
          ),
          ...transformOutput(output, multiplied[thread]!, first, count),
        );
      }
      return calls;
    });
    return;
  }
  // Large weights: every thread computes the products of some elements, so that each weight is read once for
  // a block.
  const maxTiles = Math.max(engine.tileRows, Math.floor(SHARED_BYTES / bytesPerTile));
  const capacity = Math.ceil(total / Math.ceil(total / maxTiles));
  const { input, output } = transforms(capacity);
  const transformed = p.workspace(elements * inputStride(capacity));
  const multiplied = p.workspace(elements * outputStride(capacity));
  p.setAlgorithm(name);
  for (let first = 0; first < total; first += capacity) {
    const count = Math.min(capacity, total - first);
    p.parallelFor(count, (from, to, thread) =>
      transformInput(input, thread, transformed.plus(from * inPadded * FLOAT), first + from, to - from),
    );
    p.parallelFor(elements, (from, to) =>
      Array.from({ length: to - from }, (_, i) =>
        multiply(from + i, transformed, multiplied, capacity, count, to),
      ),
    );
    p.parallelFor(count, (from, to) =>
      transformOutput(output, multiplied.plus(from * outPadded * FLOAT), first + from, to - from),
    );
  }
}
