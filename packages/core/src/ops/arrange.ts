/** Ops that only move values: concatenation, slices, padding, reshaping, channel shuffle. */
import { ShapeError } from '../errors.js';
import type { Node } from '../graph/graph.js';
import { formatShape, type Shape, sizeOf } from '../tensor/shape.js';
import { BACKWARD, defineOp, emit, type OpDefinition, pictureShape } from './define.js';

const free = (): number => 0;

function checkAxis(op: string, shape: Shape, axis: number): void {
  if (!Number.isInteger(axis) || axis < 0 || axis >= shape.length)
    throw new ShapeError(
      `${op} along axis ${axis} of ${formatShape(shape)}: the axis must be from 0 to ${shape.length - 1}`,
    );
}

/** Attributes of concatenation. */
export interface ConcatAttrs {
  readonly axis: number;
}

/** y = the inputs, concatenated along the axis. */
export const concatOp = defineOp<ConcatAttrs>({
  op: 'concat',
  role: 'inference',
  layout: 'activations',
  perImage: true,
  exact: true,
  shape(shapes, { axis }) {
    const [first] = shapes as [Shape];
    checkAxis('concat', first, axis);
    for (const shape of shapes)
      if (shape.length !== first.length || shape.some((extent, i) => i !== axis && extent !== first[i]))
        throw new ShapeError(
          `cannot concatenate ${shapes.map(formatShape).join(', ')} along axis ${axis}: all other extents must be equal`,
        );
    return first.map((extent, i) =>
      i === axis ? shapes.reduce((sum, shape) => sum + shape[axis]!, 0) : extent,
    );
  },
  reference({ inputs, shapes, attrs: { axis }, output, shape }) {
    const rowLength = sizeOf(shape.slice(axis));
    let start = 0;
    for (const [index, input] of inputs.entries()) {
      const length = sizeOf(shapes[index]!.slice(axis));
      for (let row = 0; row * rowLength < output.length; row++)
        output.set(input.subarray(row * length, (row + 1) * length), row * rowLength + start);
      start += length;
    }
  },
  gradient(node, upstream) {
    const { axis } = node.attrs;
    let start = 0;
    return node.inputs.map((input) => {
      const end = start + input.shape[axis]!;
      const part = emit(sliceOp, [upstream], { axis, start, end, step: 1 });
      start = end;
      return part;
    });
  },
  flops: free,
});

/** Attributes of a slice. */
export interface SliceAttrs {
  readonly axis: number;
  /** First index. */
  readonly start: number;
  /** Index after the last one. */
  readonly end: number;
  /** Distance between indices. */
  readonly step: number;
}

/** Visits each contiguous run of a slice: its offset in the whole tensor and in the slice, and its length. */
function eachSlice(
  whole: Shape,
  { axis, start, end, step }: SliceAttrs,
  visit: (at: number, sliceAt: number, length: number) => void,
): void {
  const length = sizeOf(whole.slice(axis + 1));
  for (let outer = 0, sliceAt = 0; outer < sizeOf(whole.slice(0, axis)); outer++)
    for (let index = start; index < end; index += step, sliceAt += length)
      visit((outer * whole[axis]! + index) * length, sliceAt, length);
}

/** y = x at every `step`-th index from `start` to `end - 1` along the axis. */
export const sliceOp: OpDefinition<SliceAttrs, 'inference'> = defineOp<SliceAttrs>({
  op: 'slice',
  role: 'inference',
  layout: 'activations',
  perImage: true,
  exact: true,
  shape([x], { axis, start, end, step }) {
    checkAxis('slice', x!, axis);
    if (
      ![start, end, step].every(Number.isInteger) ||
      start < 0 ||
      end > x![axis]! ||
      start >= end ||
      step < 1
    )
      throw new ShapeError(
        `cannot take ${start} to ${end} in steps of ${step} along axis ${axis} of ${formatShape(x!)}: the range must lie within 0 to ${x![axis]}`,
      );
    return x!.map((extent, i) => (i === axis ? Math.ceil((end - start) / step) : extent));
  },
  reference({ inputs: [x], shapes: [xs], attrs, output }) {
    eachSlice(xs!, attrs, (at, sliceAt, length) => output.set(x!.subarray(at, at + length), sliceAt));
  },
  gradient: (node, upstream) => [emit(sliceGradOp, [upstream, node.inputs[0]!], node.attrs)],
  flops: free,
});

/** dx of a slice: dy at its indices, zero elsewhere. Inputs: dy, x (for its shape). */
export const sliceGradOp: OpDefinition<SliceAttrs, 'training'> = defineOp<SliceAttrs, 'training'>({
  op: 'sliceGrad',
  role: 'training',
  layout: 'activations',
  exact: true,
  shape: ([, x]) => x!,
  reference({ inputs: [dy], attrs, output, shape }) {
    eachSlice(shape, attrs, (at, sliceAt, length) => output.set(dy!.subarray(sliceAt, sliceAt + length), at));
  },
  gradient: BACKWARD,
  flops: free,
});

/** Attributes of zero padding: numbers of zeros before and after, for each axis. */
export interface PadAttrs {
  readonly before: readonly number[];
  readonly after: readonly number[];
}

