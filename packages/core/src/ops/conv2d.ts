/** 2-d convolution with groups, dilation and a padding per edge, and its two gradients. */
import { ShapeError } from '../errors.js';
import { formatShape, type Shape, sizeOf } from '../tensor/shape.js';
import { type Activation, activated } from './activation.js';
import { BACKWARD, defineOp, emit, pictureShape, requireUnfused } from './define.js';
import { channelSumOp } from './reduce.js';
import { type Window, windowOutput } from './window.js';

/** Attributes of a convolution. The size of the window is that of the weight. */
export interface Conv2dAttrs extends Omit<Window, 'kernel'> {
  readonly groups: number;
  /** Applied last. Set by the fuse pass. */
  readonly activation?: Activation;
  /** True if the fourth input is added, after the bias and before the activation. Set by the fuse pass. */
  readonly residual?: boolean;
}

/** Attributes of the gradient ops: those of the convolution and the shape of the result. */
export interface Conv2dGradAttrs extends Omit<Conv2dAttrs, 'activation' | 'residual'> {
  readonly shape: Shape;
}

/** Gives the window of a convolution whose weight has this shape (out x in/groups x kh x kw). */
export const conv2dWindow = (weight: Shape, attrs: Omit<Window, 'kernel'>): Window => ({
  kernel: [weight[2]!, weight[3]!],
  stride: attrs.stride,
  padding: attrs.padding,
  dilation: attrs.dilation,
});

/** Outputs of one image that one weight contributes to: `rows` rows of `count` each, as offsets in x and y. */
interface Taps {
  readonly rows: number;
  readonly count: number;
  /** Offsets from one row to the next. */
  readonly xRow: number;
  readonly yRow: number;
  /** Offset from one value of x to the next; those of y are adjacent. */
  readonly xStep: number;
}

/**
 * Visits every product of a convolution, by planes: the weight at `w` with the values of x and y from these indices on.
 * The forward op and both gradients use it with different statements inside. A call for each row would take twice
 * the time on the small planes of late layers.
 */
function walk(
  xShape: Shape,
  wShape: Shape,
  yShape: Shape,
  { stride, padding, dilation, groups }: Omit<Conv2dAttrs, 'activation' | 'residual'>,
  visit: (x: number, w: number, y: number, taps: Taps) => void,
): void {
  const [n, c, h, width] = xShape as [number, number, number, number];
  const [o, perGroup, kh, kw] = wShape as [number, number, number, number];
  const [, , oh, ow] = yShape as [number, number, number, number];
  const outPerGroup = o / groups;
  /** Outputs j with 0 <= j * step + shift < size. */
  const within = (shift: number, step: number, size: number, outputs: number) => {
    const from = Math.max(0, Math.ceil(-shift / step));
    return { from, count: Math.min(outputs, Math.ceil((size - shift) / step)) - from };
  };
  const taps = Array.from({ length: kh * kw }, (_, tap) => {
    const [rowShift, shift] = [
      Math.floor(tap / kw) * dilation[0] - padding[0],
      (tap % kw) * dilation[1] - padding[1],
    ];
    const [rows, columns] = [within(rowShift, stride[0], h, oh), within(shift, stride[1], width, ow)];
    return {
      x: (rows.from * stride[0] + rowShift) * width + columns.from * stride[1] + shift,
      y: rows.from * ow + columns.from,
      rows: rows.count,
      count: columns.count,
      xRow: stride[0] * width,
      yRow: ow,
      xStep: stride[1],
    };
  });
  for (let image = 0; image < n; image++)
    for (let out = 0; out < o; out++) {
      const firstChannel = Math.floor(out / outPerGroup) * perGroup;
      for (let inner = 0; inner < perGroup; inner++)
        for (let tap = 0; tap < taps.length; tap++) {
          const { x, y } = taps[tap]!;
          visit(
            (image * c + firstChannel + inner) * h * width + x,
            (out * perGroup + inner) * taps.length + tap,
            (image * o + out) * oh * ow + y,
            taps[tap]!,
          );
        }
    }
}

