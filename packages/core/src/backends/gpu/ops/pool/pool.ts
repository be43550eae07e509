/** Pooling over windows and over shares. The gradients of max pooling first note who won, then gather. */
import type { AdaptivePoolAttrs } from '../../../../ops/adaptivePool.js';
import type { AvgPoolAttrs, MaxPoolAttrs } from '../../../../ops/pool.js';
import type { Shape } from '../../../../tensor/shape.js';
import type { Read, Value } from '../../plan/plan.js';
import { finish, type Lower, type Lowering, loop } from '../lowering.js';

/** Loops over the pixels of the picture under a window; `inner` knows them as `y` and `x`, and the taps as `ky` and `kx`. */
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

/** Loops over the pixels of an adaptive share, `y` and `x`. */
function overShare(
  [, , h, w]: Shape,
  [, , oh, ow]: Shape,
  [row, column]: readonly [string, string],
  inner: string,
): string {
  const along = (name: string, index: string, extent: number, parts: number, body: string): string => {
    const most = Math.min(extent, Math.ceil(extent / parts) + 1);
    return `const ${name}From = Math.floor((${index} * ${extent} + 0.5) / ${parts});
const ${name}To = Math.floor((${index} * ${extent} + ${extent + parts - 1} + 0.5) / ${parts});
${loop(`${name}Step`, most, `const ${name} = ${name}From + ${name}Step;\nif (${name} < ${name}To) {\n${body}\n}`)}`;
  };
  return along('y', row, h!, oh!, along('x', column, w!, ow!, inner));
}

const sourceShape = ({ node }: Lowering<object>, index = 0): Shape => node.inputs[index]!.shape;

const pixelOf = (at: readonly string[]): readonly [string, string] => [at[2]!, at[3]!];

/** Keeps the first of the largest values in `best`, and in `winner` what says which it is. */
const keepBest = (value: string, identity?: string): string =>
  `const value = ${value};
if (found < 0.5) { best = value; found = 1.0;${identity ? ` winner = ${identity};` : ''} }
if (value > best) { best = value;${identity ? ` winner = ${identity};` : ''} }`;

const bestStart = 'let best = 0.0;\nlet found = 0.0;';

/** y = the largest value under the window. */
export const lowerMaxPool: Lower<MaxPoolAttrs> = (call) =>
  finish(call, call.inputs, ([x], at) => ({
    statements: `${bestStart}\n${overWindow(
      call.attrs,
      sourceShape(call),
      pixelOf(at),
      keepBest(x!([at[0]!, at[1]!, 'y', 'x'])),
    )}`,
    value: 'best',
  }));

/** For each window the number of the tap that wins. */
const winners = (call: Lowering<MaxPoolAttrs>, source: Value, shape: Shape): Value =>
  call.plan.kernel({
    inputs: [source],
    shape,
    body: ([x], at) => ({
      statements: `${bestStart}\nlet winner = 0.0;\n${overWindow(
        call.attrs,
        source.layout.shape,
        pixelOf(at),
        keepBest(x!([at[0]!, at[1]!, 'y', 'x']), `ky * ${call.attrs.kernel[1]} + kx`),
      )}`,
      value: 'winner',
    }),
  });

