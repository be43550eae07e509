/**
 * Winograd's minimal filtering for 3x3 windows (https://arxiv.org/abs/1509.09308): with stride 1, m x m outputs
 * come from (m + 2) x (m + 2) products, one matrix product each, after the input has been transformed and
 * before the output is. F(4x4) needs 4 times fewer multiplications than the direct way, F(2x2) 2.25 times.
 * Root mean square error against float64, 64 / 512 channels: direct 3.2e-7 / 9.7e-7, F(2x2) 2.1e-7 / 4.8e-7,
 * F(4x4) 1.2e-6 / 5.6e-6.
 */

import type { Engine } from '../../../codegen/engine.js';
import {
  type Expression,
  type FunctionBuilder,
  f32x4,
  i32,
  type Local,
  type V128,
} from '../../../codegen/index.js';
import { CACHE_LINE, FLOAT, multiplyAdd } from '../../../codegen/kernel.js';

type Vector = Local<'v128'>;

/** One of the two transforms along one direction: gives the results, and may use up the values and temporaries. */
export type Transform = (
  f: FunctionBuilder,
  engine: Engine,
  d: readonly Vector[],
  t: readonly Vector[],
) => readonly V128[];

/** An instance of the method. Extents are those of a tile in each direction. */
export interface Winograd {
  /** How profiles call it. */
  readonly name: string;
  readonly outputs: number;
  readonly inputs: number;
  /** Inputs from one tile to the next. */
  readonly step: number;
  readonly products: number;
  readonly input: Transform;
  readonly output: Transform;
  /** The weights' transform: products x 3. */
  readonly weights: readonly (readonly [number, number, number])[];
}

/**
 * plus + factor * x, for a factor that is 2, 4 or 8, or their negative. May use up x: a wide engine adds x
 * to itself, as a constant takes it more instructions (the input's transform takes 45 ns a group of
 * channels that way, 65 with constants).
 */
export function scaled(f: FunctionBuilder, engine: Engine, x: Vector, factor: number, plus: V128): V128 {
  if (!engine.wide) return multiplyAdd(engine, x, f32x4.const(factor), plus);
  for (let power = 1; power < Math.abs(factor); power *= 2) f.set(x, f32x4.add(x, x));
  return factor > 0 ? f32x4.add(plus, x) : f32x4.sub(plus, x);
}

/** x times a number. */
export const times = (x: V128, factor: number): V128 => f32x4.mul(x, f32x4.const(factor));

const four: Winograd = {
  name: 'winograd 4x4',
  outputs: 4,
  inputs: 6,
  step: 4,
  products: 6,
  input(f, engine, d, t) {
    const [d0, d1, d2, d3, d4, d5] = d as [Vector, Vector, Vector, Vector, Vector, Vector];
    const [even, odd, c, e] = t as [Vector, Vector, Vector, Vector];
    f.set(c, f32x4.sub(d4, d2));
    f.set(e, f32x4.sub(d3, d1));
    f.set(d0, f32x4.sub(d0, d2));
    f.set(d5, f32x4.sub(d5, d3));
    f.set(even, scaled(f, engine, d2, -4, d4));
    f.set(odd, scaled(f, engine, d1, -4, d3));
    f.set(d0, scaled(f, engine, d0, 4, c));
    f.set(e, f32x4.add(e, e));
    const inner = [f32x4.add(even, odd), f32x4.sub(even, odd), f32x4.add(c, e), f32x4.sub(c, e)];
    for (const [index, vector] of [d1, d2, d3, d4].entries()) f.set(vector, inner[index]!);
    f.set(d5, scaled(f, engine, e, -2, d5));
    return d;
  },
  output(f, engine, d, t) {
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
    f.set(d2, scaled(f, engine, outerSum, 4, sum));
    f.set(d3, scaled(f, engine, outerDifference, 4, d5));
    return [d0, d1, d2, d3];
  },
  weights: [
    [1 / 4, 0, 0],
    [-1 / 6, -1 / 6, -1 / 6],
    [-1 / 6, 1 / 6, -1 / 6],
    [1 / 24, 1 / 12, 1 / 6],
    [1 / 24, -1 / 12, 1 / 6],
    [0, 0, 1],
  ],
};

