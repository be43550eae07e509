/**
 * Winograd's minimal filtering for 3x3 windows (Lavin & Gray, https://arxiv.org/abs/1509.09308):
 *
 *     Y = A^T [(G g G^T) * (B^T d B)] A
 *
 * where d is a tile of the input, g a 3x3 window and Y a tile of the output; A, B and G are constant
 * matrices, and `*` is the elementwise product. Summing the elementwise products over input channels is one
 * matrix product [tile][channel] x [channel][output channel] for each element of the transformed tile.
 *
 * F(m x m, 3x3) with stride 1 has transformed tiles of (m + 2) x (m + 2) elements. F(4x4) needs 4 times fewer
 * multiplications than the direct convolution (144 / 36), F(2x2) 2.25 times fewer (36 / 16). Root mean square
 * error against float64, with 64 / 512 channels: direct 3.2e-7 / 9.7e-7, F(2x2) 2.1e-7 / 4.8e-7, F(4x4)
 * 1.2e-6 / 5.6e-6.
 */

import type { Engine } from '../../../codegen/engine.js';
import {
  type Expression,
  type F32x8,
  type F32x8Local,
  type FunctionBuilder,
  f32x4,
  i32,
  type Local,
  multiplyAdd,
  type V128,
} from '../../../codegen/index.js';

type Vector = Local<'v128'>;

/** Key of {@link winogradAlgorithms}. */
export type WinogradMethod = 'f2x2' | 'f4x4' | 'f2x2Stride2' | 'f4x4TransposedStride2';

/**
 * A one-dimensional transform: multiplies a column of a tile by B^T or A^T. A two-dimensional transform
 * applies it to all columns, then to all rows.
 * @param d - the column's values. They may be overwritten.
 * @param t - four temporary registers.
 */
export type Transform = (
  f: FunctionBuilder,
  engine: Engine,
  d: readonly Vector[],
  t: readonly Vector[],
) => readonly V128[];

/** One Winograd algorithm. Tiles are square; extents are those of one side, in pixels. */
export interface WinogradAlgorithm {
  /** Algorithm label in profiles. */
  readonly name: string;
  readonly outputTile: number;
  /** Input tiles overlap if this is larger than `inputStep`. */
  readonly inputTile: number;
  /** Distance from one input tile to the next. */
  readonly inputStep: number;
  /** Side of the transformed tile: the algorithm takes `transformedTile ** 2` matrix products. */
  readonly transformedTile: number;
  /** Multiplies by B^T. */
  readonly transformInput: Transform;
  /** Multiplies by A^T. */
  readonly transformOutput: Transform;
  /** G, the matrix that transforms windows: `transformedTile` rows of three. */
  readonly weightMatrix: readonly (readonly [number, number, number])[];
}

/**
 * Computes addend + factor * x. With wide SIMD it doubles x in place, since a constant takes more
 * instructions there: the input transform takes 45 ns for a block of eight channels with doubling, 65 ns with
 * constants.
 * @param x - may be overwritten.
 * @param factor - 2, 4, 8, -2, -4 or -8.
 */
export function addScaled(f: FunctionBuilder, engine: Engine, x: Vector, factor: number, addend: V128): V128 {
  if (!engine.wide) return multiplyAdd(engine, x, f32x4.const(factor), addend);
  for (let power = 1; power < Math.abs(factor); power *= 2) f.set(x, f32x4.add(x, x));
  return factor > 0 ? f32x4.add(addend, x) : f32x4.sub(addend, x);
}

/** Multiplies all lanes by a constant. */
export const mulConstant = (x: V128, factor: number): V128 => f32x4.mul(x, f32x4.const(factor));

