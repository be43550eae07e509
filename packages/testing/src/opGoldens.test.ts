/**
 * Compares every op case of the goldens, forward and gradient, with the reference back end in float64 and
 * float32.
 */
import {
  adaptiveAvgPool,
  adaptiveMaxPool,
  add,
  avgPool,
  channelShuffle,
  concat,
  gelu,
  globalAvgPool,
  hardSigmoid,
  hardSwish,
  leakyRelu,
  localResponseNorm,
  logSoftmax,
  maxPool,
  mul,
  type Node,
  type Pair,
  pad,
  referenceBackend,
  relu,
  relu6,
  reshape,
  sigmoid,
  silu,
  sizeOf,
  softmax,
  type Tensor,
  tanh,
  tensor,
} from '@cnn/core';
import {
  crossEntropyLoss,
  differentiate,
  emit,
  fill,
  Graph,
  nllLoss,
  ops,
  type Reduction,
  samePadding,
  type Values,
} from '@cnn/core/graph';
import { describe, expect, test } from 'vitest';
import { evaluate } from './evaluate.js';
import { type OpCase, opCases } from './goldens.js';
import { fillTensor } from './scheme.js';

const activations: Readonly<Record<string, (x: Node) => Node>> = {
  relu,
  relu6,
  leaky_relu_001: leakyRelu(0.01),
  sigmoid,
  tanh,
  silu,
  hardswish: hardSwish,
  hardsigmoid: hardSigmoid,
  // The article's formula; at x = -3 its gradient is 0, while that of PyTorch's hard swish is -0.5.
  h_swish_seed: (x) => mul(x, hardSigmoid(x)),
  h_sigmoid_seed: hardSigmoid,
};

/** Attributes by their names in the golden files. */
interface GoldenAttrs {
  readonly fn: string;
  readonly approximate: 'none' | 'tanh';
  readonly points?: readonly number[];
  readonly output: Pair;
  readonly kernel: Pair;
  readonly stride: readonly [number, number];
  readonly padding: readonly [number, number];
  readonly dilation: readonly [number, number];
  readonly groups: number;
  readonly ceilMode: boolean;
  readonly countIncludePad: boolean;
  readonly training: boolean;
  readonly eps: number;
  readonly momentum: number | null;
  readonly affine?: boolean;
  readonly size: number;
  readonly alpha: number;
  readonly beta: number;
  readonly k: number;
  readonly p: number;
  readonly keep: readonly number[];
  readonly pad: readonly number[];
  readonly labels: readonly number[];
  readonly labelSmoothing: number;
  readonly reduction: Reduction;
}

/** Results of a case, by their names in the golden. */
interface Built extends Readonly<Record<string, Node | undefined>> {
  readonly y: Node;
}

/** Builds the op of a case from its tensors. @param constant - adds a further input with a value. */
type Build = (
  t: Readonly<Record<string, Node>>,
  attrs: GoldenAttrs,
  constant: (name: string, value: Tensor) => Node,
) => Built;

/** Batch norm with batch statistics, and its running averages after one and after two batches. */
const trainingNorm: Build = (t, { eps, momentum, affine = true }, constant) => {
  const x = t.x!;
  const channels = [x.shape[1]!];
  const one = (name: string, value: number) =>
    constant(name, tensor(new Float32Array(channels[0]!).fill(value), channels));
  const [weight, bias] = affine ? [t.weight!, t.bias!] : [one('ones', 1), one('zeros', 0)];
  const statistics = (of: Node) => {
    const mean = emit(ops.channelMean, [of], {});
    return { mean, variance: emit(ops.channelVariance, [of, mean], {}) };
  };
  const { mean, variance } = statistics(x);
  const y = emit(ops.batchNormTrain, [x, weight, bias, mean, variance], { eps });
  if (!affine) return { y };
  const count = (x.shape[0]! * x.shape[2]! * x.shape[3]!) as number;
  const scale = count / (count - 1);
  // Momentum null means PyTorch's cumulative average: momentum 1, then 1/2.
  const [first, second] = momentum === null ? [1, 0.5] : [momentum, momentum];
  const track = (running: Node, value: Node, share: number, factor: number) =>
    emit(ops.runningAverage, [running, value], { momentum: share, scale: factor });
  const mean1 = track(t.running_mean!, mean, first, 1);
  const variance1 = track(t.running_var!, variance, first, scale);
  const next = statistics(
    add(
      add(x, x),
      constant('minus', tensor(new Float32Array(x.shape.reduce((a, b) => a * b)).fill(-1), x.shape)),
    ),
  );
  return {
    y,
    running_mean_1: mean1,
    running_var_1: variance1,
    running_mean_2: track(mean1, next.mean, second, 1),
    running_var_2: track(variance1, next.variance, second, scale),
  };
};

