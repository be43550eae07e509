/** The ONNX form of each op (operator set 17). The compiler checks that every op of inference has an entry. */
import type { Activation, Node } from '@cnn/core';
import { type AttrsOf, definitionOf, type InferenceOp } from '@cnn/core/graph';
import { float, int, ints } from './builder.js';
import type { Call } from './call.js';
import { adaptiveAveragePool, adaptiveMaxPool, averagePool, maxPool } from './pools.js';

/** Appends the ONNX nodes of an op and returns the name of its value, or is the reason why the op has no ONNX form. */
export type Operator<A extends object> = ((call: Call<A>) => string) | string;

const folding = 'its inputs are not weights';
const dropped = 'it is removed before the export';

/** The ONNX form of every op of inference. */
const operators: { readonly [K in InferenceOp]: Operator<AttrsOf<K>> } = {
  activation: (call) => activated(call, call.inputs[0]!, call.node.attrs),
  adaptiveAvgPool: adaptiveAveragePool,
  adaptiveMaxPool,
  add: (call) => activated(call, call.emit('Add', call.inputs), call.node.attrs.activation),
  avgPool: averagePool,
  batchNorm(call) {
    const { eps, activation } = call.node.attrs;
    return activated(call, call.emit('BatchNormalization', call.inputs, { epsilon: float(eps) }), activation);
  },
  channelShuffle({ node, inputs, emit, shape }) {
    const [n, c, h, w] = node.shape as readonly [number, number, number, number];
    const { groups } = node.attrs;
    const table = emit('Reshape', [inputs[0]!, shape([n, groups, c / groups, h, w])]);
    const transposed = emit('Transpose', [table], { perm: ints([0, 2, 1, 3, 4]) });
    return emit('Reshape', [transposed, shape([n, c, h, w])]);
  },
  concat: ({ node, inputs, emit }) => emit('Concat', inputs, { axis: int(node.attrs.axis) }),
  conv2d(call) {
    const { node, emit } = call;
    const [x, w, bias, residual] = call.inputs as [string, string, string?, string?];
    const { stride, padding, dilation, groups, activation } = node.attrs;
    const sum = emit('Conv', bias === undefined ? [x, w] : [x, w, bias], {
      kernel_shape: ints(node.inputs[1]!.shape.slice(2)),
      strides: ints(stride),
      pads: ints(padding),
      dilations: ints(dilation),
      group: int(groups),
    });
    return activated(call, residual === undefined ? sum : emit('Add', [sum, residual]), activation);
  },
  dropout: dropped,
  fill: dropped,
  foldedBias: folding,
  foldedWeight: folding,
  globalAvgPool: ({ inputs, emit }) => emit('Flatten', [emit('GlobalAveragePool', inputs)], { axis: int(1) }),
  linear: (call) =>
    activated(call, call.emit('Gemm', call.inputs, { transB: int(1) }), call.node.attrs.activation),
  localResponseNorm,
  logSoftmax: ({ inputs, emit }) => emit('LogSoftmax', inputs, { axis: int(1) }),
  maxPool,
  mul: ({ inputs, emit }) => emit('Mul', inputs),
  pad: ({ node, inputs, emit, integers }) =>
    emit('Pad', [inputs[0]!, integers('pads', [...node.attrs.before, ...node.attrs.after])]),
  reshape: ({ node, inputs, emit, shape }) => emit('Reshape', [inputs[0]!, shape(node.attrs.shape)]),
  slice({ node, inputs, emit, integers }) {
    const { axis, start, end, step } = node.attrs;
    return emit('Slice', [
      inputs[0]!,
      integers('start', [start]),
      integers('end', [end]),
      integers('axis', [axis]),
      integers('step', [step]),
    ]);
  },
  softmax: ({ inputs, emit }) => emit('Softmax', inputs, { axis: int(1) }),
  stochasticDepth: dropped,
};

/** Returns the ONNX form of a node's op, or the reason why it has none. */
export const operatorOf = (node: Node): Operator<object> =>
  definitionOf(node).role === 'inference'
    ? // The table takes nodes with the attributes of their op, which TypeScript cannot know from the string `node.op`.
      ((operators as Readonly<Record<string, unknown>>)[node.op] as Operator<object>)
    : 'it belongs to training';

/** Appends the nodes of `activation`, if any. Returns the name of the result. */
function activated(call: Call, x: string, activation: Activation | undefined): string {
  const { emit, floats } = call;
  switch (activation?.fn) {
    case undefined:
      return x;
    case 'relu':
      return emit('Relu', [x]);
    case 'relu6':
      return emit('Clip', [x, floats('min/0', [0], []), floats('max/6', [6], [])]);
    case 'leakyRelu':
      return emit('LeakyRelu', [x], { alpha: float(activation.slope) });
    case 'sigmoid':
      return emit('Sigmoid', [x]);
    case 'tanh':
      return emit('Tanh', [x]);
    case 'silu':
      return emit('Mul', [x, emit('Sigmoid', [x])]);
    case 'gelu':
      return gelu(call, x, activation.approximate);
    case 'hardSwish':
      return emit('HardSwish', [x]);
    case 'hardSigmoid':
      return emit('HardSigmoid', [x], { alpha: float(1 / 6), beta: float(0.5) });
  }
}

/** Written out, since ONNX's own Gelu needs operator set 20. */
function gelu({ emit, floats }: Call, x: string, approximate: 'none' | 'tanh'): string {
  const constant = (value: number): string => floats(`gelu/${value}`, [value], []);
  const scaled = (value: string, factor: number): string => emit('Mul', [value, constant(factor)]);
  const error =
    approximate === 'none'
      ? emit('Erf', [scaled(x, Math.SQRT1_2)])
      : emit('Tanh', [
          scaled(
            emit('Add', [x, scaled(emit('Mul', [x, emit('Mul', [x, x])]), 0.044715)]),
            Math.sqrt(2 / Math.PI),
          ),
        ]);
  return emit('Mul', [scaled(x, 0.5), emit('Add', [error, constant(1)])]);
}

/**
 * An odd window is ONNX's LRN. For an even one, LRN's window reaches one channel further up than PyTorch's, and
 * engines refuse it; the sum over channels is then a 1x1 convolution with a band of equal weights.
 */
function localResponseNorm({ node, inputs, emit, floats }: Call<AttrsOf<'localResponseNorm'>>): string {
  const [x] = inputs as [string];
  const { size, alpha, beta, k } = node.attrs;
  if (size % 2 === 1)
    return emit('LRN', [x], { size: int(size), alpha: float(alpha), beta: float(beta), bias: float(k) });
  const channels = node.shape[1]!;
  const band = Array.from({ length: channels ** 2 }, (_, i) => {
    const distance = (i % channels) - Math.floor(i / channels);
    return distance >= -size / 2 && distance < size / 2 ? alpha / size : 0;
  });
  const scale = emit('Conv', [
    emit('Mul', [x, x]),
    floats(`window/${channels},${size},${alpha}`, band, [channels, channels, 1, 1]),
    floats(`bias/${channels},${k}`, Array(channels).fill(k), [channels]),
  ]);
  return emit('Div', [x, emit('Pow', [scale, floats(`exponent/${beta}`, [beta], [])])]);
}
