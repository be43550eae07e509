/** Adds up the partial sums of a weight's gradient and stores them in row-major order. */
import { f32x4, type V128, VECTOR, v128 } from '../../codegen/index.js';
import { defineKernel, FLOAT, LANES, type Variant } from '../../codegen/kernel.js';
import { fourOf, transpose } from '../../codegen/transpose.js';

/** Layout of the partial sums and of the result; all strides in bytes. */
export interface SumParts {
  /** Number of parts. */
  readonly parts: number;
  /** Bytes of a part. */
  readonly partBytes: number;
  /** Rows of a channel: the taps of the convolution's window. */
  readonly taps: number;
  /** Values of a row, contiguous in the partial sums. */
  readonly columns: number;
  readonly from: { readonly channel: number; readonly tap: number };
  readonly to: { readonly channel: number; readonly tap: number; readonly column: number };
}

/**
 * Adds up the parts of some channels. If the taps of a channel are contiguous in the result and its columns are
 * not, blocks of four taps by four columns are transposed in registers and stored as vectors.
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
    const [source, target] = [f.pointer(), f.pointer()];
    const [tapSource, tapTarget] = [f.pointer(), f.pointer()];
    const part = f.pointer();
    const sums = f.vectors(LANES);
    const temporary = f.vectors(LANES);
    const transposedBlocks = to.column !== FLOAT && to.tap === FLOAT ? Math.floor(taps / LANES) : 0;
    /** The total of up to four columns of a tap. */
    const total = (tap: number): V128 => {
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
    /** Stores `lanes` columns of all taps. */
    const columnsOfTaps = (lanes: number): void => {
      f.set(tapSource, source);
      f.set(tapTarget, target);
      f.repeat(transposedBlocks, () => {
        for (const [lane, values] of transpose(f, fourOf(total), temporary).slice(0, lanes).entries())
          f.store(tapTarget, values, lane * to.column);
        f.advance(tapSource, LANES * from.tap);
        f.advance(tapTarget, LANES * to.tap);
      });
      f.repeat(taps - transposedBlocks * LANES, () => {
        const sum = total(0);
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
        columnsOfTaps(LANES);
        f.advance(source, VECTOR);
        f.advance(target, LANES * to.column);
      });
      if (columns % LANES > 0) columnsOfTaps(columns % LANES);
      f.advance(p.from, from.channel);
      f.advance(p.to, to.channel);
    });
  },
});
