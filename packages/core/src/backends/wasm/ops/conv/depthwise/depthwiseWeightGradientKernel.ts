/**
 * Weight gradient of a depthwise convolution: the taps of one row of the window, summed over rows of output
 * pixels.
 */
import { f32x4, f32x8, type Local, VECTOR } from '../../../codegen/index.js';
import { defineKernel, type Variant } from '../../../codegen/kernel.js';
import { depthwiseVectors } from './depthwiseKernel.js';

/** Everything that is fixed when the kernel is generated. Extents are in pixels, strides in bytes. */
export interface WeightGradientRowShape {
  /** Width of the window. */
  readonly columns: number;
  readonly stride: number;
  readonly dilation: number;
  /** Columns of padding on the left. */
  readonly left: number;
  readonly width: number;
  readonly outputWidth: number;
  readonly pixelStride: { readonly x: number; readonly dy: number };
  /** From the values of one row of output pixels to those of the next. */
  readonly rowStride: { readonly x: number; readonly dy: number };
  /** From one tap to the next in the result. */
  readonly tapStride: number;
}

/** Sums one row of the window. The accumulators, one for each tap, stay in registers over all rows. */
export const depthwiseWeightGradientRow = defineKernel({
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
    /** Number of channel groups, each of `depthwiseVectors` vectors. */
    groups: 'integer',
  },
  build(f, p, { engine, shape }: Variant<WeightGradientRowShape>) {
    const { columns, stride, dilation, left, width, outputWidth, pixelStride, rowStride, tapStride } = shape;
    const vectors = depthwiseVectors(engine);
    const taps = Array.from({ length: columns }, (_, index) => index);
    const sums = f.valuePool('sum', columns, vectors);
    const gradient = f.f32x8(vectors);
    const [xRow, dyRow] = [f.pointer(), f.pointer()];
    const [x, dy] = [f.pointer(), f.pointer()];
    const column = (output: number, index: number): number => output * stride + index * dilation - left;
    const present = (output: number): readonly number[] =>
      taps.filter((index) => column(output, index) >= 0 && column(output, index) < width);
    /** Adds the products of one output pixel; `xAt` and `dyAt` are the addresses of output `base`. */
    const add = (output: number, base: number, xAt: Local<'i32'>, dyAt: Local<'i32'>): void => {
      f.set(gradient, f32x8.load(dyAt, (output - base) * pixelStride.dy, vectors));
      for (const index of present(output)) {
        const sum = sums[index]!;
        const at = (column(output, index) - Math.max(0, column(base, 0))) * pixelStride.x;
        f.set(sum, f32x8.multiplyAdd(engine, f32x8.load(xAt, at, vectors), gradient, sum));
      }
    };
    const outputs = Array.from({ length: outputWidth }, (_, output) => output);
    // The loop covers outputs whose window is inside the image; those at the edges are unrolled.
    const inside = outputs.filter((output) => present(output).length === columns);
    const first = inside[0] ?? outputWidth;
    const end = inside.length > 0 ? inside.at(-1)! + 1 : outputWidth;
    f.repeat(p.groups, () => {
      for (const sum of sums) f.set(sum, f32x4.const(0));
      f.set(xRow, p.x);
      f.set(dyRow, p.dy);
      f.repeat(p.rows, () => {
        for (const output of outputs.slice(0, first)) add(output, 0, xRow, dyRow);
        f.set(x, xRow);
        f.set(dy, dyRow);
        f.advance(x, Math.max(0, column(first, 0)) * pixelStride.x);
        f.advance(dy, first * pixelStride.dy);
        f.repeat(end - first, () => {
          add(first, first, x, dy);
          f.advance(x, stride * pixelStride.x);
          f.advance(dy, pixelStride.dy);
        });
        for (const output of outputs.slice(end)) add(output, end, x, dy);
        f.advance(xRow, rowStride.x);
        f.advance(dyRow, rowStride.dy);
      });
      for (const [index, sum] of sums.entries()) f.store(p.result, sum, index * tapStride);
      for (const address of [p.x, p.dy, p.result]) f.advance(address, vectors * VECTOR);
    });
  },
});
