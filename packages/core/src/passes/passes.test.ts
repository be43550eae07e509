/** Each pass on a small graph that is printed before and after, and all of them together against no pass at all. */
import { describe, expect, test, vi } from 'vitest';
import { referenceBackend } from '../backends/reference/reference.js';
import { wasmBackend } from '../backends/wasm/wasm.js';
import { Graph, isInput, type Node, parametersOf } from '../graph/graph.js';
import { printGraph } from '../graph/print.js';
import { verify } from '../graph/verify.js';
import { batchNorm, conv2d, linear } from '../nn/layers.js';
import { type Module, module, pipe, sequential } from '../nn/module.js';
import { trace } from '../nn/trace.js';
import { initialise } from '../nn/walk.js';
import { relu } from '../ops/activation.js';
import { globalAvgPool } from '../ops/adaptivePool.js';
import { add } from '../ops/arithmetic.js';
import { flatten, pad } from '../ops/arrange.js';
import { dropout, stochasticDepth } from '../ops/dropout.js';
import { fill } from '../ops/fill.js';
import { definitionOf, ops } from '../ops/index.js';
import { maxPool } from '../ops/pool.js';
import { random } from '../tensor/random.js';
import { sizeOf } from '../tensor/shape.js';
import { isLazy, tensor, valuesOf, type Weights } from '../tensor/tensor.js';
import { differentiate } from './differentiate.js';
import { evaluateConstants } from './evaluateConstants.js';
import { foldBatchNorm } from './foldBatchNorm.js';
import { forInference } from './forInference.js';
import { forTraining, SEED } from './forTraining.js';
import { fuse } from './fuse.js';
import { prepareForInference } from './prepareForInference.js';
import { prune } from './prune.js';

const block = module({ conv: conv2d(2, 2, 3, { padding: 1, bias: false }), bn: batchNorm(2) }, (m, x) =>
  relu(add(pipe(x, m.conv, m.bn), x)),
);
const lines = (graph: Graph): string[] => printGraph(graph).split('\n');

/** Weights with every value its own, so that a mix-up shows. */
function mixed(model: Module): Weights {
  const source = random(5);
  const weights = initialise(model, { seed: 2 });
  for (const [name, { data }] of weights)
    if (!name.endsWith('weight') || name.includes('bn'))
      for (let i = 0; i < data.length; i++) data[i] = 0.5 + source.uniform();
  return weights;
}

/** The outputs of a traced graph on the reference back end, with all passes or none but `forInference`. */
async function outputsOf(traced: Graph, weights: Weights, passes: boolean, x: Float32Array) {
  const form = passes
    ? prepareForInference(traced, weights)
    : { graph: prune(forInference(traced)), weights };
  const program = await referenceBackend().compile(form.graph, form.weights);
  return program.run(new Map([['x', tensor(x, [...form.graph.nodes.find(isInput)!.shape])]]));
}

test('a residual block becomes one convolution', () => {
  const traced = trace(block, [1, 2, 4, 4]);
  expect(lines(traced)).toEqual([
    '%x = input : 1x2x4x4',
    '%1 = conv2d(%x, conv.weight) stride=1,1 padding=1,1,1,1 dilation=1,1 groups=1 : 1x2x4x4  # conv',
    '%2 = batchNorm(%1, bn.weight, bn.bias, bn.running_mean, bn.running_var) eps=0.00001 momentum=0.1 : 1x2x4x4  # bn',
    '%3 = add(%2, %x) : 1x2x4x4',
    '%4 = activation(%3) fn=relu : 1x2x4x4',
    'return output = %4',
  ]);
  const { graph } = evaluateConstants(prune(fuse(foldBatchNorm(traced))), mixed(block));
  expect(lines(prune(graph))).toEqual([
    '%x = input : 1x2x4x4',
    '%1 = conv2d(%x, conv:foldedWeight:0, conv:foldedBias:1, %x) stride=1,1 padding=1,1,1,1 dilation=1,1 groups=1 residual=true activation=relu : 1x2x4x4  # conv',
    'return output = %1',
  ]);
});

test('a constant that several read is computed once', () => {
  const graph = new Graph();
  const one = graph.parameter('one', [2], false);
  const two = add(one, one);
  const four = add(two, two);
  const eight = add(four, four);
  const x = graph.input('x', [2]);
  graph.outputs.set('y', add(add(x, four), eight));
  const reference = vi.spyOn(ops.add, 'reference');
  try {
    const { weights } = evaluateConstants(graph, new Map([['one', tensor([1, -1], [2])]]));
    expect([...weights.values()].map(({ data }) => [...data])).toEqual([
      [4, -4],
      [8, -8],
      [1, -1],
    ]);
    expect(reference).toHaveBeenCalledTimes(3);
  } finally {
    reference.mockRestore();
  }
});

