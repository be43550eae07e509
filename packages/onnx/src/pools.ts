/**
 * Pooling in ONNX. With `ceilMode` the last window may reach beyond the padded input; the export writes it as more
 * padding, because engines and versions of ONNX disagree on `ceil_mode`. ONNX has no adaptive pooling: the export
 * writes it as ordinary pooling if all windows are equal and evenly spaced, else as a matrix product or a gather.
 */
import type { Padding, Shape } from '@cnn/core';
import type { AttrsOf, Window } from '@cnn/core/graph';
import { int, ints } from './builder.js';
import type { Call } from './call.js';
import { OnnxExportError } from './errors.js';

/** Returns `padding` with enough rows below and columns on the right for the last window. */
function coveringPadding({ kernel, stride, padding, dilation }: Window, from: Shape, to: Shape): Padding {
  const [bottom, right] = [0, 1].map((i) => {
    const reach = (kernel[i]! - 1) * dilation[i]! + 1;
    return Math.max(padding[i + 2]!, (to[i + 2]! - 1) * stride[i]! + reach - from[i + 2]! - padding[i]!);
  }) as [number, number];
  return [padding[0], padding[1], bottom, right];
}

/** Returns a padding of rows and columns as the `pads` of ONNX's Pad: the starts of all four axes, then the ends. */
const pads = (padding: Padding): readonly number[] => [
  0,
  0,
  ...padding.slice(0, 2),
  0,
  0,
  ...padding.slice(2),
];
const none: Padding = [0, 0, 0, 0];

/** Exports max pooling; padding is -Infinity. */
export function maxPool({ node, inputs, emit, integers, floats }: Call<AttrsOf<'maxPool'>>): string {
  const { kernel, stride, dilation } = node.attrs;
  const padding = coveringPadding(node.attrs, node.inputs[0]!.shape, node.shape);
  // Engines reject padding as large as the kernel, which a dilated window may need: a Pad node adds it.
  const separate = padding.some((pixels, edge) => pixels >= kernel[edge % 2]!);
  const x = separate
    ? emit('Pad', [inputs[0]!, integers('pads', pads(padding)), floats('lowest', [-Infinity], [])])
    : inputs[0]!;
  return emit('MaxPool', [x], {
    kernel_shape: ints(kernel),
    strides: ints(stride),
    pads: ints(separate ? none : padding),
    dilations: ints(dilation),
  });
}

/** Exports average pooling. The divisor counts padding if the op says so, but never the part of a window beyond it. */
export function averagePool({ node, inputs, emit, integers }: Call<AttrsOf<'avgPool'>>): string {
  const { kernel, stride, padding, dilation, countIncludePad } = node.attrs;
  if (dilation.some((step) => step !== 1))
    throw new OnnxExportError(
      `${node.graph.at(node.path)}: avgPool with dilation ${dilation.join(', ')} cannot be exported to ONNX: AveragePool of operator set 17 has no dilation.`,
    );
  const covering = coveringPadding(node.attrs, node.inputs[0]!.shape, node.shape);
  const overhangs = covering.some((pixels, edge) => pixels > padding[edge]!);
  // A Pad node adds padding that counts; AveragePool adds the rest, which does not.
  const separate = overhangs && countIncludePad && padding.some((pixels) => pixels > 0);
  const x = separate ? emit('Pad', [inputs[0]!, integers('pads', pads(padding))]) : inputs[0]!;
  const rest = covering.map((pixels, edge) => pixels - padding[edge]!);
  return emit('AveragePool', [x], {
    kernel_shape: ints(kernel),
    strides: ints(stride),
    pads: ints(separate ? rest : covering),
    count_include_pad: int(countIncludePad && !overhangs ? 1 : 0),
  });
}

/** Returns the window of each output pixel of adaptive pooling along one axis: input pixels `start` to `end - 1`. */
const adaptiveWindows = (from: number, to: number): readonly (readonly [start: number, end: number])[] =>
  Array.from({ length: to }, (_, i) => [Math.floor((i * from) / to), Math.ceil(((i + 1) * from) / to)]);

/** Returns kernel and stride along one axis if the windows of adaptive pooling are equal and evenly spaced. */
function uniformWindow(from: number, to: number): readonly [kernel: number, stride: number] | undefined {
  const windows = adaptiveWindows(from, to);
  const kernel = windows[0]![1];
  const stride = to === 1 ? from : windows[1]![0];
  const uniform = windows.every(([start, end], i) => start === i * stride && end - start === kernel);
  return uniform && stride > 0 ? [kernel, stride] : undefined;
}

/** Returns the attributes of the ordinary pooling that equals an adaptive one, if there is one. */
function uniformPooling([, , h, w]: Shape, [oh, ow]: readonly [number, number]) {
  const [rows, columns] = [uniformWindow(h!, oh), uniformWindow(w!, ow)];
  return (
    rows && columns && { kernel_shape: ints([rows[0], columns[0]]), strides: ints([rows[1], columns[1]]) }
  );
}

/** Exports adaptive average pooling; if windows differ, as rows * x * columns with matrices of averaging weights. */
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
  const pooling = uniformPooling(from, size);
  if (pooling) return emit('AveragePool', [x], pooling);
  const [, , h, w] = from as readonly [number, number, number, number];
  const [rows, columns] = size;
  const rowWeights = adaptiveWindows(h, rows).flatMap(([start, end]) =>
    Array.from({ length: h }, (_, i) => (i >= start && i < end ? 1 / (end - start) : 0)),
  );
  const columnWindows = adaptiveWindows(w, columns);
  const columnWeights = Array.from({ length: w }, (_, i) =>
    columnWindows.map(([start, end]) => (i >= start && i < end ? 1 / (end - start) : 0)),
  ).flat();
  return emit('MatMul', [
    emit('MatMul', [floats(`rows/${h},${rows}`, rowWeights, [rows, h]), x]),
    floats(`columns/${w},${columns}`, columnWeights, [w, columns]),
  ]);
}

/** Exports adaptive max pooling; if windows differ, as Gather and ReduceMax along each axis. */
export function adaptiveMaxPool({ node, inputs, emit, integers }: Call<AttrsOf<'adaptiveMaxPool'>>): string {
  const [x] = inputs as [string];
  const { size } = node.attrs;
  const pooling = uniformPooling(node.inputs[0]!.shape, size);
  if (pooling) return emit('MaxPool', [x], pooling);
  return size.reduce((value, extent, i) => {
    const axis = i + 2;
    const windows = adaptiveWindows(node.inputs[0]!.shape[axis]!, extent);
    // Shorter windows repeat their last pixel, which changes no maximum.
    const longest = Math.max(...windows.map(([start, end]) => end - start));
    const indices = windows.flatMap(([start, end]) =>
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
