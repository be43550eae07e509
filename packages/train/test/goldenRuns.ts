/**
 * Test helper: PyTorch's training runs (goldens/*.json, float64) with their networks, optimizers, weights and
 * batches, and the deviations that float32 may have from them.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  add,
  batchNorm,
  conv2d,
  globalAvgPool,
  linear,
  type Module,
  module,
  parameters,
  pipe,
  relu,
  sequential,
  type Tensor,
  tensor,
  trace,
  type Weights,
} from '@cnn/core';
import { forInference, type Graph } from '@cnn/core/graph';
import { efficientnetB0 } from '@cnn/efficientnet';
import { lenet5 } from '@cnn/lenet';
import { mobilenetV2 } from '@cnn/mobilenet';
import { shufflenetV2X0_5 } from '@cnn/shufflenet';
import { bitsum, schemeInput, schemeWeights } from '@cnn/testing';
import { expect } from 'vitest';
import spreads from '../goldens/spread.json' with { type: 'json' };
import { adam, adamW, crossEntropy, type Optimizer, sgd } from '../src/index.js';
import type { StepOptions } from '../src/step.js';

/** Norm and first values of a tensor. */
interface Summary {
  readonly norm: number;
  readonly first: readonly number[];
}

/** Content of a file: PyTorch's values in float64, and the deviation of its float32 in one run. */
interface TrainingGolden {
  readonly gain2: number;
  readonly initBitsum: number;
  readonly input: readonly number[];
  readonly classes: number;
  readonly steps: number;
  readonly labels: readonly (readonly number[])[];
  readonly losses: readonly number[];
  readonly logitsStep1Image0: readonly number[];
  readonly gradStep1: Readonly<Record<string, Summary>>;
  readonly final: Readonly<Record<string, Summary>>;
  readonly evalLogitsAfter: readonly (readonly number[])[];
  readonly f32: {
    readonly lossMaxAbsDev: number;
    readonly gradNormMaxRelDev: number;
    readonly finalMaxAbsDev: number;
    readonly evalLogitsMaxAbsDev: number;
  };
}

/** ResNet-18 with 8 channels instead of 64, and the stride in the second convolution of a block. */
function tinyResnet(): Module {
  const conv = (inC: number, outC: number, kernel: number, stride = 1) =>
    conv2d(inC, outC, kernel, { stride, padding: kernel >> 1, bias: false });
  const block = (inC: number, outC: number, stride: number): Module =>
    module(
      {
        conv1: conv(inC, outC, 3),
        bn1: batchNorm(outC),
        conv2: conv(outC, outC, 3, stride),
        bn2: batchNorm(outC),
        shortcut: stride === 1 ? undefined : sequential(conv(inC, outC, 1, stride), batchNorm(outC)),
      },
      (m, x) => relu(add(pipe(x, m.conv1, m.bn1, relu, m.conv2, m.bn2), m.shortcut?.(x) ?? x)),
    );
  const stage = (inC: number, outC: number): Module =>
    sequential(block(inC, outC, inC === outC ? 1 : 2), block(outC, outC, 1));
  return module(
    {
      conv1: conv(3, 8, 3),
      bn1: batchNorm(8),
      layer1: stage(8, 8),
      layer2: stage(8, 16),
      layer3: stage(16, 32),
      layer4: stage(32, 64),
      linear: linear(64, 10),
    },
    (m, x) => pipe(x, m.conv1, m.bn1, relu, m.layer1, m.layer2, m.layer3, m.layer4, globalAvgPool, m.linear),
  );
}