test('parts of folded weights have the bits that the whole has', () => {
  const model = sequential(conv2d(3, 7, 3), batchNorm(7));
  const weights = mixed(model);
  const folded = evaluateConstants(prune(foldBatchNorm(trace(model, [1, 3, 4, 4]))), weights);
  for (const [name, value] of folded.weights) {
    if (!name.includes('folded')) continue;
    expect(isLazy(value)).toBe(true);
    const size = sizeOf(value.shape);
    for (const [first, end] of [
      [0, size],
      [0, 1],
      [Math.floor(size / 3), Math.ceil(size / 2)],
      [size - 2, size],
    ] as const)
      expect(valuesOf(value, first, end)).toEqual(value.data.subarray(first, end));
  }
  expect([...folded.weights.keys()].filter((name) => name.includes('folded'))).toHaveLength(2);
});

test('an activation that a batch norm has taken on goes into the layer with it', () => {
  const traced = trace(sequential(conv2d(2, 2, 1), batchNorm(2), relu), [1, 2, 4, 4]);
  const folded = prune(foldBatchNorm(prune(fuse(traced))));
  expect(folded.output.op).toBe('conv2d');
  expect(folded.output.attrs).toMatchObject({ activation: { fn: 'relu' } });
});

test('a training step keeps its gradients when it is fused', async () => {
  const model = sequential(conv2d(2, 3, 3, { padding: 1 }), batchNorm(3), relu, globalAvgPool);
  const traced = forTraining(trace(model, [2, 2, 4, 4], { mode: 'training' }));
  const trained = [...parametersOf(traced)].filter(([, { attrs }]) => attrs.trainable);
  const gradients = differentiate(
    traced.output,
    trained.map(([, node]) => node),
    fill(traced, 1, traced.output.shape),
  );
  for (const [name, node] of trained) traced.outputs.set(name, gradients.get(node)!);
  const fused = fuse(traced);
  const count = (graph: Graph, op: string): number => graph.nodes.filter((node) => node.op === op).length;
  expect([count(traced, 'activation'), count(fused, 'activation')]).toEqual([1, 0]);
  const feeds = new Map([
    ['x', { shape: [2, 2, 4, 4], data: Float32Array.from({ length: 64 }, (_, i) => Math.sin(i)) }],
  ]);
  const run = async (graph: Graph) => (await referenceBackend().compile(graph, mixed(model))).run(feeds);
  expect(await run(fused)).toEqual(await run(traced));
});

describe('the passes keep what a model computes', () => {
  const models: Readonly<Record<string, Module>> = {
    'a residual block': block,
    'padding before a convolution': sequential(pad([1, 2, 0, 1]), conv2d(2, 3, 3), batchNorm(3), relu),
    'a linear layer with batch norm': sequential(flatten, linear(32, 5), batchNorm(5), relu),
    'batch norm without a layer before it': sequential(batchNorm(2), relu, conv2d(2, 3, 1)),
    'a convolution that two nodes read': module({ conv: conv2d(2, 2, 1), bn: batchNorm(2) }, (m, x) => {
      const y = m.conv(x);
      return add(m.bn(y), relu(y));
    }),
    'dropout and stochastic depth': sequential(
      conv2d(2, 2, 1),
      dropout(0.5),
      stochasticDepth(0.5),
      maxPool(2),
    ),
  };
  test.each(Object.entries(models))('%s', async (_, model) => {
    const weights = mixed(model);
    const x = Float32Array.from({ length: 64 }, (_v, i) => Math.sin(i));
    const outputs = await Promise.all(
      [true, false].map(async (passes) => {
        const traced = trace(model, [2, 2, 4, 4]);
        return (await outputsOf(traced, weights, passes, x)).get('output')!.data;
      }),
    );
    for (const [i, value] of outputs[0]!.entries()) expect(value).toBeCloseTo(outputs[1]![i]!, 5);
  });
});

test('an output that is asked for keeps its value under fusion and folding', async () => {
  const weights = mixed(block);
  const x = Float32Array.from({ length: 32 }, (_, i) => Math.cos(i));
  const run = async (passes: boolean) => {
    const traced = trace(block, [1, 2, 4, 4]);
    traced.outputs.set('conv', traced.modules.get('conv')!);
    return (await outputsOf(traced, weights, passes, x)).get('conv')!.data;
  };
  expect(await run(true)).toEqual(await run(false));
});

test('for inference, what is for training only is gone', () => {
  const graph = forInference(trace(sequential(dropout(0.5), stochasticDepth(0.2)), [1, 2]));
  expect(lines(graph)).toEqual(['%x = input : 1x2', 'return output = %x']);
});

