/**
 * Transforms the weights of a Winograd convolution in every run: where they change from step to step, as in
 * training. They are read as the host has them, the taps of a window next to each other, and turned round on the
 * way, so that each value is the work of one lane.
 */
import { type FunctionBuilder, f32x4, type Local, type V128, v128 } from '../../../codegen/index.js';
import { CHANNEL_BLOCK, defineKernel, FLOAT, LANES, type Variant, VECTOR } from '../../../codegen/kernel.js';
import { fourOf, transpose } from '../../../codegen/transpose.js';
import { PAIR, times, type WinogradMethod, winograd } from './transforms.js';

type Vector = Local<'v128'>;

/** Taps of a window. */
const TAPS = 9;

/** Everything that is fixed when the kernel is generated, in bytes. */
export interface WinogradWeights {
  readonly method: WinogradMethod;
  /** Columns of the panel, and how many of them there are. */
  readonly width: number;
  readonly columns: number;
  /** From one column's window to the next, and from one inner channel's. */
  readonly column: number;
  readonly channel: number;
  /** Whether windows are read backwards. */
  readonly rotated: boolean;
  /** From one product's weights to the next product's. */
  readonly product: number;
}

/** One direction: the rows of the method's matrix times (a, b, c), with what they share computed once. */
function transform(
  f: FunctionBuilder,
  method: WinogradMethod,
  [a, b, c]: readonly [V128, V128, V128],
  [even, odd, outerEven, outerOdd]: readonly [Vector, Vector, Vector, Vector],
): readonly V128[] {
  if (method === 'strided' || method === 'spread') return [a, f32x4.add(a, c), c, b, b];
  if (method === 2) {
    f.set(even, times(f32x4.add(a, c), 1 / 2));
    f.set(odd, times(b, 1 / 2));
    return [a, f32x4.add(even, odd), f32x4.sub(even, odd), c];
  }
  f.set(even, times(f32x4.add(a, c), -1 / 6));
  f.set(odd, times(b, 1 / 6));
  f.set(outerEven, f32x4.add(times(a, 1 / 24), times(c, 1 / 6)));
  f.set(outerOdd, times(b, 1 / 12));
  return [
    times(a, 1 / 4),
    f32x4.sub(even, odd),
    f32x4.add(even, odd),
    f32x4.add(outerEven, outerOdd),
    f32x4.sub(outerEven, outerOdd),
    c,
  ];
}

/** Transforms the windows of a panel. */
export const winogradWeights = defineKernel({
  name: 'winograd weights',
  parameters: {
    /** Address of the first window. */
    from: 'address',
    /** Address of the first product's weights. */
    to: 'address',
    /** Number of inner channels. */
    channels: 'integer',
  },
  build(f, p, { shape }: Variant<WinogradWeights>) {
    const { method, width, columns, column, channel, rotated, product } = shape;
    const size = winograd[method].products;
    const taps = PAIR.map((v) => f.vectors(`tap ${v}`, TAPS));
    const half = PAIR.map((v) => f.vectors(`half ${v}`, size * 3));
    const shared = PAIR.map((v) => f.vectors(`shared ${v}`, 4));
    const three = (list: readonly Vector[], at: (index: number) => number) =>
      [list[at(0)]!, list[at(1)]!, list[at(2)]!] as const;
    /** The windows of four columns: a vector for each tap. */
    const loadTaps = (
      first: number,
      to: readonly Vector[],
      temporary: readonly [Vector, Vector, Vector, Vector],
    ): void => {
      // Columns that are missing only reach padding, so another one may stand for them.
      const rows = (tap: number) =>
        fourOf((lane) => v128.load(p.from, Math.min(first + lane, columns - 1) * column + tap * FLOAT));
      const set = (tap: number, value: V128): void => f.set(to[rotated ? TAPS - 1 - tap : tap]!, value);
      for (const tap of [0, LANES])
        for (const [i, value] of transpose(f, rows(tap), temporary).entries()) set(tap + i, value);
      set(TAPS - 1, transpose(f, rows(TAPS - LANES), temporary)[LANES - 1]!);
    };
    f.repeat(p.channels, () => {
      for (let group = 0; group < width; group += CHANNEL_BLOCK) {
        for (const v of PAIR) loadTaps(group + v * LANES, taps[v]!, shared[v]!);
        for (let j = 0; j < 3; j++) {
          const results = PAIR.map((v) =>
            transform(
              f,
              method,
              three(taps[v]!, (i) => i * 3 + j),
              shared[v]!,
            ),
          );
          for (let i = 0; i < size; i++) for (const v of PAIR) f.set(half[v]![i * 3 + j]!, results[v]![i]!);
        }
        for (let i = 0; i < size; i++) {
          const results = PAIR.map((v) =>
            transform(
              f,
              method,
              three(half[v]!, (j) => i * 3 + j),
              shared[v]!,
            ),
          );
          for (let j = 0; j < size; j++)
            for (const v of PAIR)
              f.store(p.to, results[v]![j]!, (i * size + j) * product + group * FLOAT + v * VECTOR);
        }
      }
      f.advance(p.from, channel);
      f.advance(p.to, width * FLOAT);
    });
  },
});
