/** Compares every op's gradient with central differences in float64, and checks the op table. */
import { differentiate, Graph, type OpDefinition, type OpName, ops } from '@cnn/core/graph';
import { describe, expect, test } from 'vitest';
import { evaluate } from './evaluate.js';
import { opCases } from './goldens.js';
import { type Sample, samplesOf, sampleValues } from './samples.js';

/**
 * Kinks of the functions. A central difference across a kink is meaningless, so samples are moved away from
 * them.
 */
const kinks = [-3, 0, 3, 6];
const step = 1e-5;

/** The part of an op's definition that the tests use. */
type Definition = Pick<OpDefinition, 'op' | 'shape' | 'flops'> & { readonly gradient: unknown };

function check(definition: Definition, sample: Sample): void {
  const graph = new Graph({ name: definition.op });
  const feeds = new Map(
    sample.inputs.map((input, i) => [
      String(i),
      Float64Array.from(sampleValues(`${definition.op}/${sample.name}/${i}`, input)),
    ]),
  );
  for (const values of feeds.values())
    for (const [i, value] of values.entries())
      if (!Number.isInteger(value) && kinks.some((kink) => Math.abs(value - kink) < 10 * step))
        values[i] = value + 20 * step;
  const inputs = sample.inputs.map((input, i) => graph.input(String(i), input.shape));
  const y = graph.add(
    definition.op,
    inputs,
    sample.attrs,
    definition.shape(
      inputs.map((input) => input.shape),
      sample.attrs,
    ),
  );
  const upstream = graph.input('upstream', y.shape);
  const weights = Float64Array.from(
    sampleValues(`${definition.op}/${sample.name}/upstream`, { shape: y.shape }),
  );
  feeds.set('upstream', weights);
  const gradients = differentiate(y, inputs, upstream);
  const analytic = evaluate(graph, feeds);
  const loss = (): number =>
    Array.from(evaluate(graph, feeds).get(y)!).reduce((sum, value, i) => sum + value * weights[i]!, 0);
  for (const [index, input] of inputs.entries()) {
    const gradient = gradients.get(input);
    if (!gradient) continue;
    const values = feeds.get(String(index))!;
    const expected = analytic.get(gradient)!;
    // Checks about 12 elements of each input, since an op treats all elements alike.
    const stride = Math.max(1, Math.floor(values.length / 12));
    for (let i = 0; i < values.length; i += stride) {
      const original = values[i]!;
      values[i] = original + step;
      const above = loss();
      values[i] = original - step;
      const below = loss();
      values[i] = original;
      const numeric = (above - below) / (2 * step);
      expect(expected[i], `${sample.name}: input ${index}, element ${i}`).toBeCloseTo(numeric, 5);
    }
  }
}

const table = (Object.keys(ops) as OpName[]).map((name): readonly [OpName, Definition] => [name, ops[name]]);
/**
 * Ops with a gradient, except batchNormTrain: its statistics are inputs, but its gradient treats them as
 * functions of x.
 */
const tested = table.filter(([name, op]) => typeof op.gradient !== 'string' && name !== 'batchNormTrain');

describe.each(tested)('the gradient of %s', (op, definition) => {
  test.each(samplesOf(op).map((sample) => [sample.name, sample] as const))('%s', (_name, sample) => {
    if ('activation' in sample.attrs || 'residual' in sample.attrs)
      expect(() => check(definition, sample)).toThrow('differentiate the graph before it is fused');
    else check(definition, sample);
  });
});

test('batch norm with batch statistics: gradient through mean and variance', () => {
  const graph = new Graph();
  const x = graph.input('x', [3, 2, 2, 3]);
  const [weight, bias] = [graph.input('weight', [2]), graph.input('bias', [2])];
  const mean = graph.add('channelMean', [x], {}, [2]);
  const variance = graph.add('channelVariance', [x, mean], {}, [2]);
  const y = graph.add('batchNormTrain', [x, weight, bias, mean, variance], { eps: 1e-3 }, x.shape);
  const upstream = graph.input('upstream', y.shape);
  const feeds = new Map(
    [x, weight, bias, upstream].map((node) => {
      const { name } = node.attrs as { readonly name: string };
      return [name, Float64Array.from(sampleValues(`batchNorm/${name}`, { shape: node.shape }))];
    }),
  );
  const gradients = differentiate(y, [x, weight, bias], upstream);
  const analytic = evaluate(graph, feeds);
  const loss = (): number =>
    Array.from(evaluate(graph, feeds).get(y)!).reduce(
      (sum, value, i) => sum + value * feeds.get('upstream')![i]!,
      0,
    );
  for (const [node, gradient] of gradients) {
    const values = feeds.get((node.attrs as { readonly name: string }).name)!;
    for (const [i, original] of [...values].entries()) {
      values[i] = original + step;
      const above = loss();
      values[i] = original - step;
      const below = loss();
      values[i] = original;
      expect(analytic.get(gradient)![i]).toBeCloseTo((above - below) / (2 * step), 6);
    }
  }
});