const two: Winograd = {
  name: 'winograd 2x2',
  outputs: 2,
  inputs: 4,
  step: 2,
  products: 4,
  input(_f, _engine, d) {
    const [d0, d1, d2, d3] = d as [Vector, Vector, Vector, Vector];
    return [f32x4.sub(d0, d2), f32x4.add(d1, d2), f32x4.sub(d2, d1), f32x4.sub(d1, d3)];
  },
  output(_f, _engine, d) {
    const [d0, d1, d2, d3] = d as [Vector, Vector, Vector, Vector];
    return [f32x4.add(d0, f32x4.add(d1, d2)), f32x4.sub(d1, f32x4.add(d2, d3))];
  },
  weights: [
    [1, 0, 0],
    [1 / 2, 1 / 2, 1 / 2],
    [1 / 2, -1 / 2, 1 / 2],
    [0, 0, 1],
  ],
};

/**
 * Stride 2: the first and the last tap of a row meet inputs of odd places, as a window of two with stride 1
 * would (three products for two outputs), the middle one those of even places. 25 products for 4 outputs instead
 * of 36, of sums and differences alone, so that it rounds as the direct way does.
 */
const strided: Winograd = {
  name: 'winograd 2x2 stride 2',
  outputs: 2,
  inputs: 5,
  step: 4,
  products: 5,
  input(_f, _engine, d) {
    const [d0, d1, d2, d3, d4] = d as [Vector, Vector, Vector, Vector, Vector];
    return [f32x4.sub(d0, d2), d2, f32x4.sub(d2, d4), d1, d3];
  },
  output(_f, _engine, d) {
    const [d0, d1, d2, d3, d4] = d as [Vector, Vector, Vector, Vector, Vector];
    return [f32x4.add(f32x4.add(d0, d1), d3), f32x4.add(f32x4.sub(d1, d2), d4)];
  },
  weights: [
    [1, 0, 0],
    [1, 0, 1],
    [0, 0, 1],
    [0, 1, 0],
    [0, 1, 0],
  ],
};

/** The same transposed: from outputs of stride 2, padded by one, to inputs. Windows are read backwards. */
const spread: Winograd = {
  name: 'winograd 4x4 spread',
  outputs: 4,
  inputs: 3,
  step: 2,
  products: 5,
  input(_f, _engine, d) {
    const [d0, d1, d2] = d as [Vector, Vector, Vector];
    return [f32x4.sub(d0, d1), d1, f32x4.sub(d1, d2), d0, d1];
  },
  output(_f, _engine, d) {
    const [d0, d1, d2, d3, d4] = d as [Vector, Vector, Vector, Vector, Vector];
    return [d3, f32x4.add(d0, d1), d4, f32x4.sub(d1, d2)];
  },
  weights: strided.weights,
};

/** F(2x2, 3x3) and F(4x4, 3x3), and what becomes of the method with stride 2. */
export const winograd = { 2: two, 4: four, strided, spread } as const;

/** One of the instances. */
export type WinogradMethod = keyof typeof winograd;

/**
 * Bytes from one product's rows to the next product's, each row being the channels of a tile. An odd number
 * of cache lines: at a multiple of 4096 bytes the rows of a tile would all fall into one set of the first
 * cache, where transforms took 1.4 to 3.6 times as long.
 */
export const productStride = (tiles: number, channels: number): number =>
  (Math.ceil((tiles * channels * FLOAT) / CACHE_LINE) | 1) * CACHE_LINE;

/** Two vectors side by side, as transforms handle them. */
export const PAIR = [0, 1] as const;

/** a * b for an address or index. */
export const product = (a: number, b: Expression<'i32'>): Expression<'i32'> => i32.mul(b, a);
