/** Convolutions: which way each is computed, and how its input and weights are brought there. */
import { isInput, type Node } from '../../../graph/graph.js';
import type { Conv2dAttrs } from '../../../ops/conv2d.js';
import { MOST_ROWS } from '../kernels/depthwise.js';
import { FLOAT, paddedChannels } from '../kernels/kernel.js';
import { paddedRows } from '../kernels/padding.js';
import type { Pointer } from '../plan/memory.js';
import type { Call, Planner } from '../plan/planner.js';
import { type Dense, extents, type Pixels } from '../plan/value.js';
import { lowerDepthwise } from './depthwise.js';
import { biasOf, type Lowering, type PackedPart, pack, pixelsOf, weightStrides } from './lowering.js';
import { columnPlace, type InnerOrder, packPanels, productPhase } from './product.js';
import { chooseWinograd, lowerWinograd } from './winograd.js';

/** How a weight is read: where its first value is, and how far from one to the next, in floats. */
export interface WeightOrder {
  readonly start: number;
  readonly group: number;
  /** Output channels of a group, and input channels of a group. */
  readonly out: number;
  readonly in: number;
  readonly row: number;
  readonly column: number;
}

/**
 * Everything about a convolution that its lowerings ask for. The gradient of one with respect to its input is
 * a convolution too, with another order of the same weight.
 */
export interface Convolution {
  readonly attrs: Omit<Conv2dAttrs, 'residual'>;
  /** Asked for where it is read pixel by pixel. */
  readonly x: () => Pixels;
  readonly y: Pixels;
  readonly weight: Node;
  readonly order: WeightOrder;
  readonly bias?: Node;
  readonly residual?: Node;
  readonly channels: number;
  readonly out: number;
  readonly kernel: readonly [number, number];
}

/** Planar pictures of few channels, as the host gives them, are read as they are by a direct convolution. */
const MOST_PLANES = 4;

/** What lowerings ask for of a node, with its input and output where they are said to lie. */
export function convolutionOf(p: Planner, node: Node<Conv2dAttrs>, x: () => Pixels, y: Pixels): Convolution {
  const [, weight, bias, residual] = node.inputs as [Node, Node, Node | undefined, Node | undefined];
  const { attrs } = node;
  const [out, perGroup, ...kernel] = weight.shape as [number, number, number, number];
  const [outStride, inStride, row, column] = weightStrides(p, weight) as [number, number, number, number];
  return {
    attrs,
    x,
    y,
    weight,
    order: {
      start: 0,
      ...{ group: (out / attrs.groups) * outStride, out: outStride, in: inStride, row, column },
    },
    bias,
    residual,
    channels: perGroup * attrs.groups,
    out,
    kernel,
  };
}

export const lowerConv2d: Lowering<Conv2dAttrs> = (p, node) => {
  const [x, weight] = node.inputs as [Node, Node];
  const { attrs } = node;
  const perGroup = weight.shape[1]!;
  const convolution = convolutionOf(p, node, () => pixelsOf(p, x), pixelsOf(p, node));
  if (isInput(x) && attrs.groups === 1 && perGroup > 1 && perGroup <= MOST_PLANES)
    lowerPlanar(p, convolution, x);
  else lowerConvolution(p, convolution);
};

/** Chooses among the ways to compute a convolution whose input lies pixel by pixel. */
export function lowerConvolution(p: Planner, convolution: Convolution): void {
  const { attrs, kernel, channels, out } = convolution;
  const { groups, padding } = attrs;
  if (groups === out && channels === out && Math.max(...kernel) <= MOST_ROWS) {
    lowerDepthwise(p, convolution);
    return;
  }
  if (groups > 1) {
    lowerGrouped(p, convolution);
    return;
  }
  const outputs = chooseWinograd(p, convolution);
  if (outputs) {
    lowerWinograd(p, convolution, outputs);
    return;
  }
  const x = convolution.x();
  const window = underWindow(p, convolution, x, channels);
  const plain = kernel[0] * kernel[1] === 1 && padding.every((pixels) => pixels === 0);
  convolve(p, convolution, window, x.n * x.h * x.w * x.c * FLOAT, plain ? 'gemm' : 'direct');
}

/** A convolution as a product over an input that needs no edges. */
interface Window {
  readonly x: Pixels;
  readonly inner: Parameters<typeof productPhase>[1]['inner'];
  /** The inner dimension as strides of the weight. */
  readonly order: InnerOrder;
}

function convolve(
  p: Planner,
  { weight, order, bias, residual, attrs, out, y }: Convolution,
  window: Window,
  inputBytes: number,
  name: string,
): void {
  productPhase(p, {
    name,
    inner: window.inner,
    columns: out,
    weights: (panel) => packPanels(p, weight, out, panel, window.order, order.out, order.start),
    bias: bias && biasOf(p, bias, out),
    residual: residual && pixelsOf(p, residual),
    activation: attrs.activation,
    x: window.x,
    y,
    inputBytes,
  });
}