describe('for training', () => {
  test('batch norm takes the statistics of the batch and updates the running ones', () => {
    const graph = forTraining(trace(batchNorm(3, { momentum: 0.2 }), [2, 3, 2, 2]));
    expect(graph.nodes.map(({ op }) => op)).toEqual(
      expect.arrayContaining(['channelMean', 'channelVariance', 'batchNormTrain']),
    );
    expect([...graph.updates.keys()]).toEqual(['running_mean', 'running_var']);
    expect(printGraph(graph)).toContain(`momentum=0.2 scale=${8 / 7}`);
    verify(graph, definitionOf);
  });

  test.each([referenceBackend(), wasmBackend()])(
    'a batch norm that is used twice averages twice on $name, as PyTorch does',
    async (backend) => {
      const model = module({ bn: batchNorm(2) }, (m, x) => pipe(x, m.bn, relu, m.bn));
      const weights = initialise(model);
      weights.set('bn.weight', tensor([2, 0.5], [2]));
      weights.set('bn.bias', tensor([0.25, -0.5], [2]));
      const program = await backend.compile(prune(forTraining(trace(model, [3, 2]))), weights);
      await program.run(new Map([['x', tensor([1, -2, 3, 0.5, -1, 4], [3, 2])]]));
      const after = await program.parameters();
      await program.dispose();
      // BatchNorm1d of PyTorch 1.13 in float64.
      for (const [name, expected] of [
        ['bn.running_mean', [0.18831617166676096, 0.07978068857133744]],
        ['bn.running_var', [1.3924949595861695, 1.6281856494964837]],
      ] as const)
        for (const [c, value] of expected.entries()) expect(after.get(name)!.data[c]).toBeCloseTo(value, 6);
    },
  );

  test('dropout multiplies by a mask from the seed, each with a stream of its own', () => {
    const graph = forTraining(trace(sequential(dropout(0.5), stochasticDepth(0.25)), [4, 3, 2, 2]));
    expect(
      graph.nodes.find(({ op, attrs }) => op === 'input' && Reflect.get(attrs, 'name') === SEED)?.shape,
    ).toEqual([1]);
    const masks = graph.nodes.filter(({ op }) => op === 'randomMask');
    expect(masks.map(({ shape, attrs }) => [shape, attrs])).toEqual([
      [[4, 3, 2, 2], { keep: 0.5, shape: [4, 3, 2, 2], stream: 0 }],
      [[4, 1, 1, 1], { keep: 0.75, shape: [4, 1, 1, 1], stream: 1 }],
    ]);
  });
});

test('prune drops what nothing needs, but no input', () => {
  const graph = trace(
    module({ used: linear(2, 2), unused: linear(2, 2) }, (m, x) => {
      m.unused(x);
      return m.used(x);
    }),
    [1, 2],
  );
  graph.input('labels', [1]);
  expect(graph.nodes.length).toBe(8);
  const pruned = prune(graph);
  expect(lines(pruned)).toEqual([
    '%x = input : 1x2',
    '%1 = linear(%x, used.weight, used.bias) : 1x2  # used',
    '%labels = input : 1',
    'return output = %1',
  ]);
  expect(pruned.modules.has('unused')).toBe(false);
});

describe('differentiate', () => {
  test('sums the gradients of a node that is used twice', async () => {
    const graph = new Graph();
    const x = graph.input('x', [2, 3]);
    const y = add(relu(x), x);
    const gradients = differentiate(y, [x], graph.input('dy', [2, 3]));
    graph.outputs.set('dx', gradients.get(x)!);
    const program = await referenceBackend().compile(prune(graph), new Map());
    const value = (data: number[]) => ({ shape: [2, 3], data: Float32Array.from(data) });
    const result = await program.run(
      new Map([
        ['x', value([1, -1, 2, -2, 3, -3])],
        ['dy', value([1, 1, 1, 1, 1, 1])],
      ]),
    );
    expect([...result.get('dx')!.data]).toEqual([2, 1, 2, 1, 2, 1]);
  });

  test('refuses a gradient of another shape than what it comes in at', () => {
    const graph = new Graph({ name: 'net' });
    const x = graph.input('x', [2, 3]);
    expect(() => differentiate(relu(x), [x], graph.input('dy', [3, 2]))).toThrow(
      'net: the upstream gradient of activation has the shape 2x3, got 3x2',
    );
  });

  test('says which op on the way has no gradient, and where', () => {
    const graph = new Graph({ name: 'net' });
    const x = graph.input('x', [2, 3]);
    const mean = graph.add('channelMean', [x], {}, [3], 'head');
    expect(() => differentiate(mean, [x])).toThrow('net/head: channelMean cannot be differentiated');
  });

  test('a target that the loss does not depend on is absent', () => {
    const graph = new Graph();
    const [x, z] = [graph.input('x', [1, 2]), graph.input('z', [1, 2])];
    const gradients: ReadonlyMap<Node, Node> = differentiate(relu(x), [x, z], graph.input('dy', [1, 2]));
    expect([gradients.has(x), gradients.has(z)]).toEqual([true, false]);
  });
});
