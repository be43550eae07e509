/**
 * Plans matrix products: packs their weights into panels and divides the work among threads and cache-sized calls.
 */
import type { Node } from '../../../../graph/graph.js';
import type { Activation } from '../../../../ops/activation.js';
import type { Engine } from '../../codegen/engine.js';
import { CHANNEL_BLOCK, FLOAT, paddedChannels } from '../../codegen/kernel.js';
import { type Pixels, pixelRuns } from '../../memory/layout.js';
import type { Pointer } from '../../memory/region.js';
import type { LoweringContext } from '../../schedule/context.js';
import type { Call } from '../../schedule/kernelCache.js';
import { type Range, shareOf, splitByUnit } from '../../schedule/ranges.js';
import { matmulSeconds } from '../conv/costModel.js';
import type { CopyLoop } from '../data/copyKernel.js';
import { type PackedPart, pack } from '../data/pack.js';
import { innerSize, type MatmulShape, matmulKernel, panelColumns, tilingOf } from './matmulKernel.js';
import { planPrefetch, prefetchLinesPerIteration, STREAMED_WEIGHT_BYTES } from './prefetch.js';

/**
 * Bytes of the L2 cache for a block of A: the pixels that a thread multiplies with all panels before the next ones.
 */
const A_BLOCK_BYTES = 192 * 1024;
/**
 * Pixels of a tall tile, of 8 columns. Two tiles of 16 columns would read the weights from memory and then again
 * from what the cache still holds: with tall tiles VGG-16's first linear layer takes 25 to 29 ms instead of 33 at
 * batch 8.
 */
const TALL_TILE = 8;

/** Locates a column in packed panels: the panel's offset in floats, its width, and the column's index within it. */
export function columnPlace(
  inner: number,
  columns: number,
  panel: number,
  column: number,
): { readonly offset: number; readonly width: number; readonly within: number } {
  const index = Math.floor(column / panel);
  const width = Math.min(panel, paddedChannels(columns) - index * panel);
  return { offset: index * panel * inner, width, within: column - index * panel };
}

/** Loops over the inner dimension of a weight, outermost first, with strides in floats. */
export type InnerOrder = readonly { readonly count: number; readonly from: number }[];

/** Loops that copy `columns` columns into a panel of the given width: the inner dimension, then the columns. */
function panelLoops(order: InnerOrder, width: number, columns: number, columnStride: number): CopyLoop[] {
  let to = width;
  const loops: CopyLoop[] = [{ count: columns, from: columnStride, to: 1 }];
  for (const { count, from } of [...order].reverse()) {
    loops.unshift({ count, from, to });
    to *= count;
  }
  return loops;
}

/**
 * Packs a weight into panels of `panel` columns, the last one narrower.
 * @param order - loops over the inner dimension.
 * @param columnStride - distance of columns in the weight, in floats.
 * @param start - offset of the first value in the weight, in floats.
 */
export function packPanels(
  p: LoweringContext,
  weight: Node,
  columns: number,
  panel: number,
  order: InnerOrder,
  columnStride: number,
  start = 0,
): Pointer {
  const inner = order.reduce((size, { count }) => size * count, 1);
  const full = Math.floor(columns / panel);
  const parts: PackedPart[] = [];
  if (full > 0)
    parts.push({
      loops: [
        { count: full, from: panel * columnStride, to: panel * inner },
        ...panelLoops(order, panel, panel, columnStride),
      ],
      from: start,
      to: 0,
    });
  if (columns > full * panel) {
    const { offset, width } = columnPlace(inner, columns, panel, full * panel);
    parts.push({
      loops: panelLoops(order, width, columns - full * panel, columnStride),
      from: start + full * panel * columnStride,
      to: offset,
    });
  }
  return pack(p, weight, paddedChannels(columns) * inner, parts);
}

/** A product as a layer describes it. */
export interface MatmulLayer {
  /** Label in profiles. */
  readonly name: string;
  readonly inner: MatmulShape['inner'];
  readonly columns: number;
  /** Packs the weights into panels of this many columns and returns their address. */
  readonly weights: (panel: number) => Pointer;
  /** True if the weights are constant. Only those are prefetched: the table of their first bytes stays valid. */
  readonly constant?: boolean;
  readonly bias?: Pointer;
  readonly residual?: Pixels;
  readonly activation?: Activation;
  /** The first input value of each output pixel; its extents are those of y. */
  readonly x: Pixels;
  readonly y: Pixels;
  /** Bytes of x that are read, to compare with the size of the weights. */
  readonly inputBytes: number;
  /**
   * True if the padding columns of this layer overlap the next layer's result, so that this layer must be written
   * first.
   */
  readonly overlaps?: boolean;
}