/** Golden file of each op. Ops without one are in `reasons`, which says how else they are tested. */
const goldenOf: Readonly<Record<string, string>> = {
  activation: 'activation',
  adaptiveAvgPool: 'adaptive_avg_pool2d',
  adaptiveMaxPool: 'adaptive_max_pool2d',
  avgPool: 'avg_pool2d',
  batchNorm: 'batch_norm',
  batchNormTrain: 'batch_norm',
  channelMean: 'batch_norm',
  channelVariance: 'batch_norm',
  runningAverage: 'batch_norm',
  channelShuffle: 'channel_shuffle',
  concat: 'concat',
  conv2d: 'conv2d',
  crossEntropy: 'cross_entropy',
  globalAvgPool: 'global_avg_pool',
  linear: 'linear',
  localResponseNorm: 'local_response_norm',
  logSoftmax: 'log_softmax',
  maxPool: 'max_pool2d',
  mul: 'se_block',
  nllLoss: 'nll_loss',
  pad: 'pad',
  reshape: 'se_block',
  softmax: 'softmax',
};
const byGradientOf = (op: string) => `its values are the gradients of ${op}'s golden cases`;
const reasons: Readonly<Record<string, string>> = {
  activationGrad: byGradientOf('activation'),
  adaptiveAvgPoolGrad: byGradientOf('adaptiveAvgPool'),
  adaptiveMaxPoolGrad: byGradientOf('adaptiveMaxPool'),
  avgPoolGrad: byGradientOf('avgPool'),
  batchNormGradInput: byGradientOf('batchNorm'),
  batchNormGradWeight: byGradientOf('batchNorm'),
  batchNormTrainGradInput: byGradientOf('batchNormTrain'),
  channelSum: byGradientOf('conv2d'),
  conv2dGradInput: byGradientOf('conv2d'),
  conv2dGradWeight: byGradientOf('conv2d'),
  crossEntropyGrad: byGradientOf('crossEntropy'),
  globalAvgPoolGrad: byGradientOf('globalAvgPool'),
  localResponseNormGrad: byGradientOf('localResponseNorm'),
  logSoftmaxGrad: byGradientOf('logSoftmax'),
  matmul: byGradientOf('linear'),
  maxPoolGrad: byGradientOf('maxPool'),
  nllLossGrad: byGradientOf('nllLoss'),
  slice: byGradientOf('concat'),
  softmaxGrad: byGradientOf('softmax'),
  sumTo: byGradientOf('mul'),
  add: 'the goldens of whole networks and of training runs test it',
  sliceGrad: 'central differences of slice test it',
  dropout: 'identity by definition; the goldens of dropout test the product with a mask',
  stochasticDepth: 'identity by definition; the goldens of stochastic depth test the product with a mask',
  randomMask: 'its random numbers have no reference; their statistics are tested',
  fill: 'a constant',
  foldedBias: 'folding is tested against the graph before it, and by the goldens of whole networks',
  foldedWeight: 'folding is tested against the graph before it, and by the goldens of whole networks',
  linearCombination: 'the goldens of training runs test the optimizers',
  squareAverage: 'the goldens of training runs test the optimizers',
  descend: 'the goldens of training runs test the optimizers',
  adaptiveDescend: 'the goldens of training runs test the optimizers',
  sumOfSquares: 'a sum of squares',
  clipByNorm: 'tested against its formula',
};

describe.each(table)('%s', (name, definition) => {
  test('has a gradient or a reason, FLOPs, samples, and a golden or a reason', () => {
    expect(definition.op).toBe(name);
    if (typeof definition.gradient === 'string') expect(definition.gradient.length).toBeGreaterThan(10);
    expect(samplesOf(name).length).toBeGreaterThan(0);
    for (const { inputs, attrs } of samplesOf(name)) {
      const shapes = inputs.map(({ shape }) => shape);
      expect(definition.flops(shapes, definition.shape(shapes, attrs), attrs)).toBeGreaterThanOrEqual(0);
    }
    const golden = goldenOf[name];
    if (golden) expect(opCases().some(({ op }) => op === golden)).toBe(true);
    else expect(reasons[name], `${name} has neither a golden nor a reason`).toBeDefined();
  });
});
