/** Adds up the parts of a weight's gradient and brings it from the order it was computed in to the host's. */
import { f32x4, type V128, v128 } from '../../codegen/index.js';
import { defineKernel, FLOAT, LANES, type Variant, VECTOR } from '../../codegen/kernel.js';
import { fourOf, transpose } from '../../codegen/transpose.js';

/** Everything that is fixed when the kernel is generated. Distances are in bytes. */
export interface SumParts {
  readonly parts: number;
  readonly partBytes: number;
  /** Rows of one channel: the taps of a window. */
  readonly taps: number;
  /** Values in a row, which lie next to each other at the source. */
  readonly columns: number;
  readonly from: { readonly channel: number; readonly tap: number };
  readonly to: { readonly channel: number; readonly tap: number; readonly column: number };
}

/**
 * Adds up the parts of some channels. The taps of a channel are neighbours in the result: where columns are not,
 * four taps of four columns are turned round and written together.
 */
export const sumParts = defineKernel({
  name: 'sum parts',
  parameters: {
    /** Address of the first channel in the first part. */
    from: 'address',
    /** Address of the first channel in the result. */
    to: 'address',
    /** Number of channels. */
    channels: 'integer',
  },
  build(f, p, { shape: { parts, partBytes, taps, columns, from, to } }: Variant<SumParts>) {
    const [source, target] = [f.pointer('source'), f.pointer('target')];
    const [tapSource, tapTarget] = [f.pointer('tap source'), f.pointer('tap target')];
    const part = f.pointer('part');
    const sums = f.vectors('sum', LANES);
    const temporary = f.vectors('temporary', LANES);
    const turned = to.column !== FLOAT && to.tap === FLOAT ? Math.floor(taps / LANES) : 0;
    /** Four columns, or fewer, of a tap. */
    const load = (tap: number): V128 => {
      const sum = sums[tap]!;
      f.set(sum, v128.load(tapSource, tap * from.tap));
      if (parts === 1) return sum;
      f.set(part, tapSource);
      f.repeat(parts - 1, () => {
        f.advance(part, partBytes);
        f.set(sum, f32x4.add(sum, v128.load(part, tap * from.tap)));
      });
      return sum;
    };
    const vector = (lanes: number): void => {
      f.set(tapSource, source);
      f.set(tapTarget, target);
      f.repeat(turned, () => {
        for (const [lane, values] of transpose(f, fourOf(load), temporary).slice(0, lanes).entries())
          f.store(tapTarget, values, lane * to.column);
        f.advance(tapSource, LANES * from.tap);
        f.advance(tapTarget, LANES * to.tap);
      });
      f.repeat(taps - turned * LANES, () => {
        const sum = load(0);
        if (to.column === FLOAT && lanes === LANES) f.store(tapTarget, sum);
        else
          for (let lane = 0; lane < lanes; lane++)
            f.storeF32(tapTarget, f32x4.lane(sum, lane), lane * to.column);
        f.advance(tapSource, from.tap);
        f.advance(tapTarget, to.tap);
      });
    };
    f.repeat(p.channels, () => {
      f.set(source, p.from);
      f.set(target, p.to);
      f.repeat(Math.floor(columns / LANES), () => {
        vector(LANES);
        f.advance(source, VECTOR);
        f.advance(target, LANES * to.column);
      });
      if (columns % LANES > 0) vector(columns % LANES);
      f.advance(p.from, from.channel);
      f.advance(p.to, to.channel);
    });
  },
});