/** F(4x4, 3x3). */
const f4x4: WinogradAlgorithm = {
  name: 'winograd 4x4',
  outputTile: 4,
  inputTile: 6,
  inputStep: 4,
  transformedTile: 6,
  transformInput(f, engine, d, t) {
    const [d0, d1, d2, d3, d4, d5] = d as [Vector, Vector, Vector, Vector, Vector, Vector];
    const [even, odd, c, e] = t as [Vector, Vector, Vector, Vector];
    f.set(c, f32x4.sub(d4, d2));
    f.set(e, f32x4.sub(d3, d1));
    f.set(d0, f32x4.sub(d0, d2));
    f.set(d5, f32x4.sub(d5, d3));
    f.set(even, addScaled(f, engine, d2, -4, d4));
    f.set(odd, addScaled(f, engine, d1, -4, d3));
    f.set(d0, addScaled(f, engine, d0, 4, c));
    f.set(e, f32x4.add(e, e));
    const inner = [f32x4.add(even, odd), f32x4.sub(even, odd), f32x4.add(c, e), f32x4.sub(c, e)];
    for (const [index, vector] of [d1, d2, d3, d4].entries()) f.set(vector, inner[index]!);
    f.set(d5, addScaled(f, engine, e, -2, d5));
    return d;
  },
  transformOutput(f, engine, d, t) {
    const [d0, d1, d2, d3, d4, d5] = d as [Vector, Vector, Vector, Vector, Vector, Vector];
    const [sum, difference, outerSum, outerDifference] = t as [Vector, Vector, Vector, Vector];
    f.set(sum, f32x4.add(d1, d2));
    f.set(difference, f32x4.sub(d1, d2));
    f.set(outerSum, f32x4.add(d3, d4));
    f.set(outerDifference, f32x4.sub(d3, d4));
    f.set(d0, f32x4.add(d0, f32x4.add(sum, outerSum)));
    f.set(d5, f32x4.add(d5, difference));
    f.set(outerDifference, f32x4.add(outerDifference, outerDifference));
    f.set(d1, f32x4.add(difference, outerDifference));
    f.set(d2, addScaled(f, engine, outerSum, 4, sum));
    f.set(d3, addScaled(f, engine, outerDifference, 4, d5));
    return [d0, d1, d2, d3];
  },
  weightMatrix: [
    [1 / 4, 0, 0],
    [-1 / 6, -1 / 6, -1 / 6],
    [-1 / 6, 1 / 6, -1 / 6],
    [1 / 24, 1 / 12, 1 / 6],
    [1 / 24, -1 / 12, 1 / 6],
    [0, 0, 1],
  ],
};

/** F(2x2, 3x3). */
const f2x2: WinogradAlgorithm = {
  name: 'winograd 2x2',
  outputTile: 2,
  inputTile: 4,
  inputStep: 2,
  transformedTile: 4,
  transformInput(_f, _engine, d) {
    const [d0, d1, d2, d3] = d as [Vector, Vector, Vector, Vector];
    return [f32x4.sub(d0, d2), f32x4.add(d1, d2), f32x4.sub(d2, d1), f32x4.sub(d1, d3)];
  },
  transformOutput(_f, _engine, d) {
    const [d0, d1, d2, d3] = d as [Vector, Vector, Vector, Vector];
    return [f32x4.add(d0, f32x4.add(d1, d2)), f32x4.sub(d1, f32x4.add(d2, d3))];
  },
  weightMatrix: [
    [1, 0, 0],
    [1 / 2, 1 / 2, 1 / 2],
    [1 / 2, -1 / 2, 1 / 2],
    [0, 0, 1],
  ],
};

/**
 * A 3x3 convolution of stride 2, 2x2 outputs from 5x5 inputs. Along one direction, the outer taps g0 and g2
 * read the inputs d0, d2 and d4, as a window of two taps and stride 1 would: F(2, 2) takes three
 * multiplications. The middle tap g1 reads d1 and d3: two multiplications. That is 25 multiplications for 4
 * outputs, where the direct convolution takes 36. The transforms only add and subtract, so the rounding error
 * is that of the direct convolution.
 */
const f2x2Stride2: WinogradAlgorithm = {
  name: 'winograd 2x2 stride 2',
  outputTile: 2,
  inputTile: 5,
  inputStep: 4,
  transformedTile: 5,
  transformInput(_f, _engine, d) {
    const [d0, d1, d2, d3, d4] = d as [Vector, Vector, Vector, Vector, Vector];
    return [f32x4.sub(d0, d2), d2, f32x4.sub(d2, d4), d1, d3];
  },
  transformOutput(_f, _engine, d) {
    const [d0, d1, d2, d3, d4] = d as [Vector, Vector, Vector, Vector, Vector];
    return [f32x4.add(f32x4.add(d0, d1), d3), f32x4.add(f32x4.sub(d1, d2), d4)];
  },
  weightMatrix: [
    [1, 0, 0],
    [1, 0, 1],
    [0, 0, 1],
    [0, 1, 0],
    [0, 1, 0],
  ],
};

/**
 * The transposed convolution of a 3x3 convolution with stride 2 and padding 1, which is its gradient with
 * respect to the input: 4x4 values of dx from 3x3 values of dy. Windows are rotated by 180 degrees. Along one
 * direction, dx1 and dx3 come from the outer taps by F(2, 2), dx0 and dx2 from the middle tap alone: 25
 * multiplications for 16 values, where the direct convolution takes 36.
 */
