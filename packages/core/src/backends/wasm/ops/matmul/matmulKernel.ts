/**
 * The matrix product at the heart of most layers: C = activation(A B + bias + residual), where a row of A
 * is the input under one output pixel and B the packed weights. A is read where it lies, so the same
 * kernel is a 1x1 convolution, a direct k x k convolution (the inner dimension walks over the window's
 * rows), a stem on a planar picture, a fully connected layer and the products of Winograd's method.
 */
import type { Activation } from '../../../../ops/activation.js';
import type { Engine } from '../../codegen/engine.js';
import { type FunctionBuilder, f32x4, i32, type Local, v128 } from '../../codegen/index.js';
import {
  CACHE_LINE,
  defineKernel,
  FLOAT,
  LANES,
  multiplyAdd,
  type Variant,
  VECTOR,
} from '../../codegen/kernel.js';
import { applyActivation } from '../pointwise/activationKernel.js';
import { prefetcher } from './prefetchKernel.js';

/** A counted loop around the innermost run: each turn moves the address in A by `stride` bytes. */
export interface InnerLoop {
  readonly count: number;
  readonly stride: number;
}

/** Everything about a product that is fixed when its kernel is generated. Strides are in bytes. */
export interface MatrixProduct {
  /** The inner dimension: loops, outermost first, around `run` values that lie `step` bytes apart in A (default: next to each other). */
  readonly inner: { readonly loops: readonly InnerLoop[]; readonly run: number; readonly step?: number };
  /** Pixels in a large tile; small tiles have one less. */
  readonly tileRows: number;
  /** Columns in a panel of B, and in the last one if that is narrower (0: it is not). Multiples of 8. */
  readonly panel: number;
  readonly narrowPanel: number;
  /** From one pixel to the next in A, C and the residual. */
  readonly pixel: { readonly a: number; readonly c: number; readonly residual: number };
  /** From one row of pixels to the next. */
  readonly row: { readonly a: number; readonly c: number; readonly residual: number };
  readonly bias: boolean;
  readonly residual: boolean;
  readonly activation?: Activation;
  /**
   * Whether each pixel of A is at a place of its own, which a table of offsets tells, and all pixels are one
   * row. Rows of 7 or 14 pixels would leave tiles of 4 rows, or of 5, where the table makes all of them full.
   */
  readonly gathered?: boolean;
  /** Whether B comes from memory, and so is read through before it is worked with, panel by panel. */
  readonly streamed?: boolean;
  /** Or how many cache lines of the next panel each turn of the innermost loop asks for: see `prefetcher`. */
  readonly ahead?: number;
}

/** Values in the inner dimension. */
export const innerSize = ({ inner: { loops, run } }: Pick<MatrixProduct, 'inner'>): number =>
  loops.reduce((size, { count }) => size * count, run);

/** The steps that a turn of the innermost loop has. A short run, as a stem has it inside loops, is unrolled whole. */
const stepsInTurn = ({ unroll }: Engine, run: number): number =>
  unroll > 1 && run <= 3 * unroll ? run : unroll;

/** Values in the inner dimension, and how many turns of the innermost loop a tile takes. */
export function turnsOf(engine: Engine, product: Pick<MatrixProduct, 'inner'>) {
  const { run } = product.inner;
  const size = innerSize(product);
  return { size, turns: (size / run) * Math.floor(run / stepsInTurn(engine, run)) };
}

/** Tiles for a row of pixels: as few as the largest tile allows, their sizes differing by one at most. */
export interface Tiling {
  readonly tileRows: number;
  /** Tiles of `tileRows` pixels, and tiles of one less behind them. */
  readonly large: number;
  readonly small: number;
}

/** Divides `pixels` into tiles of at most `largest`. Any number works, without a remainder to treat apart. */
export function tilingOf(pixels: number, largest: number): Tiling {
  const tiles = Math.ceil(pixels / largest);
  const tileRows = Math.ceil(pixels / tiles);
  const large = pixels - (tileRows - 1) * tiles;
  return { tileRows, large, small: tiles - large };
}

