/**
 * Transforms the weights of a Winograd convolution in every run: where they change from step to step, as in
 * training. They come packed as for a direct convolution, [tap][input channel][output channel] in panels, so
 * that each value is the work of one lane.
 */
import { type FunctionBuilder, f32x4, type Local, type V128, v128 } from '../../emit/index.js';
import { defineKernel, VECTOR } from '../kernel.js';
import { PAIR, times, winograd } from '../winograd.js';

type Vector = Local<'v128'>;

/** Everything that is fixed when the kernel is generated, in bytes. */
export interface WinogradWeights {
  readonly outputs: 2 | 4;
  /** From one tap to the next, and from one product's weights to the next product's. */
  readonly tap: number;
  readonly product: number;
}

/** One direction: the rows of the method's matrix times (a, b, c), with what they share computed once. */
function transform(
  f: FunctionBuilder,
  outputs: 2 | 4,
  [a, b, c]: readonly [V128, V128, V128],
  [even, odd, outerEven, outerOdd]: readonly [Vector, Vector, Vector, Vector],
): readonly V128[] {
  if (outputs === 2) {
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

/** Parameters: addresses of the first tap's weights and of the first product's; pairs of vectors. */
export const winogradWeights = ({ outputs, tap, product }: WinogradWeights): FunctionBuilder =>
  defineKernel(['from', 'to', 'pairs'], (f, p) => {
    const size = winograd[outputs].inputs;
    const loaded = PAIR.map((v) => f.vectors(`loaded ${v}`, 3));
    const half = PAIR.map((v) => f.vectors(`half ${v}`, size * 3));
    const shared = PAIR.map(
      (v) => f.vectors(`shared ${v}`, 4) as unknown as readonly [Vector, Vector, Vector, Vector],
    );
    const three = (list: readonly Vector[], at: number) =>
      list.slice(at, at + 3) as unknown as readonly [Vector, Vector, Vector];
    f.repeat(p.pairs, () => {
      for (let column = 0; column < 3; column++) {
        for (let row = 0; row < 3; row++)
          for (const v of PAIR)
            f.set(loaded[v]![row]!, v128.load(p.from, (row * 3 + column) * tap + v * VECTOR));
        const results = PAIR.map((v) => transform(f, outputs, three(loaded[v]!, 0), shared[v]!));
        for (let i = 0; i < size; i++)
          for (const v of PAIR) f.set(half[v]![i * 3 + column]!, results[v]![i]!);
      }
      for (let i = 0; i < size; i++) {
        const results = PAIR.map((v) => transform(f, outputs, three(half[v]!, i * 3), shared[v]!));
        for (let j = 0; j < size; j++)
          for (const v of PAIR) f.store(p.to, results[v]![j]!, (i * size + j) * product + v * VECTOR);
      }
      for (const address of [p.from, p.to]) f.advance(address, 2 * VECTOR);
    });
  });