/** Loops over the windows that hold a pixel, known to `inner` as `oy` and `ox`, with the tap it is under. */
function overHolders(
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

/** dx of max pooling. Inputs: dy, x. */
export const lowerMaxPoolGrad: Lower<MaxPoolAttrs> = (call) => {
  const [dy, x] = call.inputs as [Value, Value];
  const windows = sourceShape(call, 0);
  return finish(call, [dy, winners(call, x, windows)], ([gradient, winner], at) => {
    const holder = [at[0]!, at[1]!, 'oy', 'ox'];
    return {
      statements: `let sum = 0.0;\n${overHolders(
        call.attrs,
        windows,
        pixelOf(at),
        `if (Math.abs(${winner!(holder)} - (ky * ${call.attrs.kernel[1]} + kx)) < 0.5) { sum += ${gradient!(holder)}; }`,
      )}`,
      value: 'sum',
    };
  });
};

/** Statements that name `divisor`: what the sum of the window at (row, column) is divided by. */
function divisorOf(
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

/** y = the mean under the window. */
export const lowerAvgPool: Lower<AvgPoolAttrs> = (call) =>
  finish(call, call.inputs, ([x], at) => ({
    statements: `let sum = 0.0;
${overWindow(call.attrs, sourceShape(call), pixelOf(at), `sum += ${x!([at[0]!, at[1]!, 'y', 'x'])};`)}
${divisorOf(call.attrs, sourceShape(call), pixelOf(at))}`,
    value: 'sum / divisor',
  }));

/** dx of average pooling. Inputs: dy, x (for its shape). */
export const lowerAvgPoolGrad: Lower<AvgPoolAttrs> = (call) =>
  finish(call, [call.inputs[0]!], ([dy], at) => ({
    statements: `let sum = 0.0;\n${overHolders(
      call.attrs,
      sourceShape(call),
      pixelOf(at),
      `${divisorOf(call.attrs, call.shape, ['oy', 'ox'])}\nsum += ${dy!([at[0]!, at[1]!, 'oy', 'ox'])} / divisor;`,
    )}`,
    value: 'sum',
  }));

const meanOf = (
  x: Read,
  at: readonly string[],
  source: Shape,
  result: Shape,
  pixel: readonly [string, string],
) => ({
  statements: `let sum = 0.0;\nlet count = 0.0;
${overShare(source, result, pixel, `sum += ${x([at[0]!, at[1]!, 'y', 'x'])};\ncount += 1.0;`)}`,
  value: 'sum / count',
});

/** y = the mean of each share. */
export const lowerAdaptiveAvgPool: Lower<AdaptivePoolAttrs> = (call) =>
  finish(call, call.inputs, ([x], at) => meanOf(x!, at, sourceShape(call), call.shape, pixelOf(at)));

/** y[n, c] = the mean over height and width. */
export const lowerGlobalAvgPool: Lower<object> = (call) =>
  finish(call, call.inputs, ([x], at) => {
    const [n, c, h, w] = sourceShape(call) as unknown as readonly [number, number, number, number];
    return meanOf(x!, at, [n, c, h, w], [n, c, 1, 1], ['0', '0']);
  });

/** dx of global average pooling. Inputs: dy (n x c), x (for its shape). */
export const lowerGlobalAvgPoolGrad: Lower<object> = (call) =>
  finish(call, [call.inputs[0]!], ([dy], at) => ({
    value: `${dy!([at[0]!, at[1]!])} / ${call.shape[2]! * call.shape[3]!}`,
  }));

/** Statements that name the first row (or column) of share `index` and the first beyond. */
const shareOf = (name: string, index: string, extent: number, parts: number): string =>
  `const ${name}From = Math.floor((${index} * ${extent} + 0.5) / ${parts});
const ${name}To = Math.floor((${index} * ${extent} + ${extent + parts - 1} + 0.5) / ${parts});`;

/** Loops over the shares that hold a pixel. */
function overSharers(
  [, , h, w]: Shape,
  [, , oh, ow]: Shape,
  [row, column]: readonly [string, string],
  inner: string,
): string {
  const columns = loop(
    'ox',
    ow!,
    `${shareOf('x', 'ox', w!, ow!)}\nif (${column} >= xFrom && ${column} < xTo) {\n${inner}\n}`,
  );
  return loop(
    'oy',
    oh!,
    `${shareOf('y', 'oy', h!, oh!)}\nif (${row} >= yFrom && ${row} < yTo) {\n${columns}\n}`,
  );
}

/** dx of adaptive average pooling. Inputs: dy, x (for its shape). */
export const lowerAdaptiveAvgPoolGrad: Lower<AdaptivePoolAttrs> = (call) =>
  finish(call, [call.inputs[0]!], ([dy], at) => ({
    statements: `let sum = 0.0;\n${overSharers(
      call.shape,
      sourceShape(call),
      pixelOf(at),
      `sum += ${dy!([at[0]!, at[1]!, 'oy', 'ox'])} / ((yTo - yFrom) * (xTo - xFrom));`,
    )}`,
    value: 'sum',
  }));

/** y = the largest value of each share. */
export const lowerAdaptiveMaxPool: Lower<AdaptivePoolAttrs> = (call) =>
  finish(call, call.inputs, ([x], at) => ({
    statements: `${bestStart}\n${overShare(
      sourceShape(call),
      call.shape,
      pixelOf(at),
      keepBest(x!([at[0]!, at[1]!, 'y', 'x'])),
    )}`,
    value: 'best',
  }));

/** dx of adaptive max pooling. Inputs: dy, x. */
export const lowerAdaptiveMaxPoolGrad: Lower<AdaptivePoolAttrs> = (call) => {
  const [dy, x] = call.inputs as [Value, Value];
  const shares = sourceShape(call, 0);
  const width = call.shape[3]!;
  const winner = call.plan.kernel({
    inputs: [x],
    shape: shares,
    body: ([read], at) => ({
      statements: `${bestStart}\nlet winner = 0.0;\n${overShare(
        call.shape,
        shares,
        pixelOf(at),
        keepBest(read!([at[0]!, at[1]!, 'y', 'x']), `y * ${width} + x`),
      )}`,
      value: 'winner',
    }),
  });
  return finish(call, [dy, winner], ([gradient, won], at) => {
    const share = [at[0]!, at[1]!, 'oy', 'ox'];
    return {
      statements: `let sum = 0.0;\n${overSharers(
        call.shape,
        shares,
        pixelOf(at),
        `if (Math.abs(${won!(share)} - (${at[2]} * ${width} + ${at[3]})) < 0.5) { sum += ${gradient!(share)}; }`,
      )}`,
      value: 'sum',
    };
  });
};