const f4x4TransposedStride2: WinogradAlgorithm = {
  name: 'winograd 4x4 transposed stride 2',
  outputTile: 4,
  inputTile: 3,
  inputStep: 2,
  transformedTile: 5,
  transformInput(_f, _engine, d) {
    const [d0, d1, d2] = d as [Vector, Vector, Vector];
    return [f32x4.sub(d0, d1), d1, f32x4.sub(d1, d2), d0, d1];
  },
  transformOutput(_f, _engine, d) {
    const [d0, d1, d2, d3, d4] = d as [Vector, Vector, Vector, Vector, Vector];
    return [d3, f32x4.add(d0, d1), d4, f32x4.sub(d1, d2)];
  },
  weightMatrix: f2x2Stride2.weightMatrix,
};

/** All Winograd algorithms, by method. */
export const winogradAlgorithms: Readonly<Record<WinogradMethod, WinogradAlgorithm>> = {
  f2x2,
  f4x4,
  f2x2Stride2,
  f4x4TransposedStride2,
};

/** Number of elements of a transformed tile, each of which is a matrix product. */
export const elementCount = (method: WinogradMethod): number =>
  winogradAlgorithms[method].transformedTile ** 2;

/** Indices of the halves of a value: the channels of a block, four each. */
export const HALVES = [0, 1] as const;

/** Exchanges the two indices of a list of lists of equal length. */
const exchangeIndices = <T>(lists: readonly (readonly T[])[]): readonly (readonly T[])[] =>
  lists[0]!.map((_, index) => lists.map((list) => list[index]!));

/** Returns the first `count` values of the pool of a name, for the columns of a tile. */
export const columnValues = (f: FunctionBuilder, name: string, count: number): readonly F32x8Local[] =>
  exchangeIndices(HALVES.map((half) => f.pool(`${name} ${half}`, count)));

/** Returns one half of each value. */
export const halvesOf = (values: readonly F32x8Local[], half: number): readonly Vector[] =>
  values.map((value) => value[half]!);

/**
 * Transforms a column of values, one half after the other, so that a CPU needs registers for the intermediate results
 * of one half only.
 * @param transform - transforms the column of one half, with registers for temporaries.
 */
export const transformHalves = (
  transform: (column: readonly Vector[], temporary: readonly Vector[]) => readonly V128[],
  column: readonly F32x8Local[],
  temporary: readonly F32x8Local[],
): readonly F32x8[] =>
  exchangeIndices(HALVES.map((half) => transform(halvesOf(column, half), halvesOf(temporary, half))));

/** Registers of the two-dimensional transform of a tile. */
interface TileRegisters {
  readonly column: readonly F32x8Local[];
  readonly temporary: readonly F32x8Local[];
  /** The tile after the transform of its columns, in row-major order. */
  readonly columnsDone: readonly F32x8Local[];
}

/**
 * Returns the registers for tiles of `size` x `size` values before the transform and `results` x `results` values
 * after it. All transforms of a function share them.
 */
export const tileRegisters = (f: FunctionBuilder, size: number, results: number): TileRegisters => ({
  column: columnValues(f, 'loaded', size),
  temporary: columnValues(f, 'temporary', 4),
  columnsDone: columnValues(f, 'columns done', results * size),
});

/**
 * Transforms the columns of a tile, then the rows.
 * @param transform - the one-dimensional transform.
 * @param load - loads the value in row i and column j of the tile into registers.
 * @param use - receives the result in row i and column j.
 */
export function transformTile(
  f: FunctionBuilder,
  engine: Engine,
  transform: Transform,
  { column, temporary, columnsDone }: TileRegisters,
  load: (value: F32x8Local, i: number, j: number) => void,
  use: (value: F32x8, i: number, j: number) => void,
): void {
  const size = column.length;
  const apply = (values: readonly F32x8Local[]): readonly F32x8[] =>
    transformHalves((d, t) => transform(f, engine, d, t), values, temporary);
  for (let j = 0; j < size; j++) {
    for (const [i, value] of column.entries()) load(value, i, j);
    for (const [i, value] of apply(column).entries()) f.set(columnsDone[i * size + j]!, value);
  }
  for (let i = 0; i < columnsDone.length / size; i++)
    for (const [j, value] of apply(columnsDone.slice(i * size, (i + 1) * size)).entries()) use(value, i, j);
}

/** Multiplies an address or index by a constant. */
export const scaleIndex = (factor: number, index: Expression<'i32'>): Expression<'i32'> =>
  i32.mul(index, factor);