/** The input's pixels under the window's first tap, for each output pixel; the input is padded if need be. */
function underWindow(
  p: Planner,
  { attrs, order: weight, kernel, y: { h, w } }: Convolution,
  x: Pixels,
  channels: number,
): Window {
  const { stride, dilation } = attrs;
  const padded = padPixels(p, x, attrs.padding, reach(attrs, kernel, { h, w }));
  const order = [
    { count: kernel[0], from: weight.row },
    { count: kernel[1], from: weight.column },
    { count: channels, from: weight.in },
  ];
  const joined = dilation[1] === 1 && padded.pixel === channels * FLOAT;
  const loops = [
    { count: kernel[0], stride: dilation[0] * padded.row },
    ...(joined ? [] : [{ count: kernel[1], stride: dilation[1] * padded.pixel }]),
  ];
  return {
    inner: {
      loops: loops.filter(({ count }) => count > 1),
      run: joined ? kernel[1] * channels : channels,
    },
    order,
    x: { ...padded, h, w, row: padded.row * stride[0], pixel: padded.pixel * stride[1] },
  };
}

/** Rows and columns of the padded input that the windows of h x w outputs touch. */
export const reach = (
  { stride, dilation }: Pick<Conv2dAttrs, 'stride' | 'dilation'>,
  kernel: readonly [number, number],
  { h, w }: { readonly h: number; readonly w: number },
): readonly [number, number] => [
  (h - 1) * stride[0] + (kernel[0] - 1) * dilation[0] + 1,
  (w - 1) * stride[1] + (kernel[1] - 1) * dilation[1] + 1,
];

/**
 * x with zeros around it, in scratch memory; x itself if it needs none. If the distance of its pixels is given,
 * pixels lie so far apart in any case.
 */
export function padPixels(
  p: Planner,
  x: Pixels,
  [top, left, bottom, right]: Conv2dAttrs['padding'],
  [height, width]: readonly [number, number],
  distance?: number,
): Pixels {
  if (top + left + bottom + right === 0 && (distance ?? x.pixel) === x.pixel) return x;
  const pixel = distance ?? paddedChannels(x.c) * FLOAT;
  const row = width * pixel;
  const padded: Pixels = {
    ...x,
    at: p.scratch(x.n * height * row),
    h: height,
    w: width,
    pixel,
    row,
    image: height * row,
  };
  const columns = Math.min(x.w, width - left);
  const whole = x.pixel === pixel;
  const kernel = p.kernel(
    'padded rows',
    {
      from: x.row,
      to: row,
      before: left * pixel,
      after: (width - left - columns) * pixel,
      runs: whole ? 1 : columns,
      runBytes: whole ? columns * pixel : pixel,
      runFrom: x.pixel,
    },
    (_, shape) => paddedRows(shape),
  );
  p.algorithm('pad');
  p.spread(x.n * height, (from, to) =>
    padCalls(kernel, height, top, Math.min(x.h, height - top), from, to, {
      source: (image, y) => x.at.plus(image * x.image + y * x.row),
      target: (image, y) => padded.at.plus(image * padded.image + y * row),
    }),
  );
  return padded;
}

/** Calls that make padded rows `from` to `to`, counted through all pictures: rows of zeros, or of content. */
function padCalls(
  kernel: number,
  height: number,
  top: number,
  content: number,
  from: number,
  to: number,
  {
    source,
    target,
  }: {
    readonly source: (image: number, y: number) => Pointer;
    readonly target: (image: number, y: number) => Pointer;
  },
): readonly Call[] {
  const calls: Call[] = [];
  for (let at = from; at < to; ) {
    const image = Math.floor(at / height);
    const y = at - image * height;
    const inside = y >= top && y < top + content;
    const border = y < top ? top : inside ? top + content : height;
    const rows = Math.min(to, image * height + border) - at;
    calls.push({
      kernel,
      parameters: inside
        ? [source(image, y - top), target(image, y), rows, 0]
        : [0, target(image, y), 0, rows],
    });
    at += rows;
  }
  return calls;
}

