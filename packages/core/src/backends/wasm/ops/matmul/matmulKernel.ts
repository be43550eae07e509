/**
 * The matrix multiplication (GEMM) kernel, which computes most layers: C = activation(A B + bias + residual).
 *
 * A row of A holds the K inputs of one output pixel, a row of C its N output channels; B are the weights, K x N. B
 * is packed into panels of NR columns (`panel`), as [panel][k][column], so that the K loop reads it in address
 * order. For each panel the kernel visits all pixels in tiles of MR pixels (`tileRows`). The micro-kernel computes
 * one MR x NR tile of C: its accumulators start with the bias and stay in registers for the whole K loop. Each step
 * k loads NR values of B as vectors, broadcasts one value of A per pixel and multiplies and adds; residual and
 * activation are applied before the only store.
 *
 * A is not packed. The K loop is a nest of strided loops over the input where it is stored, so the same kernel is a
 * 1x1 convolution, a direct k x k convolution (K runs over the rows of the window), a first layer on an NCHW image,
 * a fully connected layer and the products of Winograd's method. Weights that do not fit the caches are prefetched
 * by stores, a panel ahead of their use (`prefetchKernel.ts`), or preloaded by plain loads.
 */
import type { Activation } from '../../../../ops/activation.js';
import type { Engine } from '../../codegen/engine.js';
import {
  type F32x8,
  type FunctionBuilder,
  f32x4,
  f32x8,
  i32,
  type Local,
  v128,
} from '../../codegen/index.js';
import { CACHE_LINE, defineKernel, FLOAT, LANES, type Variant } from '../../codegen/kernel.js';
import { applyActivation } from '../pointwise/activationKernel.js';
import { prefetcher } from './prefetchKernel.js';

/** A loop of K around the innermost one: each iteration advances the address in A by `stride` bytes. */
export interface InnerLoop {
  readonly count: number;
  readonly stride: number;
}

/** Shape of a product, for which a kernel is generated. Strides are in bytes. */
export interface MatmulShape {
  /**
   * The K dimension: loops, outermost first, around an innermost loop over `run` values. Those are `step` bytes
   * apart in A, by default contiguous.
   */
  readonly inner: { readonly loops: readonly InnerLoop[]; readonly run: number; readonly step?: number };
  /** MR: pixels in a large tile; small tiles have one pixel less. */
  readonly tileRows: number;
  /** NR: columns in a panel of B, and in the last panel if that is narrower, else 0. Multiples of 8. */
  readonly panel: number;
  readonly narrowPanel: number;
  /** Pixel strides of A, C and the residual. */
  readonly pixel: { readonly a: number; readonly c: number; readonly residual: number };
  /** Row strides of A, C and the residual. */
  readonly row: { readonly a: number; readonly c: number; readonly residual: number };
  readonly bias: boolean;
  readonly residual: boolean;
  readonly activation?: Activation;
  /**
   * True if pixels of A are found through a table of offsets, as by the indirection buffer of XNNPACK's IGEMM. All
   * pixels are then one row. Rows of 7 or 14 pixels alone would give tiles of 4 or 5 pixels; with the table all
   * tiles are full.
   */
  readonly indirect?: boolean;
  /** True if each panel of B, which streams from memory, is preloaded before its first tile: see `preloadPanel`. */
  readonly preload?: boolean;
  /**
   * Cache lines of the next panel that each iteration of the innermost loop prefetches: see `prefetcher`. 0: none.
   */
  readonly prefetchLines?: number;
}

/** K: the size of the inner dimension. */
export const innerSize = ({ inner: { loops, run } }: Pick<MatmulShape, 'inner'>): number =>
  loops.reduce((size, { count }) => size * count, run);

/**
 * Steps of K per iteration of the innermost loop. A short run, such as that of a first layer, is unrolled
 * completely.
 */
const stepsPerIteration = ({ unroll }: Engine, run: number): number =>
  unroll > 1 && run <= 3 * unroll ? run : unroll;

/** K, and the number of iterations of the innermost loop for one tile. */
export function iterationsOf(engine: Engine, product: Pick<MatmulShape, 'inner'>) {
  const { run } = product.inner;
  const size = innerSize(product);
  return { size, iterations: (size / run) * Math.floor(run / stepsPerIteration(engine, run)) };
}

/** Tiles of a row of pixels: as few as possible, of sizes that differ by at most one. */
export interface Tiling {
  readonly tileRows: number;
  /** Number of tiles of `tileRows` pixels, which come first, and of tiles of one pixel less. */
  readonly large: number;
  readonly small: number;
}

