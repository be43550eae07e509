/** Adaptive and global pooling. The bins of adaptive pooling may overlap. */
import type { AdaptivePoolAttrs } from '../../../../ops/adaptivePool.js';
import { pictureShape } from '../../../../ops/define.js';
import type { Shape } from '../../../../tensor/shape.js';
import { type KernelBody, loop, type Read } from '../../kernels/javascript.js';
import { type Lowering, writeResult } from '../lowering.js';
import { inPlane, lowerMaximum, lowerMaximumGrad, type Pixel, pixelOf, type Regions } from './common.js';

/** Bins. A pixel's number is its index in the image. */
const bins = (_: object, image: Shape, result: Shape): Regions => ({
  over: (bin, inner) => overBin(image, result, bin, inner),
  containing: (pixel, inner) => overContainingBins(image, result, pixel, inner),
  numberOf: ([row, column]) => `${row} * ${image[3]} + ${column}`,
});

/** Declares the first row (or column) of a bin, `yFrom`, and the first after it, `yTo`. */
const declareBin = (name: string, index: string, extent: number, bins: number): string =>
  `const ${name}From = Math.floor((${index} * ${extent} + 0.5) / ${bins});
const ${name}To = Math.floor((${index} * ${extent} + ${extent + bins - 1} + 0.5) / ${bins});`;

/** Writes loops over the pixels of a bin. */
function overBin([, , h, w]: Shape, [, , oh, ow]: Shape, [row, column]: Pixel, inner: string): string {
  const along = (name: string, index: string, extent: number, bins: number, body: string): string => {
    const largestBin = Math.min(extent, Math.ceil(extent / bins) + 1);
    return `${declareBin(name, index, extent, bins)}
${loop(`${name}Step`, largestBin, `const ${name} = ${name}From + ${name}Step;\nif (${name} < ${name}To) {\n${body}\n}`)}`;
  };
  return along('y', row, h!, oh!, along('x', column, w!, ow!, inner));
}

/** Writes loops over the bins that contain a pixel, with their bounds `yFrom`, `yTo`, `xFrom`, `xTo`. */
function overContainingBins([, , h, w]: Shape, [, , oh, ow]: Shape, pixel: Pixel, inner: string): string {
  const along = (name: string, at: string, extent: number, bins: number, body: string): string =>
    loop(
      `o${name}`,
      bins,
      `${declareBin(name, `o${name}`, extent, bins)}\nif (${at} >= ${name}From && ${at} < ${name}To) {\n${body}\n}`,
    );
  return along('y', pixel[0], h!, oh!, along('x', pixel[1], w!, ow!, inner));
}

const meanOfBin = (x: Read, at: readonly string[], image: Shape, result: Shape, bin: Pixel): KernelBody => ({
  statements: `let sum = 0.0;\nlet count = 0.0;
${overBin(image, result, bin, `sum += ${x(inPlane(at, 'y', 'x'))};\ncount += 1.0;`)}`,
  value: 'sum / count',
});

/** y = mean of each bin. */
export const lowerAdaptiveAvgPool: Lowering<AdaptivePoolAttrs> = (context) =>
  writeResult(context, context.inputs, ([x], at) =>
    meanOfBin(x!, at, context.node.inputs[0]!.shape, context.shape, pixelOf(at)),
  );

/** y[n, c] = mean over height and width. */
export const lowerGlobalAvgPool: Lowering = (context) =>
  writeResult(context, context.inputs, ([x], at) => {
    const [n, c, h, w] = pictureShape('globalAvgPool', context.node.inputs[0]?.shape);
    return meanOfBin(x!, at, [n, c, h, w], [n, c, 1, 1], ['0', '0']);
  });

/** Gradient of global average pooling. Inputs: dy (n x c), x (for its shape). */
export const lowerGlobalAvgPoolGrad: Lowering = (context) =>
  writeResult(context, [context.inputs[0]!], ([dy], at) => ({
    value: `${dy(at.slice(0, 2))} / ${context.shape[2]! * context.shape[3]!}`,
  }));

/** Gradient of adaptive average pooling. Inputs: dy, x (for its shape). */
export const lowerAdaptiveAvgPoolGrad: Lowering<AdaptivePoolAttrs> = (context) =>
  writeResult(context, [context.inputs[0]!], ([dy], at) => ({
    statements: `let sum = 0.0;\n${overContainingBins(
      context.shape,
      context.node.inputs[0]!.shape,
      pixelOf(at),
      `sum += ${dy(inPlane(at, 'oy', 'ox'))} / ((yTo - yFrom) * (xTo - xFrom));`,
    )}`,
    value: 'sum',
  }));

/** y = maximum of each bin. */
export const lowerAdaptiveMaxPool = lowerMaximum<AdaptivePoolAttrs>(bins);

/** Gradient of adaptive max pooling. Inputs: dy, x. */
export const lowerAdaptiveMaxPoolGrad = lowerMaximumGrad<AdaptivePoolAttrs>(bins);
