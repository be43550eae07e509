/** The formulas of activations, optimizer steps and batch normalisation give the same bits as plain JavaScript. */
import { largestDifference } from '@cnn/testing/fixtures';
import { everyActivation } from '@cnn/testing/samples';
import { describe, expect, test } from 'vitest';
import { type Activation, formulaOf } from './activations.js';
import * as batchNorm from './batchNorm.js';
import { evaluate, type Source } from './evaluate.js';
import { add, div, type Expression, input, mul, sub } from './expression.js';
import { optimizerStep } from './optimizer.js';

/** 4,001 arguments: a grid through 0 and all kinks, both zeros, infinities, NaN, large and small values. */
const special = [
  0,
  -0,
  Infinity,
  -Infinity,
  Number.NaN,
  1e-300,
  -1e-300,
  1e300,
  -1e300,
  709.9,
  -745.2,
  36.7,
  -36.7,
];
const args = Float64Array.from({ length: 4001 }, (_, i) => special[i - 3988] ?? (i - 1994) / 256);

const logistic = (x: number): number => 1 / (1 + Math.exp(-x));
const gate = (x: number): number => Math.min(Math.max(x + 3, 0), 6);

/** The value and the slope of each activation. */
const plain: Readonly<
  Record<
    Exclude<Activation['fn'], 'gelu'>,
    readonly [(x: number, slope: number) => number, (x: number, slope: number) => number]
  >
> = {
  relu: [(x) => Math.max(x, 0), (x) => (x > 0 ? 1 : 0)],
  relu6: [(x) => Math.min(Math.max(x, 0), 6), (x) => (x > 0 && x < 6 ? 1 : 0)],
  leakyRelu: [(x, slope) => (x < 0 ? x * slope : x), (x, slope) => (x > 0 ? 1 : slope)],
  sigmoid: [logistic, (x) => logistic(x) * (1 - logistic(x))],
  tanh: [Math.tanh, (x) => 1 - Math.tanh(x) ** 2],
  silu: [(x) => x * logistic(x), (x) => logistic(x) * (1 + x * (1 - logistic(x)))],
  hardSwish: [(x) => (x * gate(x)) / 6, (x) => (x < -3 ? 0 : x >= 3 ? 1 : (2 * x + 3) / 6)],
  hardSigmoid: [(x) => gate(x) / 6, (x) => (x > -3 && x < 3 ? 1 / 6 : 0)],
};

const leaky = [0.01, 0, 1, 0.3, -0.5, 1.5].map((slope): Activation => ({ fn: 'leakyRelu', slope }));

test.each(
  [...everyActivation, ...leaky].flatMap((activation) =>
    activation.fn === 'gelu' ? [] : [[JSON.stringify(activation), activation] as const],
  ),
)('%s', (_, activation) => {
  const { value, slope } = formulaOf(activation);
  const parameter = activation.fn === 'leakyRelu' ? activation.slope : 0;
  for (const [index, expression] of [value, slope].entries()) {
    const results = new Float64Array(args.length);
    evaluate(expression, { x: args }, results);
    const expected = args.map((x) => plain[activation.fn][index]!(x, parameter));
    const wrong = args.filter((_, i) => !Object.is(results[i], expected[i]));
    expect([...wrong], 'arguments with other results').toEqual([]);
  }
});

/** Arguments; value and slope of GELU, then of its approximation by tanh, by mpmath with 40 digits. */
const geluRows = [
  [-40, 0, 0, 0, 0],
  [-6.5, -2.61040037951e-10, -1.69505179376e-9, -6.27825877259e-13, -6.58347376776e-12],
  [-3, -0.00404969409489, -0.0119456472042, -0.00363739208177, -0.011584166631],
  [-1.25, -0.132062217084, -0.122661583069, -0.13228579703, -0.12249263225],
  [-0.75, -0.169970514283, 0.000774278260765, -0.170039444834, 0.00106174386259],
  [-0.001, -0.000499601057786, 0.499202115705, -0.000499601057786, 0.499202115706],
  [0, 0, 0.5, 0, 0.5],
  [0.001, 0.000500398942214, 0.500797884295, 0.000500398942214, 0.500797884294],
  [0.5, 0.345731230637, 0.867495124656, 0.345714009825, 0.867369903535],
  [1, 0.841344746069, 1.08331547059, 0.841191990608, 1.08296408385],
  [2.5, 2.48447583669, 1.03761108591, 2.48491573391, 1.03795157621],
  [4, 3.99987331503, 1.00050364966, 3.99992975405, 1.0003351232],
  [9, 9, 1, 9, 1],
] as const;