/** y = x with zeros around it. */
export const padOp = defineOp<PadAttrs>({
  op: 'pad',
  role: 'inference',
  layout: 'activations',
  perImage: true,
  exact: true,
  shape([x], { before, after }) {
    if (
      before.length !== x!.length ||
      [...before, ...after].some((count) => !Number.isInteger(count) || count < 0)
    )
      throw new ShapeError(
        `cannot pad ${formatShape(x!)} by ${before.join(', ')} before and ${after.join(', ')} after: one whole number from 0 up per axis`,
      );
    return x!.map((extent, axis) => before[axis]! + extent + after[axis]!);
  },
  reference({ inputs: [x], shapes: [xs], attrs: { before }, output, shape }) {
    const rank = shape.length;
    const width = xs![rank - 1]!;
    const index = new Array<number>(rank - 1).fill(0);
    for (let row = 0; row * width < x!.length; row++) {
      const at =
        index.reduce((sum, i, axis) => (sum + i + before[axis]!) * shape[axis + 1]!, 0) + before[rank - 1]!;
      output.set(x!.subarray(row * width, (row + 1) * width), at);
      for (let axis = rank - 2; axis >= 0 && ++index[axis]! === xs![axis]; axis--) index[axis] = 0;
    }
  },
  gradient(node, upstream) {
    const { before } = node.attrs;
    return [
      node.inputs[0]!.shape.reduce(
        (part, extent, axis) =>
          part.shape[axis] === extent
            ? part
            : emit(sliceOp, [part], { axis, start: before[axis]!, end: before[axis]! + extent, step: 1 }),
        upstream,
      ),
    ];
  },
  flops: free,
});

/** Attributes of reshaping. */
export interface ReshapeAttrs {
  readonly shape: Shape;
}

/** y = the values of x, row-major, in another shape. */
export const reshapeOp: OpDefinition<ReshapeAttrs, 'inference'> = defineOp<ReshapeAttrs>({
  op: 'reshape',
  role: 'inference',
  layout: 'activations',
  perImage: false,
  exact: true,
  shape([x], { shape }) {
    if (sizeOf(shape) !== sizeOf(x!) || shape.some((extent) => !Number.isInteger(extent) || extent < 0))
      throw new ShapeError(
        `cannot reshape ${formatShape(x!)} to ${formatShape(shape)}: the number of values must stay, and extents are whole numbers`,
      );
    return shape;
  },
  reference({ inputs: [x], output }) {
    output.set(x!);
  },
  gradient: (node, upstream) => [emit(reshapeOp, [upstream], { shape: node.inputs[0]!.shape })],
  flops: free,
});

/** Attributes of a channel shuffle. */
export interface ChannelShuffleAttrs {
  readonly groups: number;
}

/** y = x with its channels, as a groups x (c / groups) matrix, transposed. */
export const channelShuffleOp: OpDefinition<ChannelShuffleAttrs, 'inference'> = defineOp<ChannelShuffleAttrs>(
  {
    op: 'channelShuffle',
    role: 'inference',
    layout: 'activations',
    perImage: true,
    exact: true,
    shape([x], { groups }) {
      const [, c] = pictureShape('channelShuffle', x);
      if (!Number.isInteger(groups) || groups < 1 || c % groups !== 0)
        throw new ShapeError(`cannot shuffle ${c} channels in ${groups} groups: use a divisor of ${c}`);
      return x!;
    },
    reference({ inputs: [x], attrs: { groups }, output, shape: [n, c, h, w] }) {
      const plane = h! * w!;
      const perGroup = c! / groups;
      for (let image = 0; image < n!; image++)
        for (let channel = 0; channel < c!; channel++) {
          const source = (channel % groups) * perGroup + Math.floor(channel / groups);
          const from = (image * c! + source) * plane;
          output.set(x!.subarray(from, from + plane), (image * c! + channel) * plane);
        }
    },
    gradient(node, upstream) {
      return [emit(channelShuffleOp, [upstream], { groups: node.shape[1]! / node.attrs.groups })];
    },
    flops: free,
  },
);

/**
 * Concatenates tensors along an axis.
 * @param axis - default 1, the channels.
 * @throws ShapeError if other extents differ, or there are no inputs.
 */
export const concat = (inputs: readonly Node[], axis = 1): Node => {
  const [first, ...rest] = inputs;
  if (!first) throw new ShapeError('concat needs at least one input.');
  return emit(concatOp, [first, ...rest], { axis });
};

/**
 * Makes a slice along an axis.
 * @param start - first index. Default 0.
 * @param end - index after the last one. Default: the extent of the axis.
 * @param step - distance between indices. Default 1.
 */
export const slice =
  (axis: number, start = 0, end?: number, step = 1) =>
  (x: Node): Node =>
    emit(sliceOp, [x], { axis, start, end: end ?? x.shape[axis] ?? 0, step });

/**
 * Makes a zero padding of the last axes.
 * @param amounts - numbers of zeros in the order of PyTorch's `pad`: left, right, top, bottom, channels
 * before, after.
 */
export const pad =
  (amounts: readonly number[]) =>
  (x: Node): Node => {
    const rank = x.shape.length;
    if (amounts.length % 2 !== 0 || amounts.length > 2 * rank)
      throw new ShapeError(
        `${x.graph.at()}: pad takes two numbers per axis, at most ${2 * rank} for ${formatShape(x.shape)}, got ${amounts.length}`,
      );
    const side = (offset: number) => x.shape.map((_, axis) => amounts[2 * (rank - 1 - axis) + offset] ?? 0);
    return emit(padOp, [x], { before: side(0), after: side(1) });
  };

/**
 * Makes a reshape: keeps the values, row-major.
 * @throws ShapeError if the number of values differs.
 */
export const reshape =
  (shape: Shape) =>
  (x: Node): Node =>
    emit(reshapeOp, [x], { shape });

/** Flattens all dimensions but the batch: n x c x h x w to n x (c h w). */
export const flatten = (x: Node): Node => reshape([x.shape[0]!, sizeOf(x.shape.slice(1))])(x);

/** Makes a channel shuffle, n x c x h x w (ShuffleNet, https://arxiv.org/abs/1707.01083, figure 1). */
export const channelShuffle =
  (groups: number) =>
  (x: Node): Node =>
    emit(channelShuffleOp, [x], { groups });
