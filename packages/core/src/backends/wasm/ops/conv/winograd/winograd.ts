/**
 * Winograd convolutions (see `transforms.ts`): chooses the algorithm by cost, and divides its three steps
 * among threads: input transform, one matrix product for each element of the transformed tile, output
 * transform.
 */
import { FLOAT, paddedChannels } from '../../../codegen/kernel.js';
import { type Pixels, rowAt } from '../../../memory/layout.js';
import type { Pointer } from '../../../memory/region.js';
import type { LoweringContext } from '../../../schedule/context.js';
import type { Call } from '../../../schedule/kernelCache.js';
import { indices, type Range, shareOf, splitByUnit } from '../../../schedule/ranges.js';
import { biasOf, pixelsOf } from '../../lowering.js';
import { matmulKernel, panelColumns, tilingOf } from '../../matmul/matmulKernel.js';
import {
  type PrefetchArguments,
  planPrefetch,
  prefetchLinesPerIteration,
  shouldPrefetch,
} from '../../matmul/prefetch.js';
import { conflictFreeStride } from '../conflictFreeStride.js';
import type { Convolution } from '../convolution.js';
import { fastestMethod, SHARED_WEIGHTS, winogradSeconds } from '../costModel.js';
import { tileWorkspaceBytes, winogradInput } from './inputKernel.js';
import { winogradOutput } from './outputKernel.js';
import { elementCount, type WinogradMethod, winogradAlgorithms } from './transforms.js';
import type { TransformedWeights, TransformWeights } from './weights.js';

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
  p: LoweringContext,
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

/** A Winograd convolution with its packed weights. */
interface WinogradPlan {
  readonly method: WinogradMethod;
  readonly convolution: Convolution;
  readonly x: Pixels;
  readonly residual?: Pixels;
  readonly weights: TransformedWeights;
  /** True if the caches of each core hold the weights. */
  readonly cached: boolean;
  readonly bias: Pointer;
  /** Output channels of a panel of weights. */
  readonly panel: number;
  readonly prefetch?: PrefetchArguments;
  /** Tiles in a row of an image, in an image, and in all images. */
  readonly tiles: { readonly row: number; readonly image: number; readonly all: number };
  /** Bytes of one element of a tile: its input channels, and its output channels. */
  readonly tileBytes: { readonly input: number; readonly output: number };
  /** Memory of each thread for the transform of an input tile. */
  readonly tileWorkspace: readonly Pointer[];
}

/**
 * Plans a Winograd convolution. Small transformed weights stay in each core's cache: every thread takes its
 * tiles through all three steps, without a barrier. Large ones are divided among threads by element of the
 * transformed tile, with a barrier between the steps.
 * @param transformWeights - for weights that may change: `transformWeights` of `changingWeights.ts`.
 */
export function lowerWinograd(
  p: LoweringContext,
  convolution: Convolution,
  method: WinogradMethod,
  transformWeights: TransformWeights,
): void {
  const plan = planWinograd(p, convolution, method, transformWeights);
  if (plan.cached) tilesPerThread(p, plan);
  else elementsPerThread(p, plan);
}

/** Packs the weights and divides the output into tiles. */
function planWinograd(
  p: LoweringContext,
  convolution: Convolution,
  method: WinogradMethod,
  transformWeights: TransformWeights,
): WinogradPlan {
  const { bias, residual, channels, out, y } = convolution;
  const { engine } = p;
  const { outputTile } = winogradAlgorithms[method];
  const x = convolution.x();
  const residualPixels = residual && pixelsOf(p, residual);
  const [inPadded, outPadded] = [paddedChannels(channels), paddedChannels(out)];
  const row = Math.ceil(y.w / outputTile);
  const image = row * Math.ceil(y.h / outputTile);
  const tiles = { row, image, all: y.n * image };
  const panel = panelColumns(engine, engine.tileRows, outPadded);
  const weights = transformWeights(p, convolution, method, panel);
  const weightBytes = elementCount(method) * weights.elementStride;
  const cached = weightBytes <= SHARED_WEIGHTS;
  const changing = !p.constantValue(convolution.weight);
  p.addExpectedSeconds(winogradSeconds(engine, method, { n: y.n, h: y.h, w: y.w, channels, out, changing }));
  // Large weights are divided among threads by element, so only one thread prefetches each of them.
  const prefetches = !cached && !changing && shouldPrefetch(engine, Math.ceil(tiles.all / engine.tileRows));
  return {
    method,
    convolution,
    x,
    residual: residualPixels,
    weights,
    cached,
    panel,
    bias: biasOf(p, bias, out),
    prefetch: prefetches ? planPrefetch(p, weights.at, weightBytes) : undefined,
    tiles,
    tileBytes: { input: inPadded * FLOAT, output: outPadded * FLOAT },
    tileWorkspace: p.workspacePerThread(tileWorkspaceBytes({ method, side: 'input', channels: inPadded })),
  };
}