/** Dropout with the mask of the golden in place of `randomMask`. */
const masked: Build = (t, { p, keep, training }, constant) => {
  const x = t.x!;
  if (training === false) return { y: x };
  const shape = keep.length === x.shape[0] ? [keep.length, ...x.shape.slice(1).map(() => 1)] : x.shape;
  // The factor is an attribute, which is not rounded to float32.
  const kept = mul(x, constant('kept', tensor(keep, shape)));
  return { y: mul(kept, fill(x.graph, 1 / (1 - p), shape)) };
};

const convolve = (
  t: Readonly<Record<string, Node>>,
  attrs: Omit<GoldenAttrs, 'padding'>,
  padding: readonly [number, number, number, number],
) =>
  emit(ops.conv2d, t.b ? [t.x!, t.w!, t.b] : [t.x!, t.w!], {
    stride: attrs.stride,
    padding,
    dilation: attrs.dilation ?? [1, 1],
    groups: attrs.groups,
  });

const builds: Readonly<Record<string, Build>> = {
  activation: (t, { fn }) => ({ y: activations[fn]!(t.x!) }),
  adaptive_avg_pool2d: (t, { output }) => ({ y: adaptiveAvgPool(output)(t.x!) }),
  adaptive_max_pool2d: (t, { output }) => ({ y: adaptiveMaxPool(output)(t.x!) }),
  avg_pool2d: (t, { kernel, ...options }) => ({ y: avgPool(kernel, options)(t.x!) }),
  batch_norm: (t, attrs, constant) =>
    attrs.training
      ? trainingNorm(t, attrs, constant)
      : {
          y: emit(ops.batchNorm, [t.x!, t.weight!, t.bias!, t.running_mean!, t.running_var!], {
            eps: attrs.eps,
            momentum: 0.1,
          }),
        },
  channel_shuffle: (t, { groups }) => ({ y: channelShuffle(groups)(t.x!) }),
  concat: (t) => ({ y: concat([t.a!, t.c!]) }),
  conv2d: (t, attrs) => ({ y: convolve(t, attrs, [...attrs.padding, ...attrs.padding]) }),
  conv2d_same: (t, attrs) => {
    const [, , h, w] = t.x!.shape as [number, number, number, number];
    const window = {
      kernel: attrs.kernel as [number, number],
      stride: attrs.stride,
      dilation: [1, 1] as const,
    };
    // If the attributes have no kernel size, the weight has it.
    const kernel = attrs.kernel ? window.kernel : (t.w!.shape.slice(2) as [number, number]);
    return { y: convolve(t, attrs, samePadding([h, w], { ...window, kernel })) };
  },
  cross_entropy: (t, { labels, labelSmoothing, reduction }, constant) => ({
    y: crossEntropyLoss(t.x!, constant('labels', tensor(labels, [labels.length])), {
      labelSmoothing,
      reduction,
    }),
  }),
  dropout: masked,
  global_avg_pool: (t) => ({ y: globalAvgPool(t.x!) }),
  linear: (t) => ({ y: emit(ops.linear, t.b ? [t.x!, t.w!, t.b] : [t.x!, t.w!], {}) }),
  local_response_norm: (t, { size, ...options }) => ({ y: localResponseNorm(size, options)(t.x!) }),
  log_softmax: (t) => ({ y: logSoftmax(t.x!) }),
  max_pool2d: (t, { kernel, ...options }) => ({ y: maxPool(kernel, options)(t.x!) }),
  nll_loss: (t, { labels, reduction }, constant) => ({
    y: nllLoss(logSoftmax(t.x!), constant('labels', tensor(labels, [labels.length])), { reduction }),
  }),
  pad: (t, { pad: amounts }) => ({ y: pad(amounts)(t.x!) }),
  se_block: (t) => {
    const x = t.x!;
    const one = { stride: [1, 1], padding: [0, 0, 0, 0], dilation: [1, 1], groups: 1 } as const;
    const squeezed = reshape([x.shape[0]!, x.shape[1]!, 1, 1])(globalAvgPool(x));
    const hidden = relu(emit(ops.conv2d, [squeezed, t.w1!, t.b1!], one));
    return { y: mul(x, hardSigmoid(emit(ops.conv2d, [hidden, t.w2!, t.b2!], one))) };
  },
  gelu: (t, { approximate }) => ({ y: gelu(approximate)(t.x!) }),
  softmax: (t) => ({ y: softmax(t.x!) }),
  stochastic_depth: masked,
};

