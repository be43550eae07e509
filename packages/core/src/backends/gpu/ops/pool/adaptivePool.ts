/**
 * Adaptive and global pooling. The bins of adaptive pooling may overlap, so its gradients go over the bins
 * that contain a pixel.
 */
import type { AdaptivePoolAttrs } from '../../../../ops/adaptivePool.js';
import { pictureShape } from '../../../../ops/define.js';
import type { Shape } from '../../../../tensor/shape.js';
import { type KernelBody, loop, type Read } from '../../kernels/javascript.js';
import type { PlannedTensor } from '../../plan/plan.js';
import { type Lowering, writeResult } from '../lowering.js';
import { keepMaximum, maximumStart, pixelOf } from './common.js';

/** Declares the first row (or column) of a bin, `yFrom`, and the first after it, `yTo`. */
const declareBin = (name: string, index: string, extent: number, bins: number): string =>
  `const ${name}From = Math.floor((${index} * ${extent} + 0.5) / ${bins});
const ${name}To = Math.floor((${index} * ${extent} + ${extent + bins - 1} + 0.5) / ${bins});`;

/**
 * Writes loops over the pixels of a bin.
 * @param inner - statements that use the pixel `y`, `x`.
 */
function overBin(
  [, , h, w]: Shape,
  [, , oh, ow]: Shape,
  [row, column]: readonly [string, string],
  inner: string,
): string {
  const along = (name: string, index: string, extent: number, bins: number, body: string): string => {
    const largestBin = Math.min(extent, Math.ceil(extent / bins) + 1);
    return `${declareBin(name, index, extent, bins)}
${loop(`${name}Step`, largestBin, `const ${name} = ${name}From + ${name}Step;\nif (${name} < ${name}To) {\n${body}\n}`)}`;
  };
  return along('y', row, h!, oh!, along('x', column, w!, ow!, inner));
}

/**
 * Writes loops over the bins that contain a pixel.
 * @param inner - statements that use the bin `oy`, `ox` and its bounds `yFrom`, `yTo`, `xFrom`, `xTo`.
 */
function overContainingBins(
  [, , h, w]: Shape,
  [, , oh, ow]: Shape,
  [row, column]: readonly [string, string],
  inner: string,
): string {
  const columns = loop(
    'ox',
    ow!,
    `${declareBin('x', 'ox', w!, ow!)}\nif (${column} >= xFrom && ${column} < xTo) {\n${inner}\n}`,
  );
  return loop(
    'oy',
    oh!,
    `${declareBin('y', 'oy', h!, oh!)}\nif (${row} >= yFrom && ${row} < yTo) {\n${columns}\n}`,
  );
}

const meanOfBin = (
  x: Read,
  at: readonly string[],
  source: Shape,
  bins: Shape,
  bin: readonly [string, string],
): KernelBody => ({
  statements: `let sum = 0.0;\nlet count = 0.0;
${overBin(source, bins, bin, `sum += ${x([at[0]!, at[1]!, 'y', 'x'])};\ncount += 1.0;`)}`,
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
    const [n, c, h, w] = pictureShape('globalAvgPool', context.node.inputs[0]!.shape);
    return meanOfBin(x!, at, [n, c, h, w], [n, c, 1, 1], ['0', '0']);
  });

/** Gradient of global average pooling. Inputs: dy (n x c), x (for its shape). */
export const lowerGlobalAvgPoolGrad: Lowering = (context) =>
  writeResult(context, [context.inputs[0]!], ([dy], at) => ({
    value: `${dy!([at[0]!, at[1]!])} / ${context.shape[2]! * context.shape[3]!}`,
  }));

/** Gradient of adaptive average pooling. Inputs: dy, x (for its shape). */
export const lowerAdaptiveAvgPoolGrad: Lowering<AdaptivePoolAttrs> = (context) =>
  writeResult(context, [context.inputs[0]!], ([dy], at) => ({
    statements: `let sum = 0.0;\n${overContainingBins(
      context.shape,
      context.node.inputs[0]!.shape,
      pixelOf(at),
      `sum += ${dy!([at[0]!, at[1]!, 'oy', 'ox'])} / ((yTo - yFrom) * (xTo - xFrom));`,
    )}`,
    value: 'sum',
  }));

/** y = maximum of each bin. */
export const lowerAdaptiveMaxPool: Lowering<AdaptivePoolAttrs> = (context) =>
  writeResult(context, context.inputs, ([x], at) => ({
    statements: `${maximumStart}\n${overBin(
      context.node.inputs[0]!.shape,
      context.shape,
      pixelOf(at),
      keepMaximum(x!([at[0]!, at[1]!, 'y', 'x'])),
    )}`,
    value: 'best',
  }));

/** Gradient of adaptive max pooling. Inputs: dy, x. */
export const lowerAdaptiveMaxPoolGrad: Lowering<AdaptivePoolAttrs> = (context) => {
  const [dy, x] = context.inputs as [PlannedTensor, PlannedTensor];
  const bins = context.node.inputs[0]!.shape;
  const width = context.shape[3]!;
  const argmaxPixels = context.plan.kernel({
    inputs: [x],
    shape: bins,
    body: ([read], at) => ({
      statements: `${maximumStart}\nlet winner = 0.0;\n${overBin(
        context.shape,
        bins,
        pixelOf(at),
        keepMaximum(read!([at[0]!, at[1]!, 'y', 'x']), `y * ${width} + x`),
      )}`,
      value: 'winner',
    }),
  });
  return writeResult(context, [dy, argmaxPixels], ([readDy, argmax], at) => {
    const bin = [at[0]!, at[1]!, 'oy', 'ox'];
    return {
      statements: `let sum = 0.0;\n${overContainingBins(
        context.shape,
        bins,
        pixelOf(at),
        `if (Math.abs(${argmax!(bin)} - (${at[2]} * ${width} + ${at[3]})) < 0.5) { sum += ${readDy!(bin)}; }`,
      )}`,
      value: 'sum',
    };
  });
};
