/** Winograd convolutions: when they pay, and how their three steps are divided among threads. */
import { FLOAT, paddedChannels } from '../../../codegen/kernel.js';
import type { Pointer } from '../../../memory/region.js';
import { type Call, type Planner, shareOf } from '../../../schedule/planner.js';
import { biasOf, pixelsOf } from '../../lowering.js';
import { type MatmulShape, matmulKernel, panelColumns, tilingOf } from '../../matmul/matmulKernel.js';
import { planPrefetch, prefetchLinesPerIteration, shouldPrefetch } from '../../matmul/prefetch.js';
import type { Convolution } from '../convolution.js';
import { fastestMethod, SHARED_WEIGHTS, winogradSeconds } from '../costModel.js';
import { winogradInput, winogradScratch } from './inputKernel.js';
import { winogradOutput } from './outputKernel.js';
import { positionStride, type WinogradMethod, winograd } from './transforms.js';
import { packTransformed } from './weights.js';

/** What a thread's transformed input and products may take of its caches. */
const PRIVATE_BYTES = 600 * 1024;
/**
 * The instance of Winograd's method that is possible and that the cost model expects to be the fastest way;
 * undefined for the direct one. F(4x4) rounds about three times as much as the direct way, F(2x2) as much. Where
 * gradients are taken, an activation that lands on the other side of zero changes them by far more than rounding,
 * so there the pass forwards and the one back do without F(4x4) and are as exact as PyTorch's.
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
    // Windows are read whole, forwards or backwards.
    Math.abs(order.column) === 1 &&
    Math.abs(order.row) === 3 &&
    channels >= 16 &&
    out >= 16;
  const changing = !p.constantValue(weight);
  const cost = { n, h, w, channels, out, changing, precise: p.hasGradients, stride: stride[0] };
  return suits ? fastestMethod(p.engine, cost) : undefined;
}

/** The parts of a run of tiles, counted through all pictures, that each picture has. */
export function tilesByImage(
  tiles: number,
  from: number,
  count: number,
): readonly {
  readonly image: number;
  readonly first: number;
  /** Tiles of the run before these, and these. */
  readonly before: number;
  readonly count: number;
}[] {
  const parts = [];
  for (let tile = from; tile < from + count; ) {
    const image = Math.floor(tile / tiles);
    const end = Math.min(from + count, (image + 1) * tiles);
    parts.push({ image, first: tile - image * tiles, before: tile - from, count: end - tile });
    tile = end;
  }
  return parts;
}