/** Bytes of a tile before and after the matrix products, in all elements of the transformed tile. */
const bytesPerTile = ({ method, tileBytes }: WinogradPlan): number =>
  elementCount(method) * (tileBytes.input + tileBytes.output);

/** Each thread takes its tiles through all three steps, in blocks that fit into its caches. */
function tilesPerThread(p: LoweringContext, plan: WinogradPlan): void {
  const { tileRows } = p.engine;
  const blockTiles = Math.max(2, Math.floor(PRIVATE_BYTES / bytesPerTile(plan) / tileRows)) * tileRows;
  const capacity = Math.min(blockTiles, Math.ceil(plan.tiles.all / p.threads));
  const steps = stepsFor(p, plan, capacity);
  const transformed = p.workspacePerThread(steps.transformedBytes);
  const multiplied = p.workspacePerThread(steps.multipliedBytes);
  p.addPhase(winogradAlgorithms[plan.method].name, (thread) => {
    const [from, to] = shareOf(plan.tiles.all, thread, p.threads);
    const [input, products] = [transformed[thread]!, multiplied[thread]!];
    const calls: Call[] = [];
    for (let first = from; first < to; first += capacity) {
      const tiles: Range = [first, Math.min(first + capacity, to)];
      calls.push(
        ...steps.transformInput(tiles, input, thread),
        ...indices([0, elementCount(plan.method)]).map((element) =>
          steps.multiply(element, input, products, tiles[1] - first, element + 1),
        ),
        ...steps.transformOutput(tiles, products),
      );
    }
    return calls;
  });
}

/** Each thread computes the products of some elements, so that each weight is read once for a block. */
function elementsPerThread(p: LoweringContext, plan: WinogradPlan): void {
  const { name } = winogradAlgorithms[plan.method];
  const { tiles, tileBytes } = plan;
  const maxTiles = Math.max(p.engine.tileRows, Math.floor(SHARED_BYTES / bytesPerTile(plan)));
  const capacity = Math.ceil(tiles.all / Math.ceil(tiles.all / maxTiles));
  const steps = stepsFor(p, plan, capacity);
  const transformed = p.workspace(steps.transformedBytes);
  const multiplied = p.workspace(steps.multipliedBytes);
  for (let first = 0; first < tiles.all; first += capacity) {
    const count = Math.min(capacity, tiles.all - first);
    p.parallelFor(name, count, (from, to, thread) =>
      steps.transformInput([first + from, first + to], transformed.plus(from * tileBytes.input), thread),
    );
    p.parallelFor(name, elementCount(plan.method), (from, to) =>
      indices([from, to]).map((element) => steps.multiply(element, transformed, multiplied, count, to)),
    );
    p.parallelFor(name, count, (from, to) =>
      steps.transformOutput([first + from, first + to], multiplied.plus(from * tileBytes.output)),
    );
  }
}

