/** Copies rows into a zero-padded image, so that convolutions need no bounds checks. */
import { i32 } from '../../codegen/index.js';
import { defineKernel, type Variant } from '../../codegen/kernel.js';

/** Layout of the rows; all distances in bytes. */
export interface PaddedRows {
  /** Row strides of source and target. */
  readonly from: number;
  readonly to: number;
  /** Zeros before and after the content of a row. */
  readonly before: number;
  readonly after: number;
  /**
   * Content of a row: `runs` runs of `runBytes` bytes each, contiguous in the target and `runFrom` apart in the
   * source.
   */
  readonly runs: number;
  readonly runBytes: number;
  readonly runFrom: number;
}

/** Writes rows of zeros, then rows of content with zeros around them. */
export const paddedRows = defineKernel({
  name: 'padded rows',
  parameters: {
    /** Address of the first row's content. */
    from: 'address?',
    /** Address of the first padded row. */
    to: 'address',
    /** Number of rows with content. */
    rows: 'integer?',
    /** Number of rows of zeros. */
    zeros: 'integer?',
  },
  build(f, p, { shape }: Variant<PaddedRows>) {
    const { from, to, before, after, runs, runBytes, runFrom } = shape;
    const content = runs * runBytes;
    const [source, target] = [f.pointer(), f.pointer()];
    f.when(i32.ltS(0, p.zeros), () => f.zeroMemory(p.to, i32.mul(p.zeros, to)));
    f.repeat(p.rows, () => {
      if (before > 0) f.zeroMemory(p.to, before);
      if (after > 0) f.zeroMemory(i32.add(p.to, before + content), after);
      f.set(target, i32.add(p.to, before));
      f.set(source, p.from);
      f.repeat(runs, () => {
        f.copyMemory(target, source, runBytes);
        f.advance(source, runFrom);
        f.advance(target, runBytes);
      });
      f.advance(p.from, from);
      f.advance(p.to, to);
    });
  },
});
