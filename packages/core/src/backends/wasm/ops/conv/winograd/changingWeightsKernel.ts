/**
 * Weight transform G g G^T of a Winograd convolution whose weights change, as in training: it runs in every
 * step. Windows are read in PyTorch's order, [output][input][3][3], and transposed to one output channel per
 * lane.
 */
import {
  type F32x8,
  type F32x8Local,
  type FunctionBuilder,
  f32x4,
  type Local,
  type V128,
  v128,
} from '../../../codegen/index.js';
import { CHANNEL_BLOCK, defineKernel, FLOAT, LANES, type Variant } from '../../../codegen/kernel.js';
import { fourOf, transpose } from '../../../codegen/transpose.js';
import {
  columnValues,
  HALVES,
  halvesOf,
  mulConstant,
  transformHalves,
  type WinogradMethod,
  winogradAlgorithms,
} from './transforms.js';

type Vector = Local<'v128'>;

/** Taps of a window. */
const TAPS = 9;

/** Everything that is fixed when the kernel is generated. Strides are in bytes. */
export interface WeightTransformShape {
  readonly method: WinogradMethod;
  /** Width of the panel, in columns (output channels), a multiple of eight. */
  readonly width: number;
  /** Columns of the panel that exist; the rest is padding. */
  readonly columns: number;
  /** From one column's window to the next. */
  readonly columnStride: number;
  /** From one input channel's window to the next. */
  readonly channelStride: number;
  /** True if windows are rotated by 180 degrees, as the input gradient needs them. */
  readonly rotated: boolean;
  /** From the weights of one element of the transformed tile to the next. */
  readonly elementStride: number;
}

/** Multiplies the column (a, b, c) by G, with common subexpressions computed once. */
function transform(
  f: FunctionBuilder,
  method: WinogradMethod,
  column: readonly Vector[],
  temporary: readonly Vector[],
): readonly V128[] {
  const [a, b, c] = column as [Vector, Vector, Vector];
  const [even, odd, outerEven, outerOdd] = temporary as [Vector, Vector, Vector, Vector];
  if (method === 'f2x2Stride2' || method === 'f4x4TransposedStride2') return [a, f32x4.add(a, c), c, b, b];
  if (method === 'f2x2') {
    f.set(even, mulConstant(f32x4.add(a, c), 1 / 2));
    f.set(odd, mulConstant(b, 1 / 2));
    return [a, f32x4.add(even, odd), f32x4.sub(even, odd), c];
  }
  f.set(even, mulConstant(f32x4.add(a, c), -1 / 6));
  f.set(odd, mulConstant(b, 1 / 6));
  f.set(outerEven, f32x4.add(mulConstant(a, 1 / 24), mulConstant(c, 1 / 6)));
  f.set(outerOdd, mulConstant(b, 1 / 12));
  return [
    mulConstant(a, 1 / 4),
    f32x4.sub(even, odd),
    f32x4.add(even, odd),
    f32x4.add(outerEven, outerOdd),
    f32x4.sub(outerEven, outerOdd),
    c,
  ];
}

/** Transforms the windows of a panel: writes [element of the transformed tile][input channel][column]. */
export const winogradWeights = defineKernel({
  name: 'winograd weights',
  parameters: {
    /** Address of the first window. */
    from: 'address',
    /** Address of the first element's weights. */
    to: 'address',
    /** Number of input channels. */
    channels: 'integer',
  },
  build(f, p, { shape }: Variant<WeightTransformShape>) {
    const { method, width, columns, columnStride, channelStride, rotated, elementStride } = shape;
    const size = winogradAlgorithms[method].transformedTile;
    const taps = columnValues(f, 'tap', TAPS);
    const columnsDone = columnValues(f, 'columns done', size * 3);
    const shared = columnValues(f, 'shared', 4);
    const transformColumn = (column: readonly F32x8Local[]): readonly F32x8[] =>
      transformHalves((d, t) => transform(f, method, d, t), column, shared);
    /** Loads the windows of four output channels: a vector for each tap. */
    const loadTaps = (first: number, to: readonly Vector[], temporary: readonly Vector[]): void => {
      const registers = fourOf((index) => temporary[index]!);
      // Lanes beyond the last column only reach padding channels; they repeat the last column.
      const rows = (tap: number) =>
        fourOf((lane) => v128.load(p.from, Math.min(first + lane, columns - 1) * columnStride + tap * FLOAT));
      const set = (tap: number, value: V128): void => f.set(to[rotated ? TAPS - 1 - tap : tap]!, value);
      for (const tap of [0, LANES])
        for (const [i, value] of transpose(f, rows(tap), registers).entries()) set(tap + i, value);
      set(TAPS - 1, transpose(f, rows(TAPS - LANES), registers)[LANES - 1]!);
    };
    f.repeat(p.channels, () => {
      for (let group = 0; group < width; group += CHANNEL_BLOCK) {
        for (const v of HALVES) loadTaps(group + v * LANES, halvesOf(taps, v), halvesOf(shared, v));
        for (let j = 0; j < 3; j++) {
          const column = [taps[j]!, taps[3 + j]!, taps[6 + j]!];
          for (const [i, value] of transformColumn(column).entries()) f.set(columnsDone[i * 3 + j]!, value);
        }
        for (let i = 0; i < size; i++) {
          const row = columnsDone.slice(i * 3, (i + 1) * 3);
          for (const [j, value] of transformColumn(row).entries())
            f.storeHalves(p.to, value, (i * size + j) * elementStride + group * FLOAT);
        }
      }
      f.advance(p.from, channelStride);
      f.advance(p.to, width * FLOAT);
    });
  },
});
