/**
 * Pooling over windows. The gradients gather: each pixel goes over the windows that contain it. That of max
 * pooling first finds the tap of each window's maximum.
 */
import type { AvgPoolAttrs, MaxPoolAttrs } from '../../../../ops/pool.js';
import type { Shape } from '../../../../tensor/shape.js';
import { loop } from '../../kernels/javascript.js';
import type { PlannedTensor } from '../../plan/plan.js';
import { type Lowering, type LoweringContext, writeResult } from '../lowering.js';
import { keepMaximum, maximumStart, pixelOf } from './common.js';

/**
 * Writes loops over the taps of a window that lie within the image.
 * @param inner - statements that use the pixel `y`, `x` and the tap `ky`, `kx`.
 */
function overWindow(
  { kernel, stride, padding, dilation }: MaxPoolAttrs | AvgPoolAttrs,
  [, , h, w]: Shape,
  [row, column]: readonly [string, string],
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

/** y = maximum of the window. */
export const lowerMaxPool: Lowering<MaxPoolAttrs> = (context) =>
  writeResult(context, context.inputs, ([x], at) => ({
    statements: `${maximumStart}\n${overWindow(
      context.attrs,
      context.node.inputs[0]!.shape,
      pixelOf(at),
      keepMaximum(x!([at[0]!, at[1]!, 'y', 'x'])),
    )}`,
    value: 'best',
  }));

/** Plans the tap, ky * width + kx, of each window's maximum. */
const argmaxTaps = (
  context: LoweringContext<MaxPoolAttrs>,
  source: PlannedTensor,
  shape: Shape,
): PlannedTensor =>
  context.plan.kernel({
    inputs: [source],
    shape,
    body: ([x], at) => ({
      statements: `${maximumStart}\nlet winner = 0.0;\n${overWindow(
        context.attrs,
        source.layout.shape,
        pixelOf(at),
        keepMaximum(x!([at[0]!, at[1]!, 'y', 'x']), `ky * ${context.attrs.kernel[1]} + kx`),
      )}`,
      value: 'winner',
    }),
  });

/**
 * Writes loops over the windows that contain a pixel.
 * @param inner - statements that use the window `oy`, `ox` and the pixel's tap in it, `ky`, `kx`.
 */
function overContainingWindows(
  { kernel, stride, padding, dilation }: MaxPoolAttrs | AvgPoolAttrs,
  [, , oh, ow]: Shape,
  [row, column]: readonly [string, string],
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

/** Gradient of max pooling. Inputs: dy, x. */
export const lowerMaxPoolGrad: Lowering<MaxPoolAttrs> = (context) => {
  const [dy, x] = context.inputs as [PlannedTensor, PlannedTensor];
  const windows = context.node.inputs[0]!.shape;
  return writeResult(context, [dy, argmaxTaps(context, x, windows)], ([readDy, argmax], at) => {
    const window = [at[0]!, at[1]!, 'oy', 'ox'];
    return {
      statements: `let sum = 0.0;\n${overContainingWindows(
        context.attrs,
        windows,
        pixelOf(at),
        `if (Math.abs(${argmax!(window)} - (ky * ${context.attrs.kernel[1]} + kx)) < 0.5) { sum += ${readDy!(window)}; }`,
      )}`,
      value: 'sum',
    };
  });
};

/** Writes statements that declare `divisor`, the number of pixels in the window at (row, column). */
function declareDivisor(
  { kernel, stride, padding, countIncludePad }: AvgPoolAttrs,
  [, , h, w]: Shape,
  [row, column]: readonly [string, string],
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
  const source = context.node.inputs[0]!.shape;
  return writeResult(context, context.inputs, ([x], at) => ({
    statements: `let sum = 0.0;
${overWindow(context.attrs, source, pixelOf(at), `sum += ${x!([at[0]!, at[1]!, 'y', 'x'])};`)}
${declareDivisor(context.attrs, source, pixelOf(at))}`,
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
      `${declareDivisor(context.attrs, context.shape, ['oy', 'ox'])}\nsum += ${dy!([at[0]!, at[1]!, 'oy', 'ox'])} / divisor;`,
    )}`,
    value: 'sum',
  }));
