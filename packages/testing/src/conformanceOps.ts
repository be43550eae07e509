/**
 * Conformance cases of single ops: every sample of the table, once with all operands as inputs and once with
 * a model's parameters as parameters, plus values that break careless kernels.
 */
import type { Tensor } from '@cnn/core';
import { Graph, type OpDefinition, type OpName, ops } from '@cnn/core/graph';
import { type ConformanceCase, once } from './conformance.js';
import {
  activationName,
  everyActivation,
  type Sample,
  type SampleInput,
  samplesOf,
  sampleValues,
} from './samples.js';

function caseOf(op: OpName, sample: Sample, asParameters: readonly number[] = []): ConformanceCase {
  const definition: Pick<OpDefinition, 'shape' | 'exact'> = ops[op];
  const graph = new Graph({ name: op });
  const feeds = new Map<string, Tensor>();
  const weights = new Map<string, Tensor>();
  const inputs = sample.inputs.map((input, index) => {
    const name = String(index);
    const value = { shape: input.shape, data: sampleValues(`${op}/${sample.name}/${index}`, input) };
    const isParameter = asParameters.includes(index);
    (isParameter ? weights : feeds).set(name, value);
    return isParameter ? graph.parameter(name, input.shape, true) : graph.input(name, input.shape);
  });
  const shapes = inputs.map(({ shape }) => shape);
  graph.outputs.set('y', graph.add(op, inputs, sample.attrs, definition.shape(shapes, sample.attrs)));
  return {
    name: weights.size > 0 ? `${sample.name}, with parameters` : sample.name,
    graph,
    weights,
    runs: [feeds],
    // The two values of a mask are constants, which every back end rounds alike.
    exact: definition.exact === true || op === 'randomMask',
  };
}

/** Names of all ops. */
export const opNames = Object.keys(ops) as readonly OpName[];

/** Returns the cases of an op; the same objects at each call. */
export function opConformance(op: OpName): readonly ConformanceCase[] {
  const cases = known.get(op) ?? casesOf(op);
  known.set(op, cases);
  return cases;
}

const known = new Map<OpName, readonly ConformanceCase[]>();

const casesOf = (op: OpName): readonly ConformanceCase[] =>
  [...samplesOf(op), ...(edges[op] ?? [])].flatMap((sample) => {
    const { parameters = [] }: Pick<OpDefinition, 'parameters'> = ops[op];
    const asParameters = parameters.filter((index) => index < sample.inputs.length);
    return [caseOf(op, sample), ...(asParameters.length > 0 ? [caseOf(op, sample, asParameters)] : [])];
  });

/**
 * Returns cases with NaN and infinities. Shading languages do not guarantee them; all other back ends must
 * keep them.
 */
export const nonFiniteConformance = once((): readonly ConformanceCase[] =>
  Object.entries(nonFinite).flatMap(([op, samples]) =>
    samples.map((sample) => ({ ...caseOf(op as OpName, sample), name: `${op}: ${sample.name}` })),
  ),
);

type SomeSamples = Readonly<Partial<Record<OpName, readonly Sample[]>>>;

const row = (...values: readonly number[]): SampleInput => ({ shape: [1, values.length], values });
const picture = (h: number, w: number, values: readonly number[]): SampleInput => ({
  shape: [1, values.length / h / w, h, w],
  values,
});

const pooling = {
  kernel: [3, 3],
  stride: [2, 2],
  padding: [1, 1, 1, 1],
  dilation: [1, 1],
  ceilMode: false,
};

/** A convolution whose windows all lie within the padding. */
const insidePadding = {
  x: { shape: [1, 5, 2, 2] },
  w: { shape: [3, 5, 1, 1] },
  dy: { shape: [1, 3, 2, 1] },
  attrs: { stride: [3, 5], padding: [2, 2, 1, 0], dilation: [1, 1], groups: 1 },
};

