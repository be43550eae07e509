/** The last step of a weight's gradient by Winograd's method: products become 3x3 windows in the host's order. */
import { f32x4, type Local, v128 } from '../../../codegen/index.js';
import { defineKernel, FLOAT, LANES, type Variant, VECTOR } from '../../../codegen/kernel.js';
import { fourOf, transpose } from '../../../codegen/transpose.js';
import { PAIR, type Winograd, type WinogradMethod, winograd } from './transforms.js';
import { gradientTransforms } from './weightGradientTransforms.js';

/** Everything that is fixed when the kernel is generated. Distances are in bytes. */
export interface WinogradGradient {
  readonly method: WinogradMethod;
  /** Sums of different tiles, which are added up first, and from one to the next. */
  readonly parts: number;
  readonly partBytes: number;
  /** From one product to the next, and from one input channel to the next. */
  readonly product: number;
  readonly row: number;
  /** Output channels, up to eight. */
  readonly lanes: number;
  /** From one output channel to the next in the result. */
  readonly column: number;
}

/** Taps of a window. */
const TAPS = 9;

/**
 * Makes windows of up to eight output channels. Input channels are walked while the output channels stay, so that
 * each of the eight is written from front to back.
 */
export const winogradGradient = defineKernel({
  name: 'winograd gradient',
  parameters: {
    /** Address of the first product's sums at the first input channel. */
    from: 'address',
    /** Address of the first output channel's window at the first input channel. */
    to: 'address',
    /** Number of input channels. */
    channels: 'integer',
  },
  build(f, p, { engine, shape }: Variant<WinogradGradient>) {
    const { parts, partBytes, product, row, lanes, column } = shape;
    const method: Winograd = winograd[shape.method];
    const size = method.products;
    const { weightGradient } = gradientTransforms[shape.method]!;
    const part = f.pointer('part');
    const loaded = PAIR.map((v) => f.vectors(`loaded ${v}`, size));
    const temporary = PAIR.map((v) => f.vectors(`temporary ${v}`, 4));
    const half = PAIR.map((v) => f.vectors(`half ${v}`, 3 * size));
    const taps = PAIR.map((v) => f.vectors(`tap ${v}`, TAPS));
    const load = (to: readonly Local<'v128'>[], offset: number): void => {
      for (const v of PAIR) f.set(to[v]!, v128.load(p.from, offset + v * VECTOR));
      if (parts === 1) return;
      f.set(part, p.from);
      f.repeat(parts - 1, () => {
        f.advance(part, partBytes);
        for (const v of PAIR) f.set(to[v]!, f32x4.add(to[v]!, v128.load(part, offset + v * VECTOR)));
      });
    };
    f.repeat(p.channels, () => {
      for (let j = 0; j < size; j++) {
        for (let i = 0; i < size; i++)
          load(
            PAIR.map((v) => loaded[v]![i]!),
            (i * size + j) * product,
          );
        const results = PAIR.map((v) => weightGradient(f, engine, loaded[v]!, temporary[v]!));
        for (let i = 0; i < 3; i++) for (const v of PAIR) f.set(half[v]![i * size + j]!, results[v]![i]!);
      }
      for (let i = 0; i < 3; i++) {
        const results = PAIR.map((v) =>
          weightGradient(f, engine, half[v]!.slice(i * size, (i + 1) * size), temporary[v]!),
        );
        for (let j = 0; j < 3; j++) for (const v of PAIR) f.set(taps[v]![i * 3 + j]!, results[v]![j]!);
      }
      for (const v of PAIR) {
        const those = taps[v]!;
        const here = Math.min(LANES, lanes - v * LANES);
        const at = (lane: number): number => (v * LANES + lane) * column;
        for (const first of [0, LANES]) {
          const rows = fourOf((tap) => those[first + tap]!);
          const columns = transpose(f, rows, temporary[v]!);
          for (let lane = 0; lane < here; lane++) f.store(p.to, columns[lane]!, at(lane) + first * FLOAT);
        }
        for (let lane = 0; lane < here; lane++)
          f.storeF32(p.to, f32x4.lane(those[TAPS - 1]!, lane), at(lane) + (TAPS - 1) * FLOAT);
      }
      f.advance(p.from, row);
      f.advance(p.to, TAPS * FLOAT);
    });
  },
});
