/** Lays out matrix products: packs their weights in panels, and divides them among threads and cache-sized calls. */
import type { Node } from '../../../../graph/graph.js';
import type { Activation } from '../../../../ops/activation.js';
import type { Engine } from '../../codegen/engine.js';
import { CHANNEL_BLOCK, FLOAT, paddedChannels } from '../../codegen/kernel.js';
import { type Pixels, pixelRuns } from '../../memory/layout.js';
import type { Pointer } from '../../memory/region.js';
import { type Call, type Planner, shareOf } from '../../schedule/planner.js';
import { matmulSeconds } from '../conv/costModel.js';
import type { CopyLoop } from '../data/copyKernel.js';
import { type PackedPart, pack } from '../lowering.js';
import { innerSize, type MatmulShape, matmulKernel, panelColumns, tilingOf } from './matmulKernel.js';
import { LARGE_WEIGHTS, planPrefetch, prefetchLinesPerIteration } from './prefetch.js';

/** What a block of A may take of a second-level cache. */
const BLOCK_BYTES = 192 * 1024;
/**
 * Pixels of a tall tile of 8 columns. Two tiles of 16 would read weights from memory and then once more from what is
 * left of them in the cache: VGG-16's first linear layer takes 25 to 29 ms instead of 33 at batch 8.
 */
const TALL_TILE = 8;

/** Where a column stands among packed panels: its panel's offset in floats, that panel's width, its place in it. */
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

/** The order of the inner dimension in the weight, outermost first, strides in floats. */
export type InnerOrder = readonly { readonly count: number; readonly from: number }[];

/** The loops that copy `columns` columns of a panel: the inner dimension, then the columns. */
function panelLoops(order: InnerOrder, width: number, columns: number, columnStride: number): CopyLoop[] {
  let to = width;
  const loops: CopyLoop[] = [{ count: columns, from: columnStride, to: 1 }];
  for (const { count, from } of [...order].reverse()) {
    loops.unshift({ count, from, to });
    to *= count;
  }
  return loops;
}