test.each([
  ['none', 1e-9, 1],
  ['tanh', 1e-11, 3],
] as const)('gelu, approximate %s: the error is below %s', (approximate, tolerance, column) => {
  const { value, slope } = formulaOf({ fn: 'gelu', approximate });
  for (const [index, expression] of [value, slope].entries()) {
    const results = new Float64Array(geluRows.length);
    evaluate(expression, { x: Float64Array.from(geluRows, ([x]) => x) }, results);
    for (const [i, row] of geluRows.entries())
      expect(Math.abs(results[i]! - row[column + index]!), `at ${row[0]}`).toBeLessThan(tolerance);
  }
});

test('the slope at f(x) is that at x, where a formula says so', () => {
  for (const activation of [...everyActivation, ...leaky]) {
    const { value, slope, slopeAtOutput } = formulaOf(activation);
    const [y, atX, atY] = [0, 1, 2].map(() => new Float64Array(args.length)) as [
      Float64Array,
      Float64Array,
      Float64Array,
    ];
    evaluate(value, { x: args }, y);
    evaluate(slope, { x: args }, atX);
    evaluate(slope, { x: y }, atY);
    expect(
      atY.every((value, i) => Object.is(value, atX[i])),
      JSON.stringify(activation),
    ).toBe(slopeAtOutput ?? false);
  }
});

const [p, m, v] = [3, 5, 7].map((factor) =>
  Float64Array.from({ length: 1100 }, (_, i) => ((i * factor) % 101) / 64 + 2 ** -20),
) as [Float64Array, Float64Array, Float64Array];

/** Computes an expression for the elements of `p`, `m` and `v`. */
function valuesOf<I extends string>(
  expression: Expression<I>,
  inputs: Readonly<Record<I, Source>>,
): Float64Array {
  const values = new Float64Array(p.length);
  evaluate(expression, inputs, values);
  return values;
}

describe('optimizer steps', () => {
  const [rate, c1, c2, total] = [0.037, 0.271, 0.0199, 5.3];
  const cases = {
    linearCombination: [{ a: 0.9, b: 0.1 }, { x: p, z: m }, (i) => 0.9 * p[i]! + 0.1 * m[i]!],
    runningAverage: [
      { momentum: 0.1, scale: 1.25 },
      { x: p, z: m },
      (i) => (1 - 0.1) * p[i]! + 0.1 * 1.25 * m[i]!,
    ],
    squareAverage: [{ a: 0.999, b: 0.001 }, { x: p, z: m }, (i) => 0.999 * p[i]! + 0.001 * m[i]! ** 2],
    descend: [{ index: 1 }, { parameter: p, direction: m, rate }, (i) => p[i]! - rate * m[i]!],
    adaptiveDescend: [
      { index: 0, eps: 1e-8, decay: 0.01 },
      { parameter: p, direction: m, squares: v, rate, c1, c2 },
      (i) => p[i]! * (1 - rate * 0.01) - (rate * (m[i]! / c1)) / (Math.sqrt(v[i]! / c2) + 1e-8),
    ],
    clipByNorm: [
      { maxNorm: 0.5 },
      { x: p, total },
      (i) => p[i]! * Math.min(1, 0.5 / (Math.sqrt(total) + 1e-6)),
    ],
  } as const satisfies Readonly<
    Record<
      Parameters<typeof optimizerStep>[0],
      readonly [object, Readonly<Record<string, Source>>, (i: number) => number]
    >
  >;
  test.each(Object.keys(cases) as (keyof typeof cases)[])('%s', (op) => {
    const [attrs, inputs, expected] = cases[op];
    const { names, result } = optimizerStep(op, attrs);
    expect(names.flatMap((name) => (typeof name === 'string' ? [name] : Object.keys(name)))).toEqual(
      Object.keys(inputs),
    );
    expect(valuesOf(result, inputs)).toEqual(p.map((_, i) => expected(i)));
  });
});

