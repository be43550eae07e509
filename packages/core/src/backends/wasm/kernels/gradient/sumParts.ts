/** Adds up the parts of a weight's gradient and brings it from the order it was computed in to the host's. */
import { type FunctionBuilder, type f32, f32x4, type V128, v128 } from '../../emit/index.js';
import { defineKernel, FLOAT, LANES, VECTOR } from '../kernel.js';

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
 * Parameters: addresses of the first channel on both sides, channels. The taps of a channel are neighbours
 * in the result, so they are written one after the other while their cache lines are at hand.
 */
export const sumParts = ({ parts, partBytes, taps, columns, from, to }: SumParts): FunctionBuilder =>
  defineKernel(['from', 'to', 'channels'], (f, p) => {
    const [tapFrom, tapTo] = [f.pointer('tap from'), f.pointer('tap to')];
    const [source, target] = [f.pointer('source'), f.pointer('target')];
    const part = f.pointer('part');
    const [sum] = f.vectors('sum', 1);
    const vector = (lanes: number): void => {
      f.set(sum!, v128.load(source));
      if (parts > 1) {
        f.set(part, source);
        f.repeat(parts - 1, () => {
          f.advance(part, partBytes);
          f.set(sum!, f32x4.add(sum!, v128.load(part)));
        });
      }
      if (to.column === FLOAT && lanes === LANES) f.store(target, sum as V128);
      else
        for (let lane = 0; lane < lanes; lane++)
          f.storeF32(target, f32x4.lane(sum!, lane) as ReturnType<typeof f32.load>, lane * to.column);
    };
    f.repeat(p.channels, () => {
      f.set(tapFrom, p.from);
      f.set(tapTo, p.to);
      f.repeat(taps, () => {
        f.set(source, tapFrom);
        f.set(target, tapTo);
        f.repeat(Math.floor(columns / LANES), () => {
          vector(LANES);
          f.advance(source, VECTOR);
          f.advance(target, LANES * to.column);
        });
        if (columns % LANES > 0) vector(columns % LANES);
        f.advance(tapFrom, from.tap);
        f.advance(tapTo, to.tap);
      });
      f.advance(p.from, from.channel);
      f.advance(p.to, to.channel);
    });
  });
