/**
 * Poolings in ONNX. Windows that hang over the far edge are written as padding, because engines and
 * versions of ONNX do not agree on `ceil_mode`; adaptive pooling, which ONNX lacks, as a plain one where
 * all shares are alike.
 */
import type { AttrsOf, Padding, Shape, Window } from '@cnn/core';
import { int, ints } from './builder.js';
import type { Call } from './call.js';
import { OnnxExportError } from './errors.js';

/** The padding with which the last window, if it hangs over, just fits. */
function coveringPadding({ kernel, stride, padding, dilation }: Window, from: Shape, to: Shape): Padding {
  const [bottom, right] = [0, 1].map((i) => {
    const reach = (kernel[i]! - 1) * dilation[i]! + 1;
    return Math.max(padding[i + 2]!, (to[i + 2]! - 1) * stride[i]! + reach - from[i + 2]! - padding[i]!);
  }) as [number, number];
  return [padding[0], padding[1], bottom, right];
}

/** A padding of rows and columns for all four axes, as Pad takes it: first what comes before, then what comes after. */
const pads = (padding: Padding): readonly number[] => [
  0,
  0,
  ...padding.slice(0, 2),
  0,
  0,
  ...padding.slice(2),
];
const none: Padding = [0, 0, 0, 0];

/** Max pooling: padding never wins. */
export function maxPool({ node, inputs, emit, integers, floats }: Call<AttrsOf<'maxPool'>>): string {
  const { kernel, stride, dilation } = node.attrs;
  const padding = coveringPadding(node.attrs, node.inputs[0]!.shape, node.shape);
  // Engines take less than a kernel of padding; a dilated window may need more.
  const apart = padding.some((pixels, edge) => pixels >= kernel[edge % 2]!);
  const x = apart
    ? emit('Pad', [inputs[0]!, integers('pads', pads(padding)), floats('lowest', [-Infinity], [])])
    : inputs[0]!;
  return emit('MaxPool', [x], {
    kernel_shape: ints(kernel),
    strides: ints(stride),
    pads: ints(apart ? none : padding),
    dilations: ints(dilation),
  });
}

/** Average pooling: padding counts in the divisor if the op says so, what hangs beyond it never. */
export function averagePool({ node, inputs, emit, integers }: Call<AttrsOf<'avgPool'>>): string {
  const { kernel, stride, padding, dilation, countIncludePad } = node.attrs;
  if (dilation.some((step) => step !== 1))
    throw new OnnxExportError(
      `${node.graph.at(node.path)}: avgPool with dilation ${dilation.join(', ')} cannot be exported to ONNX: AveragePool has no dilation in the operator set that is written.`,
    );
  const covering = coveringPadding(node.attrs, node.inputs[0]!.shape, node.shape);
  const hangs = covering.some((pixels, edge) => pixels > padding[edge]!);
  // Zeros that count are part of the picture, so that a window may hang over them.
  const apart = hangs && countIncludePad && padding.some((pixels) => pixels > 0);
  const x = apart ? emit('Pad', [inputs[0]!, integers('pads', pads(padding))]) : inputs[0]!;
  const rest = covering.map((pixels, edge) => pixels - padding[edge]!);
  return emit('AveragePool', [x], {
    kernel_shape: ints(kernel),
    strides: ints(stride),
    pads: ints(apart ? rest : covering),
    count_include_pad: int(countIncludePad && !hangs ? 1 : 0),
  });
}

/** For each output pixel along one axis, the first input pixel of its share and the one after its last. */
const shares = (from: number, to: number): readonly (readonly [start: number, end: number])[] =>
  Array.from({ length: to }, (_, i) => [Math.floor((i * from) / to), Math.ceil(((i + 1) * from) / to)]);

/** Kernel and stride of the plain pooling that has these shares, if they are alike and evenly spaced. */
function plain(from: number, to: number): readonly [kernel: number, stride: number] | undefined {
  const all = shares(from, to);
  const kernel = all[0]![1];
  const stride = to === 1 ? from : all[1]![0];
  const alike = all.every(([start, end], i) => start === i * stride && end - start === kernel);
  return alike && stride > 0 ? [kernel, stride] : undefined;
}

/** The attributes of the plain pooling that an adaptive one is, if it is one. */
function plainPooling([, , h, w]: Shape, [oh, ow]: readonly [number, number]) {
  const [rows, columns] = [plain(h!, oh), plain(w!, ow)];
  return (
    rows && columns && { kernel_shape: ints([rows[0], columns[0]]), strides: ints([rows[1], columns[1]]) }
  );
}

/** Adaptive average pooling; in the general case a product with a matrix of shares at either side. */
export function adaptiveAveragePool({
  node,
  inputs,
  emit,
  floats,
}: Call<AttrsOf<'adaptiveAvgPool'>>): string {
  const [x] = inputs as [string];
  const from = node.inputs[0]!.shape;
  const { size } = node.attrs;
  if (size[0] === 1 && size[1] === 1) return emit('GlobalAveragePool', [x]);
  const pooling = plainPooling(from, size);
  if (pooling) return emit('AveragePool', [x], pooling);
  const [, , h, w] = from as readonly [number, number, number, number];
  const [rows, columns] = size;
  const above = shares(h, rows).flatMap(([start, end]) =>
    Array.from({ length: h }, (_, i) => (i >= start && i < end ? 1 / (end - start) : 0)),
  );
  const beside = shares(w, columns);
  const behind = Array.from({ length: w }, (_, i) =>
    beside.map(([start, end]) => (i >= start && i < end ? 1 / (end - start) : 0)),
  ).flat();
  return emit('MatMul', [
    emit('MatMul', [floats(`rows/${h},${rows}`, above, [rows, h]), x]),
    floats(`columns/${w},${columns}`, behind, [w, columns]),
  ]);
}

/** Adaptive max pooling; in the general case the shares are gathered, and the largest of each is taken. */
export function adaptiveMaxPool({ node, inputs, emit, integers }: Call<AttrsOf<'adaptiveMaxPool'>>): string {
  const [x] = inputs as [string];
  const { size } = node.attrs;
  const pooling = plainPooling(node.inputs[0]!.shape, size);
  if (pooling) return emit('MaxPool', [x], pooling);
  return size.reduce((value, extent, i) => {
    const axis = i + 2;
    const all = shares(node.inputs[0]!.shape[axis]!, extent);
    // Shorter shares are filled up with their last pixel, which changes no maximum.
    const longest = Math.max(...all.map(([start, end]) => end - start));
    const indices = all.flatMap(([start, end]) =>
      Array.from({ length: longest }, (_, offset) => Math.min(start + offset, end - 1)),
    );
    const gathered = emit(
      'Gather',
      [value, integers(`shares/${extent}x${longest}`, indices, [extent, longest])],
      { axis: int(axis) },
    );
    return emit('ReduceMax', [gathered], { axes: ints([axis + 1]), keepdims: int(0) });
  }, x);
}