/** A product with its kernel and packed weights, and the units it can be divided into. */
export interface PlannedMatmul {
  readonly algorithm: string;
  /** Number of units that pixels are divided into: tiles if all pixels form one run, else rows or images. */
  readonly units: number;
  /** Number of units whose input the L2 cache holds. */
  readonly block: number;
  readonly panels: number;
  /** True if the weights are larger than the input. */
  readonly weightBound: boolean;
  /** Time that the cost model expects. */
  readonly seconds: number;
  /** Makes the calls for ranges of units and panels. */
  readonly calls: (units: Range, panels: Range) => readonly Call[];
}

/**
 * Tiles that are on average less full than this, because rows of pixels are short, are worth a table of offsets.
 */
const MIN_TILE_FILL = 0.85;

/** Average pixels per tile in a row of pixels. */
const meanTileRows = (pixels: number, { tileRows }: Engine): number => pixels / Math.ceil(pixels / tileRows);

/** A table of the offset of each pixel from the first, in bytes. */
function pixelOffsets(p: LoweringContext, { n, h, w, imageStride, rowStride, pixelStride }: Pixels): Pointer {
  const shape = [n, h, w, imageStride, rowStride, pixelStride];
  return p.internConstant(`offsets ${shape.join()}`, n * h * w, (target) => {
    const offsets = new Int32Array(target.buffer, target.byteOffset, target.length);
    for (let i = 0; i < offsets.length; i++)
      offsets[i] =
        Math.floor(i / (h * w)) * imageStride + (Math.floor(i / w) % h) * rowStride + (i % w) * pixelStride;
  });
}

/** Chooses the runs of pixels, and tile and panel sizes, from the layouts of the operands and the weight's size. */
function chooseTiles(engine: Engine, { columns, inner, x, y, residual }: MatmulLayer) {
  const results = residual ? [y, residual] : [y];
  const commonRuns = pixelRuns(x, ...results);
  const resultRuns = pixelRuns(...results);
  const indirect =
    resultRuns.count === 1 &&
    commonRuns.count > 1 &&
    meanTileRows(commonRuns.pixels, engine) < MIN_TILE_FILL * engine.tileRows;
  const runs = indirect ? resultRuns : commonRuns;
  const padded = paddedChannels(columns);
  const weightBytes = innerSize({ inner }) * padded * FLOAT;
  const fromMemory = weightBytes > STREAMED_WEIGHT_BYTES;
  const tall =
    fromMemory &&
    engine.wide &&
    runs.count === 1 &&
    runs.pixels > engine.tileRows &&
    runs.pixels <= TALL_TILE;
  const tiling = tilingOf(runs.pixels, tall ? TALL_TILE : engine.tileRows);
  const panel = tall ? CHANNEL_BLOCK : panelColumns(engine, tiling.tileRows, padded);
  return { runs, indirect, tall, tiling, panel, weightBytes, fromMemory };
}