/** Returns the values of a case's tensors; for activations at given points, the points. */
function tensorsOf({ id, tensors, attrs }: OpCase): ReadonlyMap<string, Tensor> {
  const { points } = attrs as GoldenAttrs;
  if (points) return new Map([['x', tensor(points, [points.length])]]);
  return new Map(
    Object.entries(tensors).map(([name, { shape, scale, offset }]) => [
      name,
      fillTensor(`${id}/${name}`, shape, scale, offset),
    ]),
  );
}

/** Builds the graph of a case, whose outputs have the golden's names, with the values of its inputs. */
function build(golden: OpCase) {
  const graph = new Graph({ name: golden.id });
  const feeds = new Map(tensorsOf(golden));
  const nodes = Object.fromEntries([...feeds].map(([name, { shape }]) => [name, graph.input(name, shape)]));
  const constant = (name: string, value: Tensor): Node => {
    feeds.set(name, value);
    return graph.input(name, value.shape);
  };
  const attrs = golden.attrs as GoldenAttrs;
  const built = builds[golden.op]!(nodes, attrs, constant);
  for (const [name, node] of Object.entries(built)) if (node) graph.outputs.set(name, node);
  const { y } = built;
  const ones = y.shape.length === 0 || attrs.points !== undefined;
  const upstream = ones
    ? tensor(new Float32Array(sizeOf(y.shape)).fill(1), y.shape)
    : fillTensor(`${golden.id}/g`, y.shape);
  const gradients = differentiate(y, Object.values(nodes), constant('g', upstream));
  for (const [name, node] of Object.entries(nodes)) {
    const gradient = gradients.get(node);
    if (gradient) graph.outputs.set(`d${name}`, gradient);
  }
  return { graph, feeds };
}

/** Computes all outputs of a case in float64 from end to end. */
function inFloat64(golden: OpCase): ReadonlyMap<string, Values> {
  const { graph, feeds } = build(golden);
  const values = evaluate(
    graph,
    new Map([...feeds].map(([name, { data }]) => [name, Float64Array.from(data)])),
  );
  return new Map([...graph.outputs].map(([name, node]) => [name, values.get(node)!]));
}

/** Computes all outputs of a case with the reference back end in float32. */
async function inFloat32(golden: OpCase): Promise<ReadonlyMap<string, Values>> {
  const { graph, feeds } = build(golden);
  const program = await referenceBackend({ precision: 'float32' }).compile(graph, new Map());
  return new Map([...(await program.run(feeds))].map(([name, { data }]) => [name, data]));
}

describe.each([
  // Goldens have nine digits. PyTorch's slope of hardsigmoid is 1/6 rounded to float32, even in float64, and
  // thus 3e-8 too large.
  ['float64', inFloat64, (id: string) => (id === 'se_block/hardsigmoid' ? 3.1e-8 : 1e-8)],
  ['float32', inFloat32, () => 4e-6],
] as const)('in %s', (_, resultsOf, tolerance) => {
  test.each(opCases().map((golden) => [golden.id, golden] as const))('%s', async (_id, golden) => {
    const { outputs } = build(golden).graph;
    const results = await resultsOf(golden);
    for (const [name, expected] of Object.entries(golden.out)) {
      expect(outputs.get(name)?.shape, `${name} has a shape`).toEqual(expected.shape);
      const result = results.get(name)!;
      const largest = Math.max(1, ...expected.data.map(Math.abs));
      for (const [i, value] of expected.data.entries())
        if (!(Math.abs(result[i]! - value) <= tolerance(golden.id) * largest))
          expect.fail(`${name}[${i}] is ${result[i]}, PyTorch has ${value}`);
    }
  });
});
