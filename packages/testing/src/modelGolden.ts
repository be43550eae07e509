/**
 * Compares a model's outputs with its golden run in PyTorch. Uses no file system, so that pages can run it
 * too.
 */
import { type Backend, type BackendName, compile, type Module, type Shape, summary, tensor } from '@cnn/core';
import { expect } from 'vitest';
import { bitsum, schemeInput, schemeWeights } from './scheme.js';

/** A golden run of a model. */
export interface ModelRun {
  readonly input: Shape;
  readonly macsPerImage: number;
  readonly outputShape: Shape;
  /** All logits of image 0. */
  readonly logits0: readonly number[];
  /** Facts about the logits of the other images. */
  readonly rest: readonly {
    readonly image: number;
    readonly first10: readonly number[];
    readonly sum: number;
    readonly sumAbs: number;
    readonly argmax: number;
  }[];
  readonly logitAbsMax: number;
  /** PyTorch's own float32 deviation from float64. */
  readonly f32MaxAbsDev: number;
  /** Path, shape without batch, mean, standard deviation and largest absolute value of module outputs. */
  readonly stages: readonly (readonly [string, Shape, number, number, number])[];
}

/** The golden of a model. */
export interface ModelGolden {
  readonly id: string;
  readonly gain2: number;
  readonly params: number;
  readonly weightBitsum: number;
  readonly state: readonly (readonly [string, Shape])[];
  readonly runs: readonly ModelRun[];
}

/**
 * Tolerance of a float32 result: 20 times PyTorch's own deviation from float64, plus 1e-5 of the largest
 * logit.
 */
export const modelTolerance = ({ f32MaxAbsDev, logitAbsMax }: ModelRun): number =>
  20 * f32MaxAbsDev + 1e-5 * logitAbsMax;

/** Runs with more multiply-adds are checked on the first image only. */
const LARGE = 500e6;

/** Returns the state dict without `num_batches_tracked`. */
export const stateOf = ({ state }: ModelGolden): ModelGolden['state'] =>
  state.filter(([name]) => !name.endsWith('num_batches_tracked'));

/** Runs a model on the weights and inputs of a golden run and compares its logits with PyTorch's. */
export async function checkRun(
  golden: ModelGolden,
  run: ModelRun,
  model: Module,
  options: { readonly backend?: BackendName | Backend; readonly images?: number } = {},
): Promise<void> {
  const weights = schemeWeights(stateOf(golden), golden.gain2);
  expect(bitsum(weights)).toBe(golden.weightBitsum);
  const images = options.images ?? (run.macsPerImage > LARGE ? 1 : run.input[0]!);
  const input = [images, ...run.input.slice(1)];
  expect(summary(model, input).macs).toBe(run.macsPerImage);
  await using session = await compile(model, { weights, input, backend: options.backend });
  const { data, shape } = await session.run(schemeInput(input));
  checkLogits(run, tensor(data, shape).data, images);
}

/** Compares the logits of the first images of a golden run with PyTorch's. */
export function checkLogits(run: ModelRun, data: Float32Array, images: number): void {
  const tolerance = modelTolerance(run);
  const classes = run.logits0.length;
  const near = (actual: number, expected: number, what: string): void => {
    if (!(Math.abs(actual - expected) <= tolerance))
      expect.fail(`${what} is ${actual}, PyTorch has ${expected}; tolerance ${tolerance}`);
  };
  for (const [i, logit] of run.logits0.entries()) near(data[i]!, logit, `logit ${i}`);
  for (const { image, first10, argmax } of run.rest.filter((other) => other.image < images)) {
    const logits = data.subarray(image * classes, (image + 1) * classes);
    for (const [i, logit] of first10.entries()) near(logits[i]!, logit, `logit ${i} of image ${image}`);
    expect(logits.indexOf(Math.max(...logits))).toBe(argmax);
  }
}