/** Packs a weight whose columns all see the whole inner dimension. `start` is where its first value is. */
export function packPanels(
  p: Planner,
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

/** A product as a layer sees it. */
export interface MatmulLayer {
  /** How profiles call it. */
  readonly name: string;
  readonly inner: MatmulShape['inner'];
  readonly columns: number;
  /** Gives the weights in panels of this many columns. */
  readonly weights: (panel: number) => Pointer;
  /** Whether the weights never change, so that a table of them stays true. */
  readonly constant?: boolean;
  readonly bias?: Pointer;
  readonly residual?: Pixels;
  readonly activation?: Activation;
  /** What lies under the first value of each output pixel. Its extents are those of y. */
  readonly x: Pixels;
  readonly y: Pixels;
  /** Bytes of x that are read, to weigh them against the weights. */
  readonly inputBytes: number;
  /** Whether what is written to fill up the last block of columns belongs to the next of several layers. */
  readonly overlaps?: boolean;
}

/** A range, from its first up to but not including its end. */
type Range = readonly [from: number, to: number];

/** A product whose kernel and weights are there, ready to be divided. */
export interface PlannedMatmul {
  readonly algorithm: string;
  /** What pixels are divided into: tiles if all of them are one run, else rows. */
  readonly units: number;
  /** How many units a cache holds together. */
  readonly block: number;
  readonly panels: number;
  /** Whether the weights are larger than the input. */
  readonly weightBound: boolean;
  /** What the cost model expects it to take. */
  readonly seconds: number;
  /** The calls for some of the units and some of the panels. */
  readonly calls: (units: Range, panels: Range) => readonly Call[];
}

/** Tiles with fewer of the possible rows than this, as pixels in short rows leave them, are worth a table of offsets. */
const FULL_TILE = 0.85;

/** How many rows the tiles of a row of pixels have. */
const meanRows = (pixels: number, { tileRows }: Engine): number => pixels / Math.ceil(pixels / tileRows);

/** The table of how far each pixel is from the first. */
function pixelOffsets(p: Planner, { n, h, w, imageStride, rowStride, pixelStride }: Pixels): Pointer {
  const shape = [n, h, w, imageStride, rowStride, pixelStride];
  return p.internConstant(`offsets ${shape.join()}`, n * h * w, (target) => {
    const offsets = new Int32Array(target.buffer, target.byteOffset, target.length);
    for (let i = 0; i < offsets.length; i++)
      offsets[i] =
        Math.floor(i / (h * w)) * imageStride + (Math.floor(i / w) % h) * rowStride + (i % w) * pixelStride;
  });
}

/** Generates a product's kernel and packs its weights. */
export function planMatmul(p: Planner, layer: MatmulLayer): PlannedMatmul {
  const { name, inner, columns, x, y, residual, activation, bias } = layer;
  const { engine } = p;
  const results = residual ? [y, residual] : [y];
  const alike = pixelRuns(x, ...results);
  const joined = pixelRuns(...results);
  const gathered =
    joined.count === 1 && alike.count > 1 && meanRows(alike.pixels, engine) < FULL_TILE * engine.tileRows;
  const runs = gathered ? joined : alike;
  const padded = paddedChannels(columns);
  const size = innerSize({ inner });
  const weightBytes = size * padded * FLOAT;
  const fromMemory = weightBytes > LARGE_WEIGHTS;
  const tall =
    fromMemory &&
    engine.wide &&
    runs.count === 1 &&
    runs.pixels > engine.tileRows &&
    runs.pixels <= TALL_TILE;
  const tiling = tilingOf(runs.pixels, tall ? TALL_TILE : engine.tileRows);
  const panel = tall ? CHANNEL_BLOCK : panelColumns(engine, tiling.tileRows, padded);
  const tiles = tiling.large + tiling.small;
  const weightBound = weightBytes > layer.inputBytes;
  // Rows of one picture lie a constant distance apart: one call can do them all.
  const inPicture = runs.count === y.n ? 1 : y.h;
  // Heavy weights are shared out by panels: one thread alone asks for each of them.
  const ahead =
    fromMemory && weightBound && layer.constant && !tall
      ? prefetchLinesPerIteration(engine, { inner, panel }, runs.count === 1 ? tiles : tiles * inPicture)
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
    gathered,
    streamed: ahead === 0 && fromMemory && (tall || tiles * runs.count > 1),
    ahead,
  };
  const offsets = gathered ? pixelOffsets(p, x) : undefined;
  const weights = layer.weights(panel);
  const asking = ahead > 0 ? planPrefetch(p, weights, weightBytes) : undefined;
  const multiply = p.kernel(matmulKernel, product);
  const full = Math.floor(padded / panel);

  const call = (run: number, rows: number, [tile, endTile]: Range, [first, end]: Range): Call => {
    const { tileRows, large } = tiling;
    const pixel = Math.min(tile, large) * tileRows + Math.max(0, tile - large) * (tileRows - 1);
    const largeTiles = Math.max(0, Math.min(endTile, large) - tile);
    const column = first * panel * FLOAT;
    const endColumn = Math.min(end * panel, padded) * FLOAT;
    return multiply({
      a: gathered ? x.at : runs.at(x, run, pixel),
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
      ...asking?.(column * size, endColumn * size),
    });
  };
  const algorithm = `${name} ${tiling.tileRows}x${panel}`;
  const panels = Math.ceil(padded / panel);
  const seconds = matmulSeconds(engine, {
    pixels: y.n * y.h * y.w,
    inner: size,
    columns,
    prefetched: ahead > 0,
  });
  if (runs.count === 1)
    return {
      algorithm,
      units: tiles,
      block: weightBound ? tiles : Math.max(1, Math.floor(BLOCK_BYTES / (size * FLOAT * tiling.tileRows))),
      panels,
      weightBound,
      seconds,
      calls: (range, panelRange) => [call(0, 1, range, panelRange)],
    };
  return {
    algorithm,
    units: runs.count,
    block: fromMemory ? inPicture : 1,
    panels,
    weightBound,
    seconds,
    calls([from, to], panelRange) {
      const calls: Call[] = [];
      for (let run = from; run < to; ) {
        const end = Math.min(to, (Math.floor(run / inPicture) + 1) * inPicture);
        calls.push(call(run, end - run, [0, tiles], panelRange));
        run = end;
      }
      return calls;
    },
  };
}

/** The parts of a range that are at most `size` long. */
function* blocks([from, to]: Range, size: number): Generator<Range> {
  for (let start = from; start < to; start += size) yield [start, Math.min(to, start + size)];
}

/**
 * Adds the phase of a product, or of several with the same pixels and columns of their own.
 * Threads share the panels where weights are the larger part of the traffic, so that each core reads its
 * own; otherwise the pixels.
 */
export function matmulPhase(p: Planner, ...layers: readonly MatmulLayer[]): void {
  const planned = layers.map((layer) => planMatmul(p, layer));
  const [{ algorithm, units, block, panels, weightBound }] = planned as [PlannedMatmul];
  const overlap = layers.some(({ overlaps }) => overlaps);
  // Layers that overlap have to follow each other on the same thread.
  const byPanels = !overlap && panels >= p.threads && (weightBound || units < 2 * p.threads);
  p.setAlgorithm(algorithm);
  p.addExpectedSeconds(planned.reduce((sum, { seconds }) => sum + seconds, 0));
  p.addPhase((thread) => {
    const panelRange: Range = byPanels ? shareOf(panels, thread, p.threads) : [0, panels];
    const unitRange: Range = byPanels ? [0, units] : shareOf(units, thread, p.threads);
    if (panelRange[0] === panelRange[1]) return [];
    return [...blocks(unitRange, block)].flatMap((range) =>
      planned.flatMap(({ calls }) => calls(range, panelRange)),
    );
  });
}