describe('batch normalisation', () => {
  const [eps, run, channels, count] = [1e-3, 37, 5, 148];
  const statistics = [11, 13, 17, 19, 23, 29].map((factor) =>
    Float64Array.from({ length: channels }, (_, c) => ((c * factor + 3) % 31) / 16),
  ) as [Float64Array, Float64Array, Float64Array, Float64Array, Float64Array, Float64Array];
  const [weight, bias, mean, variance, dweight, dbias] = statistics;
  const perChannel = (perRun: Float64Array): Source => ({ perRun, run });
  const inputs = {
    x: p,
    w: p,
    dy: m,
    weight: perChannel(weight),
    bias: perChannel(bias),
    mean: perChannel(mean),
    variance: perChannel(variance),
    dweight: perChannel(dweight),
    dbias: perChannel(dbias),
    layerBias: 0.75,
  };
  /** Computes a formula for every element, from its channel and the deviation there. */
  const expected = (formula: (i: number, c: number, s: number) => number): Float64Array =>
    p.map((_, i) => {
      const c = Math.floor(i / run) % channels;
      return formula(i, c, Math.sqrt(variance[c]! + eps));
    });

  test.each([
    ['normalise', batchNorm.normalise(eps), (i, c, s) => ((p[i]! - mean[c]!) / s) * weight[c]! + bias[c]!],
    ['gradient for given statistics', batchNorm.normGradient(eps), (i, c, s) => (m[i]! * weight[c]!) / s],
    [
      'gradient for the statistics of the batch',
      batchNorm.batchNormGradient(eps, count),
      (i, c, s) => (weight[c]! / s) * (m[i]! - (dbias[c]! + ((p[i]! - mean[c]!) / s) * dweight[c]!) / count),
    ],
    ['folded weight', batchNorm.foldedWeight(eps), (i, c, s) => (p[i]! * weight[c]!) / s],
    ['folded bias', batchNorm.foldedBias(eps), (_, c, s) => bias[c]! + ((0.75 - mean[c]!) * weight[c]!) / s],
  ] as const satisfies readonly (readonly [
    string,
    Expression<keyof typeof inputs>,
    Parameters<typeof expected>[0],
  ])[])('%s', (_, expression, formula) => {
    expect(valuesOf<keyof typeof inputs>(expression, inputs)).toEqual(expected(formula));
  });

  test('the coefficients of each channel give the same', () => {
    const normal = batchNorm.normCoefficients(eps);
    const gradient = batchNorm.batchNormGradientCoefficients(eps, count);
    const pairs = [
      [batchNorm.normalise(eps), add(mul(input('x'), normal.scale), normal.shift)],
      [batchNorm.normGradient(eps), mul(input('dy'), normal.scale)],
      [
        batchNorm.batchNormGradient(eps, count),
        add(add(mul(input('dy'), gradient.scale), mul(input('x'), gradient.slope)), gradient.shift),
      ],
    ] as const satisfies readonly (readonly Expression<keyof typeof inputs>[])[];
    for (const pair of pairs) {
      const [one, other] = pair.map((expression) => valuesOf<keyof typeof inputs>(expression, inputs)) as [
        Float64Array,
        Float64Array,
      ];
      expect(largestDifference(one, other)).toBeLessThan(1e-12);
    }
  });
});

test('results may overwrite an input, and are rounded once', () => {
  const x = input('x');
  const third = div(x, 3);
  const values = Float32Array.from({ length: 1500 }, (_, i) => i - 700);
  const expected = values.map((value) => value / 3 - (value / 3) * value);
  evaluate(sub(third, mul(third, x)), { x: values }, values);
  expect(values).toEqual(expected);
});