/**
 * How many columns a panel has. The tile's accumulators fill the registers: few rows leave room for more
 * columns, and one row alone (a matrix-vector product) needs them to hide the latency of its sums.
 */
export function panelColumns({ tileColumns, wide }: Engine, rows: number, columns: number): number {
  const widest = rows === 1 ? 4 : rows === 2 ? 2 : 1;
  return Math.min(tileColumns * widest, Math.max(wide ? 16 : 8, Math.ceil(columns / 8) * 8));
}

/**
 * C = activation(A B + bias + residual). Panels are outermost, so that a panel stays in the first-level cache while
 * all pixels pass by.
 */
export const matrixProduct = defineKernel({
  name: 'matrix product',
  parameters: {
    /** Address of A under the first pixel; where A is gathered, what the offsets are added to. */
    a: 'address',
    /** Address of the first panel of B. */
    b: 'address',
    /** Address of the first pixel of C at the first panel. */
    c: 'address',
    /** Address of the bias of the first panel's first column. */
    bias: 'address?',
    /** Address of the first pixel of the residual at the first panel. */
    residual: 'address?',
    /** Number of rows of pixels. */
    rows: 'integer',
    /** Tiles of `tileRows` pixels in a row. */
    large: 'integer',
    /** Tiles of one pixel less behind them. */
    small: 'integer',
    /** Number of full panels. */
    panels: 'integer',
    /** 1 if the narrow panel follows. */
    narrow: 'integer?',
    /** Address of the first pixel's entry in the table of offsets in A, in bytes, where A is gathered. */
    offsets: 'address?',
    /** Address of the last cache line of B that may be asked for ahead: see `prefetcher`. */
    last: 'address?',
    /** Address of the table of the first byte of each cache line of B, from the first panel on. */
    table: 'address?',
  },
  build(f, p, { engine, shape: product }: Variant<MatrixProduct>) {
    const { tileRows, row, panel, narrowPanel, gathered, streamed, ahead = 0 } = product;
    const pixel = { ...product.pixel, a: gathered ? FLOAT : product.pixel.a };
    const start = { a: gathered ? p.offsets : p.a, c: p.c, residual: p.residual };
    const rowStart = { a: f.pointer('row a'), c: f.pointer('row c'), residual: f.pointer('row residual') };
    const at = { a: f.pointer('a'), c: f.pointer('c'), residual: f.pointer('residual') };
    const operands = product.residual ? (['a', 'c', 'residual'] as const) : (['a', 'c'] as const);

    const prefetch = ahead > 0 ? prefetcher(f, p.b, p.last, p.table) : undefined;
    const turn = (): void => prefetch?.ask(ahead);
    const tiles = (count: Local<'i32'>, rows: number, columns: number): void => {
      if (rows === 0) return;
      f.repeat(count, () => {
        microKernel(f, engine, product, { rows, columns, at, base: p.a, b: p.b, bias: p.bias, turn });
        for (const operand of operands) f.advance(at[operand], rows * pixel[operand]);
      });
    };
    const allPixels = (columns: number): void => {
      const bytes = innerSize(product) * columns * FLOAT;
      if (streamed) readThrough(f, p.b, bytes);
      prefetch?.begin(p.b, bytes);
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
 * Reads a value from each cache line of a panel, before it is worked with. The products of the first tile
 * wait for their weights, and only so many can wait that 8 cache lines are under way at a time; bare loads
 * wait for nothing. Layers of 7x7 pixels became 8 to 10 % faster.
 */
function readThrough(f: FunctionBuilder, panel: Local<'i32'>, bytes: number): void {
  const unroll = 16;
  const at = f.pointer('read through');
  f.set(at, panel);
  f.repeat(Math.floor(bytes / (unroll * CACHE_LINE)), () => {
    for (let line = 0; line < unroll; line++) f.drop(i32.load(at, line * CACHE_LINE));
    f.advance(at, unroll * CACHE_LINE);
  });
}

interface Tile {
  readonly rows: number;
  readonly columns: number;
  readonly at: { readonly a: Local<'i32'>; readonly c: Local<'i32'>; readonly residual: Local<'i32'> };
  /** What offsets are added to. */
  readonly base: Local<'i32'>;
  readonly b: Local<'i32'>;
  readonly bias: Local<'i32'>;
  /** What else each turn of the innermost loop does. */
  readonly turn: () => void;
}

/** One tile of C: all of it stays in registers until the inner dimension is done. */
function microKernel(
  f: FunctionBuilder,
  engine: Engine,
  { inner, pixel, bias, residual, activation, gathered }: MatrixProduct,
  { rows, columns, at, base, b: panel, bias: biasAt, turn }: Tile,
): void {
  const vectors = columns / LANES;
  const accumulators = f.vectors('accumulator', rows * vectors);
  const each = (step: (accumulator: Local<'v128'>, row: number, vector: number) => void): void =>
    accumulators.forEach((accumulator, i) => {
      step(accumulator, Math.floor(i / vectors), i % vectors);
    });
  each((accumulator, _, j) => f.set(accumulator, bias ? v128.load(biasAt, j * VECTOR) : f32x4.const(0)));

  const aStep = inner.step ?? FLOAT;
  // An address for each pixel: V8 adds the offset of a splat load by an instruction of its own, which takes the
  // place of a multiplication. So the pixels share their offsets: 121 to 130 GFLOP/s of a core's 131.
  const a = Array.from({ length: rows }, (_, i) => f.pointer(`tile a ${i}`));
  const b = f.pointer('tile b');
  for (const [i, address] of a.entries())
    f.set(address, gathered ? i32.add(base, i32.load(at.a, i * FLOAT)) : i32.add(at.a, i * pixel.a));
  const advanceA = (bytes: number): void => {
    for (const address of a) f.advance(address, bytes);
  };
  f.set(b, panel);
  const bRow = f.vectors('b', rows === 1 ? 0 : vectors);
  const [aValue] = f.vectors('a', 1);
  /** The products of one index of the inner dimension. */
  const step = (k: number): void => {
    const load = (j: number) => v128.load(b, (k * columns + j * LANES) * FLOAT);
    for (const [j, vector] of bRow.entries()) f.set(vector, load(j));
    for (let i = 0; i < rows; i++) {
      f.set(aValue, v128.loadSplat(a[i]!, k * aStep));
      for (let j = 0; j < vectors; j++) {
        const accumulator = accumulators[i * vectors + j]!;
        f.set(accumulator, multiplyAdd(engine, aValue, bRow[j] ?? load(j), accumulator));
      }
    }
  };
  const steps = (count: number): void => {
    for (let k = 0; k < count; k++) step(k);
    advanceA(count * aStep);
    f.advance(b, count * columns * FLOAT);
  };
  const together = stepsInTurn(engine, inner.run);
  /** The loops from `depth` inwards; says by how many bytes they move the address in A. */
  const nest = (depth: number): number => {
    const loop = inner.loops[depth];
    if (!loop) {
      f.repeat(Math.floor(inner.run / together), () => {
        turn();
        steps(together);
      });
      steps(inner.run % together);
      return inner.run * aStep;
    }
    f.repeat(loop.count, () => advanceA(loop.stride - nest(depth + 1)));
    return loop.count * loop.stride;
  };
  nest(0);

  // All loads before the first store: one between the two stores of a pair made a kernel 5 to 8 times slower.
  if (residual)
    each((accumulator, i, j) =>
      f.set(accumulator, f32x4.add(accumulator, v128.load(at.residual, i * pixel.residual + j * VECTOR))),
    );
  applyActivation(f, engine, activation, accumulators);
  each((accumulator, i, j) => f.store(at.c, accumulator, i * pixel.c + j * VECTOR));
}
