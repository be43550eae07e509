/** Pooling over windows. */
import type { AvgPoolAttrs, MaxPoolAttrs } from '../../../../ops/pool.js';
import type { Shape } from '../../../../tensor/shape.js';
import { loop } from '../../kernels/javascript.js';
import { type Lowering, writeResult } from '../lowering.js';
import { inPlane, lowerMaximum, lowerMaximumGrad, type Pixel, pixelOf, type Regions } from './common.js';

type Window = MaxPoolAttrs | AvgPoolAttrs;

/** Windows. A pixel's number is that of its tap, `ky`, `kx`. */
const windows = (attrs: Window, image: Shape, result: Shape): Regions => ({
  over: (region, inner) => overWindow(attrs, image, region, inner),
  containing: (pixel, inner) => overContainingWindows(attrs, result, pixel, inner),
  numberOf: () => `ky * ${attrs.kernel[1]} + kx`,
});

/** Writes loops over the taps of a window that lie within the image. */
function overWindow(
  { kernel, stride, padding, dilation }: Window,
  [, , h, w]: Shape,
  [row, column]: Pixel,
  inner: string,
): string {
  const line = `const x = ${column} * ${stride[1]} + kx * ${dilation[1]} - ${padding[1]};
if (x >= 0 && x < ${w}) {\n${inner}\n}`;
  return loop(
    'ky',
    kernel[0],
    `const y = ${row} * ${stride[0]} + ky * ${dilation[0]} - ${padding[0]};
if (y >= 0 && y < ${h}) {\n${loop('kx', kernel[1], line)}\n}`,
  );
}

/** Writes loops over the windows that contain a pixel, with its tap `ky`, `kx` in each. */
function overContainingWindows(
  { kernel, stride, padding, dilation }: Window,
  [, , oh, ow]: Shape,
  [row, column]: Pixel,
  inner: string,
): string {
  const along = (name: string, index: string, axis: 0 | 1, extent: number, body: string): string =>
    loop(
      `k${name}`,
      kernel[axis],
      `const d${name} = ${index} + ${padding[axis]} - k${name} * ${dilation[axis]};
const o${name} = Math.floor((d${name} + 0.5) / ${stride[axis]});
if (o${name} >= 0 && o${name} < ${extent} && o${name} * ${stride[axis]} === d${name}) {\n${body}\n}`,
    );
  return along('y', row, 0, oh!, along('x', column, 1, ow!, inner));
}

/** y = maximum of the window. */
export const lowerMaxPool = lowerMaximum<MaxPoolAttrs>(windows);

/** Gradient of max pooling. Inputs: dy, x. */
export const lowerMaxPoolGrad = lowerMaximumGrad<MaxPoolAttrs>(windows);

/** Writes statements that declare `divisor`, the number of pixels in a window. */
function declareDivisor(
  { kernel, stride, padding, countIncludePad }: AvgPoolAttrs,
  [, , h, w]: Shape,
  [row, column]: Pixel,
): string {
  const along = (name: string, index: string, axis: 0 | 1, extent: number): string => {
    const [before, after] = countIncludePad ? [padding[axis], padding[axis + 2]!] : [0, 0];
    return `const ${name}Start = ${index} * ${stride[axis]} - ${padding[axis]};
const ${name}Count = Math.min(${name}Start + ${kernel[axis]}, ${extent + after}) - Math.max(${name}Start, -${before});`;
  };
  return `${along('row', row, 0, h!)}\n${along('column', column, 1, w!)}\nconst divisor = rowCount * columnCount;`;
}

/** y = mean of the window. */
export const lowerAvgPool: Lowering<AvgPoolAttrs> = (context) => {
  const image = context.node.inputs[0]!.shape;
  return writeResult(context, context.inputs, ([x], at) => ({
    statements: `let sum = 0.0;
${overWindow(context.attrs, image, pixelOf(at), `sum += ${x!(inPlane(at, 'y', 'x'))};`)}
${declareDivisor(context.attrs, image, pixelOf(at))}`,
    value: 'sum / divisor',
  }));
};

/** Gradient of average pooling. Inputs: dy, x (for its shape). */
export const lowerAvgPoolGrad: Lowering<AvgPoolAttrs> = (context) =>
  writeResult(context, [context.inputs[0]!], ([dy], at) => ({
    statements: `let sum = 0.0;\n${overContainingWindows(
      context.attrs,
      context.node.inputs[0]!.shape,
      pixelOf(at),
      `${declareDivisor(context.attrs, context.shape, ['oy', 'ox'])}\nsum += ${dy(inPlane(at, 'oy', 'ox'))} / divisor;`,
    )}`,
    value: 'sum',
  }));