/**
 * Divides a row of pixels into tiles of at most `largest` pixels. Every number of pixels gives nearly equal tiles.
 */
export function tilingOf(pixels: number, largest: number): Tiling {
  const tiles = Math.ceil(pixels / largest);
  const tileRows = Math.ceil(pixels / tiles);
  const large = pixels - (tileRows - 1) * tiles;
  return { tileRows, large, small: tiles - large };
}

/**
 * Columns of a panel (NR) for tiles of `rows` pixels. The accumulators of a tile fill the registers, so fewer rows
 * allow more columns. A single row (a matrix-vector product) needs them: its sums must be enough to hide the
 * latency of multiply-adds.
 */
export function panelColumns({ tileColumns, wide }: Engine, rows: number, columns: number): number {
  const widest = rows === 1 ? 4 : rows === 2 ? 2 : 1;
  return Math.min(tileColumns * widest, Math.max(wide ? 16 : 8, Math.ceil(columns / 8) * 8));
}

/**
 * Computes C = activation(A B + bias + residual). The loop over panels is outermost, so that a panel stays in the
 * L1 cache for all pixels.
 */
export const matmulKernel = defineKernel({
  name: 'matmul',
  parameters: {
    /** Address of the first pixel of A; if A is indirect, the base of the offsets. */
    a: 'address',
    /** Address of the first panel of B. */
    b: 'address',
    /** Address of the first pixel of C, at the first panel's first column. */
    c: 'address',
    /** Address of the bias of the first panel's first column. */
    bias: 'address?',
    /** Address of the first pixel of the residual, at the first panel's first column. */
    residual: 'address?',
    /** Number of rows of pixels. */
    rows: 'integer',
    /** Number of tiles of `tileRows` pixels in a row. */
    large: 'integer',
    /** Number of tiles of one pixel less, which follow. */
    small: 'integer',
    /** Number of full panels. */
    panels: 'integer',
    /** 1 if the narrow panel follows. */
    narrow: 'integer?',
    /** Address of the first pixel's entry in the table of offsets in A, in bytes, if A is indirect. */
    offsets: 'address?',
    /** Address of the last cache line of B that may be prefetched: see `prefetcher`. */
    lastLine: 'address?',
    /** Address of the table of the first byte of each cache line of B, from the first panel on. */
    firstBytes: 'address?',
  },
  build(f, p, { engine, shape: product }: Variant<MatmulShape>) {
    const { tileRows, row, panel, narrowPanel, indirect, preload, prefetchLines = 0 } = product;
    const pixel = { ...product.pixel, a: indirect ? FLOAT : product.pixel.a };
    const start = { a: indirect ? p.offsets : p.a, c: p.c, residual: p.residual };
    const rowStart = { a: f.pointer(), c: f.pointer(), residual: f.pointer() };
    const at = { a: f.pointer(), c: f.pointer(), residual: f.pointer() };
    const operands = product.residual ? (['a', 'c', 'residual'] as const) : (['a', 'c'] as const);

    const prefetch = prefetchLines > 0 ? prefetcher(f, p.b, p.lastLine, p.firstBytes) : undefined;
    const onIteration = (): void => prefetch?.prefetch(prefetchLines);
    const tiles = (count: Local<'i32'>, rows: number, columns: number): void => {
      if (rows === 0) return;
      f.repeat(count, () => {
        microKernel(f, engine, product, { rows, columns, at, base: p.a, b: p.b, bias: p.bias, onIteration });
        for (const operand of operands) f.advance(at[operand], rows * pixel[operand]);
      });
    };
    const allPixels = (columns: number): void => {
      const bytes = innerSize(product) * columns * FLOAT;
      if (preload) preloadPanel(f, p.b, bytes);
      prefetch?.beginPanel(p.b, bytes);
      for (const operand of operands) f.set(rowStart[operand], start[operand]);
      f.repeat(p.rows, () => {
        for (const operand of operands) f.set(at[operand], rowStart[operand]);
        tiles(p.large, tileRows, columns);
        tiles(p.small, tileRows - 1, columns);
        for (const operand of operands) f.advance(rowStart[operand], row[operand]);
      });
    };
    f.repeat(p.panels, () => {
      allPixels(panel);
      f.advance(p.b, innerSize(product) * panel * FLOAT);
      for (const operand of [p.c, p.bias, p.residual]) f.advance(operand, panel * FLOAT);
    });
    if (narrowPanel > 0) f.repeat(p.narrow, () => allPixels(narrowPanel));
  },
});