const momentum = { momentum: 0.9, weightDecay: 5e-4 };
/** Networks and optimizers of the runs, by file. The networks have no dropout or stochastic depth. */
const networks = {
  lenet5_relu__sgd: [lenet5, sgd({ learningRate: 0.01, ...momentum })],
  lenet5_relu__adam: [lenet5, adam({ learningRate: 5e-4, weightDecay: 5e-4 })],
  tiny_resnet18_w8__sgd: [tinyResnet, sgd({ learningRate: 0.002, ...momentum })],
  tiny_resnet18_w8__adam: [tinyResnet, adam({ learningRate: 2e-4, eps: 1e-3, weightDecay: 5e-4 })],
  'mobilenet_v2_w0.25__sgd': [
    () => mobilenetV2({ width: 0.25, numClasses: 10, dropout: 0 }),
    sgd({ learningRate: 1e-6, ...momentum }),
  ],
  shufflenet_v2_x0_5__adamw: [
    () => shufflenetV2X0_5({ numClasses: 10 }),
    adamW({ learningRate: 2e-6, eps: 1e-4, weightDecay: 0.01 }),
  ],
  efficientnet_b0__sgd: [() => efficientnetB0({ numClasses: 10 }), sgd({ learningRate: 4e-6, ...momentum })],
} as const satisfies Readonly<Record<string, readonly [() => Module, Optimizer]>>;

/** Name of a run's file. */
export type GoldenName = keyof typeof networks;

/** Kind of a deviation from the golden. */
export type Deviation = 'loss' | 'gradNorm' | 'gradFirst' | 'final' | 'evalLogits';

/** Training run of PyTorch. */
export interface GoldenRun extends TrainingGolden {
  readonly model: Module;
  /** Initial weights; their bitsum is checked. */
  readonly weights: Weights;
  readonly options: StepOptions;
  /** Traces the network. */
  traced(): Graph;
  /** Gives the feeds of a step, counted from 0. */
  feeds(step: number): Map<string, Tensor>;
  /** Largest norm of a gradient in the first step. */
  readonly largest: number;
  /** Deviations of PyTorch's float32 that the file states; it states none of single gradient values. */
  readonly stated: Readonly<Record<Exclude<Deviation, 'gradFirst'>, number>>;
  /** Largest deviations of PyTorch's float32 over several orders of addition: see scripts/spread.py. */
  readonly spread: Readonly<Partial<Record<Deviation, number>>> & { readonly gradFirst: number };
}

/** Reads a run. */
export function goldenRun(name: GoldenName): GoldenRun {
  const golden = JSON.parse(
    readFileSync(join(import.meta.dirname, `../goldens/${name}.json`), 'utf8'),
  ) as TrainingGolden;
  const [build, optimizer] = networks[name];
  const model = build();
  const { input, f32, labels } = golden;
  const weights = schemeWeights(
    [...parameters(model)].map(([path, { shape }]) => [path, shape] as const),
    golden.gain2,
  );
  expect(bitsum(weights)).toBe(golden.initBitsum);
  // Running statistics start at 0 and 1; everything else follows the scheme.
  for (const [path, { data }] of weights) {
    if (path.endsWith('running_mean')) data.fill(0);
    if (path.endsWith('running_var')) data.fill(1);
  }
  return {
    ...golden,
    model,
    weights,
    options: { input, loss: crossEntropy(), optimizer },
    traced: () => forInference(trace(model, input, { mode: 'training' })),
    feeds: (step) =>
      new Map([
        ['x', schemeInput(input, `train/x/${step % 4}`)],
        ['labels', tensor(labels[step % 4]!, [input[0]!])],
        ['rate', tensor([optimizer.learningRate], [1])],
        ['corrections', tensor(optimizer.corrections(step + 1), [2])],
      ]),
    largest: Math.max(...Object.values(golden.gradStep1).map(({ norm }) => norm)),
    stated: {
      loss: f32.lossMaxAbsDev,
      gradNorm: f32.gradNormMaxRelDev,
      final: f32.finalMaxAbsDev,
      evalLogits: f32.evalLogitsMaxAbsDev,
    },
    spread: spreads.spread[name],
  };
}

/** Gives the Euclidean norm of a tensor. */
export const normOf = ({ data }: Tensor): number =>
  Math.sqrt(data.reduce((sum, value) => sum + value ** 2, 0));

/** Fails if a value differs from the expected one by more than the tolerance. */
export function expectNear(what: string, actual: number, expected: number, tolerance: number): void {
  if (!(Math.abs(actual - expected) <= tolerance))
    expect.fail(
      `${what} is ${actual}, not ${expected}: the difference is ${(Math.abs(actual - expected) / tolerance).toFixed(2)} times the tolerance of ${tolerance}`,
    );
}
