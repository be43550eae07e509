/**
 * A network as TensorFlow.js likes it, made from our graph as tfjs's own converter would: batch norm folded,
 * activations fused, pictures with their channels last, and weights transposed to that. A JSON file of steps
 * and a file of values; `tfjs.ts` runs them.
 */
import { type Graph, isInput, isOp, isParameter, type Node, type Shape, type Weights } from '@cnn/core';
import { Unsupported } from '../protocol.js';

/** A weight: its shape, and where its first value is. */
export interface StoredWeight {
  readonly shape: Shape;
  readonly offset: number;
}

/** One op; its value is number `i` of the values, where the input is number 0 and the first step gives number 1. */
export interface Step {
  readonly op: string;
  /** Numbers of the values that it reads. */
  readonly inputs: readonly number[];
  readonly weights: readonly StoredWeight[];
  /** As in our graph: pictures are n x c x h x w there. */
  readonly attrs: object;
  readonly shape: Shape;
}

/** The steps in order; the last one gives the output. */
export interface TfjsModel {
  readonly input: Shape;
  readonly steps: readonly Step[];
  /** Why there are none. */
  readonly unsupported?: string;
}

/** The model and its weights one after the other. */
export function toTfjs(graph: Graph, weights: Weights): { model: TfjsModel; values: Float32Array } {
  const numbers = new Map<Node, number>();
  const steps: Step[] = [];
  const parts: Float32Array[] = [];
  let size = 0;
  let input: Shape = [];
  const store = ({ shape, data }: { shape: Shape; data: Float32Array }): StoredWeight => {
    parts.push(data);
    size += data.length;
    return { shape, offset: size - data.length };
  };
  for (const node of graph.nodes) {
    if (isParameter(node)) continue;
    if (isInput(node)) {
      input = node.shape;
      numbers.set(node, 0);
      continue;
    }
    requireSupport(node);
    steps.push({
      op: isDepthwise(node) ? 'depthwiseConv2d' : node.op,
      inputs: node.inputs.filter((other) => !isParameter(other)).map((other) => numbers.get(other)!),
      weights: node.inputs
        .filter(isParameter)
        .map((parameter) => store(transposed(node, weights.get(parameter.attrs.name)!))),
      attrs: node.attrs,
      shape: node.shape,
    });
    numbers.set(node, steps.length);
  }
  const values = new Float32Array(size);
  let offset = 0;
  for (const part of parts) {
    values.set(part, offset);
    offset += part.length;
  }
  return { model: { input, steps }, values };
}

const isDepthwise = (node: Node): boolean =>
  isOp(node, 'conv2d') && node.attrs.groups > 1 && node.attrs.groups === node.inputs[0]!.shape[1];

/** Throws for what tfjs has no op for. */
function requireSupport(node: Node): void {
  if (isOp(node, 'conv2d') && node.attrs.groups > 1 && !isDepthwise(node))
    throw new Unsupported('tfjs has no grouped convolution');
  if (isOp(node, 'avgPool') && node.attrs.padding.some((pixels) => pixels > 0))
    throw new Unsupported('tfjs has no average pooling that counts padding');
  if (
    isOp(node, 'adaptiveAvgPool') &&
    `${node.attrs.size}` !== '1,1' &&
    node.inputs[0]!.shape.join() !== node.shape.join()
  )
    throw new Unsupported('tfjs has no adaptive pooling');
  if (isOp(node, 'slice') && node.attrs.step !== 1)
    throw new Unsupported('slices in steps are not translated for tfjs');
}

/** Convolutions: height x width x in x out; depthwise: height x width x channels x outputs of each; linear: in x out. */
function transposed(
  node: Node,
  { shape, data }: { readonly shape: Shape; readonly data: Float32Array },
): { shape: Shape; data: Float32Array } {
  if (shape.length === 4) {
    const [out, inner, height, width] = shape as [number, number, number, number];
    const result = new Float32Array(data.length);
    const taps = height * width;
    for (let o = 0; o < out; o++)
      for (let i = 0; i < inner; i++)
        for (let tap = 0; tap < taps; tap++)
          result[(tap * inner + i) * out + o] = data[(o * inner + i) * taps + tap]!;
    const channels = node.inputs[0]!.shape[1]!;
    return {
      shape: isDepthwise(node) ? [height, width, channels, out / channels] : [height, width, inner, out],
      data: result,
    };
  }
  if (shape.length !== 2) return { shape, data };
  const [out, inner] = shape as [number, number];
  const result = new Float32Array(data.length);
  for (let o = 0; o < out; o++) for (let i = 0; i < inner; i++) result[i * out + o] = data[o * inner + i]!;
  return { shape: [inner, out], data: result };
}