/** Values and shapes that break kernels: overflow, cancellation, default values, windows without a pixel. */
const edges: SomeSamples = {
  activation: everyActivation.map((attrs) => ({
    name: `${activationName(attrs)} far out`,
    inputs: [picture(3, 3, [-1e4, -100, -30, -0, 0, 1e-30, 30, 100, 1e4])],
    attrs,
  })),
  channelMean: [{ name: 'far from zero', inputs: [{ shape: [4, 5, 9, 9], offset: 128 }], attrs: {} }],
  channelVariance: [
    {
      name: 'far from zero',
      inputs: [
        { shape: [4, 5, 9, 9], offset: 128 },
        { shape: [5], scale: 0, offset: 128 },
      ],
      attrs: {},
    },
  ],
  conv2d: [
    {
      name: 'beside the picture',
      inputs: [insidePadding.x, insidePadding.w, { shape: [3] }],
      attrs: insidePadding.attrs,
    },
  ],
  conv2dGradInput: [
    {
      name: 'beside the picture',
      inputs: [insidePadding.dy, insidePadding.w],
      attrs: { ...insidePadding.attrs, shape: insidePadding.x.shape },
    },
  ],
  conv2dGradWeight: [
    {
      name: 'beside the picture',
      inputs: [insidePadding.dy, insidePadding.x],
      attrs: { ...insidePadding.attrs, shape: insidePadding.w.shape },
    },
  ],
  crossEntropy: [
    {
      name: 'far out',
      inputs: [
        { shape: [2, 3], values: [1e4, -1e4, 0, -1e4, -1e4, 100] },
        { shape: [2], values: [1, 2] },
      ],
      attrs: { reduction: 'none', labelSmoothing: 0 },
    },
  ],
  logSoftmax: [{ name: 'far out', inputs: [row(1e4, -1e4, 0, 9999)], attrs: {} }],
  maxPool: [
    { name: 'below zero', inputs: [{ shape: [1, 19, 6, 7], offset: -5 }], attrs: pooling },
    { name: 'far below zero', inputs: [{ shape: [1, 5, 6, 7], scale: 0, offset: -1e38 }], attrs: pooling },
  ],
  softmax: [
    { name: 'far out', inputs: [row(1e4, -1e4, 0, 9999)], attrs: {} },
    { name: 'far below zero', inputs: [row(-1e4, -1e4, -1e4, -10001, -1e5)], attrs: {} },
  ],
};

const { NaN: nan } = Number;
const inf = Infinity;

const nonFinite: SomeSamples = {
  // At -Infinity GELU and the swish functions are 0 times infinity, whose result depends on their formula.
  activation: everyActivation.map((attrs) => ({
    name: `${activationName(attrs)} of no number`,
    inputs: [
      picture(2, 3, [nan, 1, inf, -2, nan, ['silu', 'gelu', 'hardSwish'].includes(attrs.fn) ? 0 : -inf]),
    ],
    attrs,
  })),
  add: [
    {
      name: 'infinities that cancel',
      inputs: [row(inf, nan, 1, inf, 2), row(-inf, 1, nan, 1, 2)],
      attrs: {},
    },
    {
      name: 'NaN through relu',
      inputs: [row(inf, nan, 1, -inf, 2), row(-inf, 1, nan, 1, 2)],
      attrs: { activation: { fn: 'relu' } },
    },
  ],
  adaptiveMaxPool: [
    {
      name: 'NaN wins',
      inputs: [picture(2, 4, [1, nan, 9, 2, -inf, -inf, inf, 3])],
      attrs: { size: [1, 2] },
    },
  ],
  avgPool: [
    {
      name: 'only its own windows',
      inputs: [picture(4, 4, [nan, 0, 1, 2, 3, 4, 5, 6, 7, 8, inf, 9, 1, 2, 3, 4])],
      attrs: {
        ...pooling,
        kernel: [2, 2],
        padding: [0, 0, 0, 0],
        countIncludePad: true,
      },
    },
  ],
  batchNorm: [
    {
      name: 'only its own channel',
      inputs: [
        picture(1, 2, [1, 2, nan, 3, 4, inf]),
        ...[1, 0, 0.5, 2].map((value) => ({ shape: [3], scale: 0, offset: value })),
      ],
      attrs: { eps: 1e-5, momentum: 0.1 },
    },
  ],
  concat: [{ name: 'moved as they are', inputs: [row(nan, 1), row(-inf, inf)], attrs: { axis: 1 } }],
  globalAvgPool: [
    { name: 'only its own channel', inputs: [picture(1, 2, [nan, 1, 2, 3, inf, 4])], attrs: {} },
  ],
  linear: [
    {
      name: 'only its own row',
      inputs: [
        { shape: [3, 2], values: [1, 2, nan, 3, inf, 4] },
        { shape: [5, 2], scale: 0.25, offset: 1 },
      ],
      attrs: {},
    },
  ],
  maxPool: [
    {
      name: 'NaN wins, padding never does',
      inputs: [picture(4, 4, [-inf, -inf, 9, 2, -inf, -inf, 3, nan, 1, 2, 3, inf, 5, 6, 7, 8])],
      attrs: pooling,
    },
    { name: 'nothing but -Infinity', inputs: [picture(3, 3, Array(9).fill(-inf))], attrs: pooling },
  ],
  mul: [{ name: 'zero times infinity', inputs: [row(inf, nan, 0, -inf), row(0, 1, nan, 2)], attrs: {} }],
  softmax: [
    {
      name: 'only its own row',
      inputs: [{ shape: [3, 3], values: [1, 2, 3, nan, 1, 2, 3, 2, -inf] }],
      attrs: {},
    },
  ],
};