/**
 * Loads one value of each cache line of a panel, before its first tile. Multiply-adds that wait for their weights
 * fill the CPU's queues, so that only 8 cache lines are in flight at a time; bare loads wait for nothing. This made
 * layers of 7x7 pixels 8 to 10 % faster.
 */
function preloadPanel(f: FunctionBuilder, panel: Local<'i32'>, bytes: number): void {
  const unroll = 16;
  const at = f.pointer('preload');
  f.set(at, panel);
  f.repeat(Math.floor(bytes / (unroll * CACHE_LINE)), () => {
    for (let line = 0; line < unroll; line++) f.drop(i32.load(at, line * CACHE_LINE));
    f.advance(at, unroll * CACHE_LINE);
  });
}

/** A tile of C: its size, its addresses, and what they share with other tiles. */
interface Tile {
  readonly rows: number;
  readonly columns: number;
  readonly at: { readonly a: Local<'i32'>; readonly c: Local<'i32'>; readonly residual: Local<'i32'> };
  /** Base of the offsets, if A is indirect. */
  readonly base: Local<'i32'>;
  readonly b: Local<'i32'>;
  readonly bias: Local<'i32'>;
  /** Emits what each iteration of the innermost loop does besides multiplying: prefetching. */
  readonly onIteration: () => void;
}

/** Computes one tile of C, whose accumulators stay in registers for the whole K loop. */
function microKernel(
  f: FunctionBuilder,
  engine: Engine,
  { inner, pixel, bias, residual, activation, indirect }: MatmulShape,
  { rows, columns, at, base, b: panel, bias: biasAt, onIteration }: Tile,
): void {
  const vectors = columns / LANES;
  const load = (address: Local<'i32'>, offset = 0): F32x8 => f32x8.load(address, offset, vectors);
  // One value per row of the tile, of all of its columns.
  const accumulators = f.valuePool('accumulator', rows, vectors);
  for (const sum of accumulators) f.set(sum, bias ? load(biasAt) : f32x4.const(0));

  const aStep = inner.step ?? FLOAT;
  // One address variable per pixel: V8 adds the offset of a splat load in a separate instruction, which takes an issue
  // slot from a multiply-add. This way all pixels use the same small offsets: 121 to 130 GFLOP/s of a core's 131.
  const a = Array.from({ length: rows }, (_, i) => f.pointer(`tile a ${i}`));
  const b = f.pointer('tile b');
  for (const [i, address] of a.entries())
    f.set(address, indirect ? i32.add(base, i32.load(at.a, i * FLOAT)) : i32.add(at.a, i * pixel.a));
  const advanceA = (bytes: number): void => {
    for (const address of a) f.advance(address, bytes);
  };
  f.set(b, panel);
  // A single row reads each value of B once, so it needs no registers for them.
  const bRow = f.pool('b', rows === 1 ? 0 : vectors);
  const [aValue] = f.pool('a', 1);
  /** Multiplies and adds for one index of K. */
  const step = (k: number): void => {
    const loaded = load(b, k * columns * FLOAT);
    f.set(bRow, loaded);
    for (const [i, sum] of accumulators.entries()) {
      f.set(aValue, v128.loadSplat(a[i]!, k * aStep));
      f.set(sum, f32x8.multiplyAdd(engine, aValue, rows === 1 ? loaded : bRow, sum));
    }
  };
  const steps = (count: number): void => {
    for (let k = 0; k < count; k++) step(k);
    advanceA(count * aStep);
    f.advance(b, count * columns * FLOAT);
  };
  const unrolled = stepsPerIteration(engine, inner.run);
  /** Emits the loops of K from `depth` inwards. Returns by how many bytes they advance the addresses in A. */
  const nest = (depth: number): number => {
    const loop = inner.loops[depth];
    if (!loop) {
      f.repeat(Math.floor(inner.run / unrolled), () => {
        onIteration();
        steps(unrolled);
      });
      steps(inner.run % unrolled);
      return inner.run * aStep;
    }
    f.repeat(loop.count, () => advanceA(loop.stride - nest(depth + 1)));
    return loop.count * loop.stride;
  };
  nest(0);

  if (residual)
    for (const [i, sum] of accumulators.entries())
      f.set(sum, f32x8.add(sum, load(at.residual, i * pixel.residual)));
  applyActivation(f, engine, activation, accumulators.flat());
  for (const [i, sum] of accumulators.entries()) f.store(at.c, sum, i * pixel.c);
}
