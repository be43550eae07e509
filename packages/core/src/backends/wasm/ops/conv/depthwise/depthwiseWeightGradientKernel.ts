/** The weight gradient of a depthwise convolution: one row of the window, summed over rows of output pixels. */
import { f32x4, type Local, v128 } from '../../../codegen/index.js';
import { defineKernel, multiplyAdd, type Variant, VECTOR } from '../../../codegen/kernel.js';
import { depthwiseVectors } from './depthwiseKernel.js';

/** Everything that is fixed when the kernel is generated. Extents are in pixels, strides in bytes. */
export interface DepthwiseWeightRow {
  /** Width of the window. */
  readonly columns: number;
  readonly stride: number;
  readonly dilation: number;
  /** Columns of padding on the left. */
  readonly left: number;
  readonly width: number;
  readonly outputWidth: number;
  readonly pixel: { readonly x: number; readonly dy: number };
  /** From one row of output pixels to the next, in x and dy. */
  readonly row: { readonly x: number; readonly dy: number };
  /** From one tap to the next in the result. */
  readonly tap: number;
}

/** Sums one row of the window. A sum for each tap stays in registers while all rows pass. */
export const depthwiseWeightRow = defineKernel({
  name: 'depthwise weight row',
  parameters: {
    /** Address of x at column 0 of the row under the first output row's taps. */
    x: 'address',
    /** Address of the first row of dy. */
    dy: 'address',
    /** Address of the first tap's sums. */
    result: 'address',
    /** Number of rows of dy. */
    rows: 'integer',
    /** Number of groups of channels, each of `depthwiseVectors` vectors. */
    groups: 'integer',
  },
  build(f, p, { engine, shape }: Variant<DepthwiseWeightRow>) {
    const { columns, stride, dilation, left, width, outputWidth, pixel, row, tap } = shape;
    const count = depthwiseVectors(engine);
    const vectors = Array.from({ length: count }, (_, index) => index);
    const taps = Array.from({ length: columns }, (_, index) => index);
    const sums = f.vectors('sum', columns * count);
    const gradient = f.vectors('dy', count);
    const [xRow, dyRow] = [f.pointer('x row'), f.pointer('dy row')];
    const [x, dy] = [f.pointer('x'), f.pointer('dy')];
    const column = (output: number, index: number): number => output * stride + index * dilation - left;
    const present = (output: number): readonly number[] =>
      taps.filter((index) => column(output, index) >= 0 && column(output, index) < width);
    /** One output; addresses are those of output `base`. */
    const add = (output: number, base: number, xAt: Local<'i32'>, dyAt: Local<'i32'>): void => {
      for (const v of vectors) f.set(gradient[v]!, v128.load(dyAt, (output - base) * pixel.dy + v * VECTOR));
      for (const index of present(output))
        for (const v of vectors) {
          const sum = sums[index * count + v]!;
          const at = (column(output, index) - Math.max(0, column(base, 0))) * pixel.x + v * VECTOR;
          f.set(sum, multiplyAdd(engine, v128.load(xAt, at), gradient[v]!, sum));
        }
    };
    const outputs = Array.from({ length: outputWidth }, (_, output) => output);
    const whole = outputs.filter((output) => present(output).length === columns);
    const first = whole[0] ?? outputWidth;
    const end = whole.length > 0 ? whole.at(-1)! + 1 : outputWidth;
    f.repeat(p.groups, () => {
      for (const sum of sums) f.set(sum, f32x4.const(0));
      f.set(xRow, p.x);
      f.set(dyRow, p.dy);
      f.repeat(p.rows, () => {
        for (const output of outputs.slice(0, first)) add(output, 0, xRow, dyRow);
        f.set(x, xRow);
        f.set(dy, dyRow);
        f.advance(x, Math.max(0, column(first, 0)) * pixel.x);
        f.advance(dy, first * pixel.dy);
        f.repeat(end - first, () => {
          add(first, first, x, dy);
          f.advance(x, stride * pixel.x);
          f.advance(dy, pixel.dy);
        });
        for (const output of outputs.slice(end)) add(output, end, x, dy);
        f.advance(xRow, row.x);
        f.advance(dyRow, row.dy);
      });
      for (const index of taps)
        for (const v of vectors) f.store(p.result, sums[index * count + v]!, index * tap + v * VECTOR);
      for (const address of [p.x, p.dy, p.result]) f.advance(address, count * VECTOR);
    });
  },
});