/** A convolution on planar pictures: the inner dimension goes over planes and rows of the window. */
function lowerPlanar(p: Planner, convolution: Convolution, x: Node): void {
  const { attrs, kernel, channels, order } = convolution;
  const { stride, dilation, padding } = attrs;
  const { n, h: height, w: width } = extents(x.shape);
  const [top, left] = padding;
  const { h, w } = convolution.y;
  const [paddedHeight, paddedWidth] = reach(attrs, kernel, { h, w });
  const source = p.value(x) as Dense;
  const rowBytes = width * FLOAT;
  const [row, plane] = [paddedWidth * FLOAT, paddedHeight * paddedWidth * FLOAT];
  let at = source.at;
  let [planeStep, rowStep] = [height * rowBytes, rowBytes];
  if (padding.some((pixels) => pixels > 0)) {
    const target = p.scratch(n * channels * plane);
    const columns = Math.min(width, paddedWidth - left);
    const pad = p.kernel(
      'padded rows',
      {
        from: rowBytes,
        to: row,
        before: left * FLOAT,
        after: (paddedWidth - left - columns) * FLOAT,
        runs: 1,
        runBytes: columns * FLOAT,
        runFrom: columns * FLOAT,
      },
      (_, shape) => paddedRows(shape),
    );
    p.algorithm('pad');
    p.spread(n * channels * paddedHeight, (from, to) =>
      padCalls(pad, paddedHeight, top, Math.min(height, paddedHeight - top), from, to, {
        source: (image, y) => source.at.plus((image * height + y) * rowBytes),
        target: (image, y) => target.plus(image * plane + y * row),
      }),
    );
    [at, planeStep, rowStep] = [target, plane, row];
  }
  const dilated = dilation[1] > 1;
  convolve(
    p,
    convolution,
    {
      x: {
        kind: 'pixels',
        at,
        n,
        c: channels,
        h,
        w,
        image: channels * planeStep,
        row: rowStep * stride[0],
        pixel: stride[1] * FLOAT,
      },
      inner: {
        loops: [
          { count: channels, stride: planeStep },
          { count: kernel[0], stride: rowStep * dilation[0] },
          ...(dilated ? [{ count: kernel[1], stride: dilation[1] * FLOAT }] : []),
        ].filter(({ count }) => count > 1),
        run: dilated ? 1 : kernel[1],
      },
      order: [
        { count: channels, from: order.in },
        { count: kernel[0], from: order.row },
        { count: kernel[1], from: order.column },
      ],
    },
    n * channels * height * rowBytes,
    'direct planar',
  );
}

/**
 * Convolutions in groups: each group is a convolution on a part of the channels. Groups with few output
 * channels are taken together, with zeros between them, until they fill whole blocks of eight.
 */
function lowerGrouped(p: Planner, convolution: Convolution): void {
  const { attrs, weight, order, bias, residual, kernel, channels, out, y } = convolution;
  const { groups } = attrs;
  const [outEach, inEach] = [out / groups, channels / groups];
  let together = 1;
  while (together < groups && ((together * outEach) % 8 !== 0 || groups % together !== 0)) together++;
  const sets = groups / together;
  const [setOut, setIn] = [together * outEach, together * inEach];
  const x = convolution.x();
  const residualPixels = residual && pixelsOf(p, residual);
  const window = underWindow(p, convolution, x, setIn);
  const inner = kernel[0] * kernel[1] * setIn;
  const biasAt = bias && biasOf(p, bias, out);
  const part = (value: Pixels, first: number): Pixels => ({ ...value, at: value.at.plus(first * FLOAT) });
  const setFloats = paddedChannels(setOut) * inner;
  let packed: Pointer | undefined;
  /** All sets have panels of the same width: they are packed together when the first one asks. */
  const weightsOf = (set: number, panel: number): Pointer => {
    packed ??= pack(
      p,
      weight,
      sets * setFloats,
      Array.from({ length: out }, (_, channel): PackedPart => {
        const column = channel % setOut;
        const { offset, width, within } = columnPlace(inner, setOut, panel, column);
        const firstIn = Math.floor(column / outEach) * inEach;
        return {
          loops: [
            { count: kernel[0], from: order.row, to: kernel[1] * setIn * width },
            { count: kernel[1], from: order.column, to: setIn * width },
            { count: inEach, from: order.in, to: width },
          ],
          from: order.start + Math.floor(channel / outEach) * order.group + (channel % outEach) * order.out,
          to: Math.floor(channel / setOut) * setFloats + offset + firstIn * width + within,
        };
      }),
    );
    return packed.plus(set * setFloats * FLOAT);
  };
  productPhase(
    p,
    ...Array.from({ length: sets }, (_, set) => ({
      name: 'direct grouped',
      inner: window.inner,
      columns: setOut,
      weights: (panel: number) => weightsOf(set, panel),
      bias: biasAt?.plus(set * setOut * FLOAT),
      residual: residualPixels && part(residualPixels, set * setOut),
      activation: attrs.activation,
      x: part(window.x, set * setIn),
      y: part(y, set * setOut),
      inputBytes: x.n * x.image,
    })),
  );
}