export function lowerWinograd(p: Planner, convolution: Convolution, method: WinogradMethod): void {
  const { attrs, bias, residual, channels, out, y } = convolution;
  const { engine, threads } = p;
  const { outputs, name } = winograd[method];
  const products = winograd[method].products ** 2;
  const x = convolution.x();
  const residualPixels = residual && pixelsOf(p, residual);
  const [inPadded, outPadded] = [paddedChannels(channels), paddedChannels(out)];
  const tileColumns = Math.ceil(y.w / outputs);
  const tiles = tileColumns * Math.ceil(y.h / outputs);
  const total = y.n * tiles;
  const panel = panelColumns(engine, engine.tileRows, outPadded);
  const weights = packTransformed(p, convolution, method, panel);
  const weightBytes = products * weights.stride;
  const biasAt = biasOf(p, bias, out);
  const changing = !p.constantValue(convolution.weight);
  // Large weights are shared out by position: one thread alone asks for each of them.
  const shared = weightBytes <= SHARED_WEIGHTS;
  const asks = !shared && !changing && shouldPrefetch(engine, Math.ceil(total / engine.tileRows));
  const asking = asks ? planPrefetch(p, weights.at, weightBytes) : undefined;

  /** Transforms for scratch that holds so many tiles. */
  const transforms = (held: number) => ({
    input: p.kernel(winogradInput, {
      method,
      of: 'inputs',
      height: x.h,
      width: x.w,
      channels: inPadded,
      top: attrs.padding[0],
      left: attrs.padding[1],
      row: x.rowStride,
      pixel: x.pixelStride,
      tileColumns,
      product: positionStride(held, inPadded),
      tile: inPadded * FLOAT,
    }),
    output: p.kernel(winogradOutput, {
      method,
      height: y.h,
      width: y.w,
      channels: outPadded,
      y: { row: y.rowStride, pixel: y.pixelStride },
      residual: residualPixels && { row: residualPixels.rowStride, pixel: residualPixels.pixelStride },
      tileColumns,
      product: positionStride(held, outPadded),
      activation: attrs.activation,
    }),
  });
  /** The product of one of the transformed positions, for `count` tiles; the thread goes on up to position `end`. */
  const multiply = (
    index: number,
    from: Pointer,
    to: Pointer,
    held: number,
    count: number,
    end = index + 1,
  ): Call => {
    const { tileRows, large, small } = tilingOf(count, engine.tileRows);
    const inner = { loops: [], run: channels };
    const ahead = asking ? prefetchLinesPerIteration(engine, { inner, panel }, large + small) : 0;
    const product: MatmulShape = {
      inner,
      tileRows,
      panel,
      narrowPanel: outPadded % panel,
      pixel: { a: inPadded * FLOAT, c: outPadded * FLOAT, residual: 0 },
      row: { a: 0, c: 0, residual: 0 },
      bias: false,
      residual: false,
      preload: ahead === 0 && large + small > 1 && !shared,
      prefetchLines: ahead,
    };
    const multiplyTiles = p.kernel(matmulKernel, product);
    return multiplyTiles({
      a: from.plus(index * positionStride(held, inPadded)),
      b: weights.at.plus(index * weights.stride),
      c: to.plus(index * positionStride(held, outPadded)),
      rows: 1,
      large,
      small,
      panels: Math.floor(outPadded / panel),
      narrow: outPadded % panel ? 1 : 0,
      ...asking?.(index * weights.stride, end * weights.stride),
    });
  };
  const scratch = p.workspacePerThread(winogradScratch({ method, of: 'inputs', channels: inPadded }));
  type Transforms = ReturnType<typeof transforms>;
  const forward = (input: Transforms['input'], thread: number, to: Pointer, from: number, count: number) =>
    tilesByImage(tiles, from, count).map(({ image, first, before, count: some }) =>
      input({
        x: x.at.plus(image * x.imageStride),
        result: to.plus(before * inPadded * FLOAT),
        scratch: scratch[thread]!,
        first,
        count: some,
      }),
    );
  const back = (output: Transforms['output'], products: Pointer, from: number, count: number) =>
    tilesByImage(tiles, from, count).map(({ image, first, before, count: some }) =>
      output({
        products: products.plus(before * outPadded * FLOAT),
        y: y.at.plus(image * y.imageStride),
        bias: biasAt,
        residual: residualPixels?.at.plus(image * residualPixels.imageStride),
        first,
        count: some,
      }),
    );
  p.addExpectedSeconds(winogradSeconds(engine, method, { n: y.n, h: y.h, w: y.w, channels, out, changing }));
  const bytesPerTile = products * (inPadded + outPadded) * FLOAT;

  if (shared) {
    // Each thread takes its own tiles through all three steps, in blocks that its caches hold.
    const wanted = Math.max(2, Math.floor(PRIVATE_BYTES / bytesPerTile / engine.tileRows)) * engine.tileRows;
    const held = Math.min(wanted, Math.ceil(total / threads));
    const { input, output } = transforms(held);
    const transformed = p.workspacePerThread(products * positionStride(held, inPadded));
    const multiplied = p.workspacePerThread(products * positionStride(held, outPadded));
    p.setAlgorithm(name);
    p.addPhase((thread) => {
      const [from, to] = shareOf(total, thread, threads);
      const calls: Call[] = [];
      for (let first = from; first < to; first += held) {
        const count = Math.min(held, to - first);
        calls.push(
          ...forward(input, thread, transformed[thread]!, first, count),
          ...Array.from({ length: products }, (_, index) =>
            multiply(index, transformed[thread]!, multiplied[thread]!, held, count),
          ),
          ...back(output, multiplied[thread]!, first, count),
        );
      }
      return calls;
    });
    return;
  }
  // Large weights: every thread multiplies some of the positions, so that each weight is read once.
  const most = Math.max(engine.tileRows, Math.floor(24e6 / bytesPerTile));
  const held = Math.ceil(total / Math.ceil(total / most));
  const { input, output } = transforms(held);
  const transformed = p.workspace(products * positionStride(held, inPadded));
  const multiplied = p.workspace(products * positionStride(held, outPadded));
  p.setAlgorithm(name);
  for (let first = 0; first < total; first += held) {
    const count = Math.min(held, total - first);
    p.parallelFor(count, (from, to, thread) =>
      forward(input, thread, transformed.plus(from * inPadded * FLOAT), first + from, to - from),
    );
    p.parallelFor(products, (from, to) =>
      Array.from({ length: to - from }, (_, i) =>
        multiply(from + i, transformed, multiplied, held, count, to),
      ),
    );
    p.parallelFor(count, (from, to) =>
      back(output, multiplied.plus(from * outPadded * FLOAT), first + from, to - from),
    );
  }
}