function conv2dShape([x, w, b, residual]: readonly Shape[], attrs: Conv2dAttrs): Shape {
  const [n, c, h, width] = pictureShape('conv2d', x);
  const [o, perGroup] = pictureShape('the weight of conv2d', w);
  const { groups } = attrs;
  if (c !== perGroup * groups)
    throw new ShapeError(`expected ${perGroup * groups} channels, got ${c} (input ${formatShape(x!)})`);
  if (o % groups !== 0)
    throw new ShapeError(
      `${o} output channels cannot be divided into ${groups} groups; use a multiple of ${groups}`,
    );
  if (b && (b.length !== 1 || b[0] !== o))
    throw new ShapeError(`the bias of conv2d has ${o} values, got ${formatShape(b)}`);
  const [oh, ow] = windowOutput('conv2d', [h, width], conv2dWindow(w!, attrs));
  const shape = [n, o, oh, ow];
  if (attrs.residual && formatShape(residual ?? []) !== formatShape(shape))
    throw new ShapeError(
      `the residual of conv2d is ${formatShape(shape)}, got ${formatShape(residual ?? [])}`,
    );
  return shape;
}

const conv2dMacs = ([, w]: readonly Shape[], output: Shape): number => sizeOf(output) * (sizeOf(w!) / w![0]!);

/** y = activation(x * w + b + residual). Inputs: x, w (out x in/groups x kh x kw), b?, residual?. */
export const conv2dOp = defineOp<Conv2dAttrs>({
  op: 'conv2d',
  role: 'inference',
  layout: 'activations',
  perImage: true,
  parameters: [1, 2],
  inPlace: [3],
  fusesActivation: true,
  shape: conv2dShape,
  reference({ inputs: [x, w, b, residual], shapes: [xs, ws], attrs, output, shape }) {
    walk(xs!, ws!, shape, attrs, (xi, wi, yi, { rows, count, xRow, yRow, xStep }) => {
      const weight = w![wi]!;
      for (let row = 0; row < rows; row++, xi += xRow, yi += yRow)
        for (let i = 0; i < count; i++) output[yi + i]! += weight * x![xi + i * xStep]!;
    });
    const plane = shape[2]! * shape[3]!;
    const { activation } = attrs;
    if (!b && !activation) return;
    activated(activation, output, (sums) => {
      for (let i = 0; i < sums.length; i++)
        sums[i] =
          output[i]! + (b ? b[Math.floor(i / plane) % b.length]! : 0) + (attrs.residual ? residual![i]! : 0);
    });
  },
  gradient(node, upstream) {
    const [x, w, b] = node.inputs;
    const { stride, padding, dilation, groups } = node.attrs;
    requireUnfused(node);
    const attrs = { stride, padding, dilation, groups };
    return [
      emit(conv2dGradInputOp, [upstream, w!], { ...attrs, shape: x!.shape }),
      emit(conv2dGradWeightOp, [upstream, x!], { ...attrs, shape: w!.shape }),
      ...(b ? [emit(channelSumOp, [upstream], {})] : []),
    ];
  },
  flops: (inputs, output) => 2 * conv2dMacs(inputs, output),
  macs: conv2dMacs,
});

/** dx of a convolution. Inputs: dy, w. */
export const conv2dGradInputOp = defineOp<Conv2dGradAttrs, 'training'>({
  op: 'conv2dGradInput',
  role: 'training',
  layout: 'activations',
  parameters: [1],
  shape: (_, attrs) => attrs.shape,
  reference({ inputs: [dy, w], shapes: [dys, ws], attrs, output, shape }) {
    walk(shape, ws!, dys!, attrs, (xi, wi, yi, { rows, count, xRow, yRow, xStep }) => {
      const weight = w![wi]!;
      for (let row = 0; row < rows; row++, xi += xRow, yi += yRow)
        for (let i = 0; i < count; i++) output[xi + i * xStep]! += weight * dy![yi + i]!;
    });
  },
  gradient: BACKWARD,
  flops: ([dy, w]) => 2 * conv2dMacs([[], w!], dy!),
});

/** dw of a convolution. Inputs: dy, x. */
export const conv2dGradWeightOp = defineOp<Conv2dGradAttrs, 'training'>({
  op: 'conv2dGradWeight',
  role: 'training',
  layout: 'weights',
  shape: (_, attrs) => attrs.shape,
  reference({ inputs: [dy, x], shapes: [dys, xs], attrs, output, shape }) {
    walk(xs!, shape, dys!, attrs, (xi, wi, yi, { rows, count, xRow, yRow, xStep }) => {
      for (let row = 0; row < rows; row++, xi += xRow, yi += yRow) {
        let sum = 0;
        for (let i = 0; i < count; i++) sum += dy![yi + i]! * x![xi + i * xStep]!;
        output[wi]! += sum;
      }
    });
  },
  gradient: BACKWARD,
  flops: ([dy], shape) => 2 * conv2dMacs([[], shape], dy!),
});