/** The kernel calls of the three steps for a block of tiles, which are counted through all images. */
interface BlockSteps {
  /** Bytes of the block's transformed tiles. */
  readonly transformedBytes: number;
  /** Bytes of the block's products. */
  readonly multipliedBytes: number;
  /** Transforms tiles of the input to `to`. */
  readonly transformInput: (tiles: Range, to: Pointer, thread: number) => readonly Call[];
  /**
   * Multiplies `count` tiles by the weights of one element of the transformed tile.
   * @param end - end of the thread's range of elements; the product prefetches weights up to there.
   */
  readonly multiply: (element: number, from: Pointer, to: Pointer, count: number, end: number) => Call;
  /** Transforms products to tiles of the output. */
  readonly transformOutput: (tiles: Range, products: Pointer) => readonly Call[];
}

/** Generates the kernels of the steps for blocks of at most `capacity` tiles. */
function stepsFor(p: LoweringContext, plan: WinogradPlan, capacity: number): BlockSteps {
  const { method, x, residual, tiles, tileBytes } = plan;
  const { attrs, y } = plan.convolution;
  const inputStride = conflictFreeStride((capacity * tileBytes.input) / FLOAT);
  const outputStride = conflictFreeStride((capacity * tileBytes.output) / FLOAT);
  const input = p.kernel(winogradInput, {
    method,
    side: 'input',
    height: x.h,
    width: x.w,
    channels: tileBytes.input / FLOAT,
    top: attrs.padding[0],
    left: attrs.padding[1],
    rowStride: x.rowStride,
    pixelStride: x.pixelStride,
    tileColumns: tiles.row,
    elementStride: inputStride,
    tileStride: tileBytes.input,
  });
  const output = p.kernel(winogradOutput, {
    method,
    height: y.h,
    width: y.w,
    channels: tileBytes.output / FLOAT,
    y: { row: y.rowStride, pixel: y.pixelStride },
    residual: residual && { row: residual.rowStride, pixel: residual.pixelStride },
    tileColumns: tiles.row,
    elementStride: outputStride,
    activation: attrs.activation,
  });
  return {
    transformedBytes: elementCount(method) * inputStride,
    multipliedBytes: elementCount(method) * outputStride,
    transformInput: (range, to, thread) =>
      splitByUnit(range, tiles.image).map(({ unit: image, first, before, count }) =>
        input({
          x: rowAt(x, image, 0),
          result: to.plus(before * tileBytes.input),
          workspace: plan.tileWorkspace[thread]!,
          first,
          count,
        }),
      ),
    multiply: (element, from, to, count, end) =>
      multiplyElement(p, plan, element, end, count, {
        a: from.plus(element * inputStride),
        c: to.plus(element * outputStride),
      }),
    transformOutput: (range, products) =>
      splitByUnit(range, tiles.image).map(({ unit: image, first, before, count }) =>
        output({
          products: products.plus(before * tileBytes.output),
          y: rowAt(y, image, 0),
          bias: plan.bias,
          residual: residual && rowAt(residual, image, 0),
          first,
          count,
        }),
      ),
  };
}

/** Returns the call of the matrix product of one element; `end` as in {@link BlockSteps.multiply}. */
function multiplyElement(
  p: LoweringContext,
  { convolution, weights, cached, panel, prefetch, tileBytes }: WinogradPlan,
  element: number,
  end: number,
  count: number,
  { a, c }: { readonly a: Pointer; readonly c: Pointer },
): Call {
  const { tileRows, large, small } = tilingOf(count, p.engine.tileRows);
  const inner = { loops: [], run: convolution.channels };
  const columns = tileBytes.output / FLOAT;
  const prefetchLines = prefetch ? prefetchLinesPerIteration(p.engine, { inner, panel }, large + small) : 0;
  const multiply = p.kernel(matmulKernel, {
    inner,
    tileRows,
    panel,
    narrowPanel: columns % panel,
    pixel: { a: tileBytes.input, c: tileBytes.output, residual: 0 },
    row: { a: 0, c: 0, residual: 0 },
    bias: false,
    residual: false,
    preload: prefetchLines === 0 && large + small > 1 && !cached,
    prefetchLines,
  });
  return multiply({
    a,
    b: weights.at.plus(element * weights.elementStride),
    c,
    rows: 1,
    large,
    small,
    panels: Math.floor(columns / panel),
    narrow: columns % panel ? 1 : 0,
    ...prefetch?.(element * weights.elementStride, end * weights.elementStride),
  });
}
