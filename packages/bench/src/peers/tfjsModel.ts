/**
 * Converts a graph to a model for TensorFlow.js, as tfjs's converter would: batch norm folded, activations
 * fused, images in n x h x w x c order, weights transposed to match. The model is a JSON file of steps and a
 * file of values; `tfjs.ts` runs it.
 */
import type { Node, Shape, Weights } from '@cnn/core';
import { type Graph, isInput, isOp, isParameter } from '@cnn/core/graph';
import { Unsupported } from '../peer.js';

/** Shape of a weight, and index of its first value in the file of values. */
export interface StoredWeight {
  readonly shape: Shape;
  readonly offset: number;
}

/** One op. Values are numbered: the input is 0, and step `i`, counted from 0, computes value `i + 1`. */
export interface Step {
  readonly op: string;
  /** Numbers of its input values. */
  readonly inputs: readonly number[];
  readonly weights: readonly StoredWeight[];
  /** Attributes as in the graph of @cnn, for n x c x h x w images. */
  readonly attrs: object;
  readonly shape: Shape;
}

/** Steps in order; the last one computes the output. */
export interface TfjsModel {
  readonly input: Shape;
  readonly steps: readonly Step[];
  /** Reason why tfjs cannot run the network; then `steps` is empty. */
  readonly unsupported?: string;
}

/** Converts a graph; `values` holds all weights in order. @throws Unsupported if tfjs lacks an op. */
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

/** @throws Unsupported if tfjs has no op for the node. */
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
    throw new Unsupported('the benchmark has no slice with a step for tfjs');
}

/**
 * Transposes a weight to tfjs's order: height x width x in x out for convolutions, height x width x channels
 * x outputs per channel for depthwise ones, in x out for linear layers.
 */
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