/** Chooses tile and panel sizes of a product, packs its weights and generates its kernel. */
export function planMatmul(p: LoweringContext, layer: MatmulLayer): PlannedMatmul {
  const { name, inner, columns, x, y, residual, activation, bias } = layer;
  const { engine } = p;
  const { runs, indirect, tall, tiling, panel, weightBytes, fromMemory } = chooseTiles(engine, layer);
  const padded = paddedChannels(columns);
  const size = innerSize({ inner });
  const tiles = tiling.large + tiling.small;
  const weightBound = weightBytes > layer.inputBytes;
  // Rows of an image have a constant stride: one call can compute all of them.
  const rowsPerCall = runs.count === y.n ? 1 : y.h;
  // Weight-bound products are divided by panels, so only one thread prefetches each panel.
  const prefetchLines =
    fromMemory && weightBound && layer.constant && !tall
      ? prefetchLinesPerIteration(engine, { inner, panel }, runs.count === 1 ? tiles : tiles * rowsPerCall)
      : 0;
  const product: MatmulShape = {
    inner,
    tileRows: tiling.tileRows,
    panel,
    narrowPanel: padded % panel,
    pixel: { a: x.pixelStride, c: y.pixelStride, residual: residual?.pixelStride ?? 0 },
    row: { a: x.rowStride, c: y.rowStride, residual: residual?.rowStride ?? 0 },
    bias: bias !== undefined,
    residual: residual !== undefined,
    activation,
    indirect,
    preload: prefetchLines === 0 && fromMemory && (tall || tiles * runs.count > 1),
    prefetchLines,
  };
  const offsets = indirect ? pixelOffsets(p, x) : undefined;
  const weights = layer.weights(panel);
  const prefetchArguments = prefetchLines > 0 ? planPrefetch(p, weights, weightBytes) : undefined;
  const multiply = p.kernel(matmulKernel, product);
  const full = Math.floor(padded / panel);

  const call = (run: number, rows: number, [tile, endTile]: Range, [first, end]: Range): Call => {
    const { tileRows, large } = tiling;
    const pixel = Math.min(tile, large) * tileRows + Math.max(0, tile - large) * (tileRows - 1);
    const largeTiles = Math.max(0, Math.min(endTile, large) - tile);
    const column = first * panel * FLOAT;
    const endColumn = Math.min(end * panel, padded) * FLOAT;
    return multiply({
      a: indirect ? x.at : runs.at(x, run, pixel),
      b: weights.plus(column * size),
      c: runs.at(y, run, pixel).plus(column),
      bias: bias?.plus(column),
      residual: residual && runs.at(residual, run, pixel).plus(column),
      rows,
      large: largeTiles,
      small: endTile - tile - largeTiles,
      panels: Math.min(end, full) - first,
      narrow: end > full ? 1 : 0,
      offsets: offsets?.plus(pixel * FLOAT),
      ...prefetchArguments?.(column * size, endColumn * size),
    });
  };
  const algorithm = `${name} ${tiling.tileRows}x${panel}`;
  const panels = Math.ceil(padded / panel);
  const seconds = matmulSeconds(engine, {
    pixels: y.n * y.h * y.w,
    inner: size,
    columns,
    prefetched: prefetchLines > 0,
  });
  if (runs.count === 1)
    return {
      algorithm,
      units: tiles,
      block: weightBound ? tiles : Math.max(1, Math.floor(A_BLOCK_BYTES / (size * FLOAT * tiling.tileRows))),
      panels,
      weightBound,
      seconds,
      calls: (range, panelRange) => [call(0, 1, range, panelRange)],
    };
  return {
    algorithm,
    units: runs.count,
    block: fromMemory ? rowsPerCall : 1,
    panels,
    weightBound,
    seconds,
    calls: (range, panelRange) =>
      splitByUnit(range, rowsPerCall).map(({ before, count }) =>
        call(range[0] + before, count, [0, tiles], panelRange),
      ),
  };
}

/** Divides a range into blocks of at most `size`. */
function* blocks([from, to]: Range, size: number): Generator<Range> {
  for (let start = from; start < to; start += size) yield [start, Math.min(to, start + size)];
}

/**
 * Adds the phase of a product, or of several products with the same pixels and different columns. Threads share the
 * panels if the weights are most of the memory traffic, so that each core reads only a part of them; else the
 * pixels.
 */
export function matmulPhase(p: LoweringContext, ...layers: readonly MatmulLayer[]): void {
  const planned = layers.map((layer) => planMatmul(p, layer));
  const [{ algorithm, units, block, panels, weightBound }] = planned as [PlannedMatmul];
  const overlapping = layers.some(({ overlaps }) => overlaps);
  // Layers that overlap must run on the same thread, in order.
  const byPanels = !overlapping && panels >= p.threads && (weightBound || units < 2 * p.threads);
  p.addExpectedSeconds(planned.reduce((sum, { seconds }) => sum + seconds, 0));
  p.addPhase(algorithm, (thread) => {
    const panelRange: Range = byPanels ? shareOf(panels, thread, p.threads) : [0, panels];
    const unitRange: Range = byPanels ? [0, units] : shareOf(units, thread, p.threads);
    if (panelRange[0] === panelRange[1]) return [];
    return [...blocks(unitRange, block)].flatMap((range) =>
      planned.flatMap(({ calls }) => calls(range, panelRange)),
    );
  });
}
