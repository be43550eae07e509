/**
 * Trains LeNet-5 on the GPU, with PyTorch's optimizers and inputs. Forward, loss, backward and update are one
 * program, and the parameters stay on the device between steps. Without a GPU a step takes seconds, so a
 * usual run makes three of the twenty; CNN_SLOW_TESTS=1 makes all.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gpuBackend, parameters, type Tensor, tensor, trace } from '@cnn/core';
import { forInference } from '@cnn/core/graph';
import { lenet5 } from '@cnn/lenet';
import { schemeInput, schemeWeights } from '@cnn/testing';
import { hasWebGpu } from '@cnn/testing/webGpu';
import { describe, expect, test } from 'vitest';
import { adam, crossEntropy, type Optimizer, sgd, withOptimizerState } from './index.js';
import { stepOf } from './step.js';

interface Golden {
  readonly gain2: number;
  readonly input: readonly number[];
  readonly steps: number;
  readonly labels: readonly (readonly number[])[];
  readonly losses: readonly number[];
  readonly final: Readonly<Record<string, { readonly norm: number; readonly first: readonly number[] }>>;
  readonly f32: { readonly lossMaxAbsDev: number; readonly finalMaxAbsDev: number };
}

/**
 * Tolerance as for models: 20 times the deviation of PyTorch's own float32 from float64, plus 1e-5 of the
 * value.
 */
const toleranceFor = (deviation: number, value: number): number => 20 * deviation + 1e-5 * Math.abs(value);

const cases: readonly (readonly [file: string, optimizer: Optimizer])[] = [
  ['lenet5_relu__sgd', sgd({ learningRate: 0.01, momentum: 0.9, weightDecay: 5e-4 })],
  ['lenet5_relu__adam', adam({ learningRate: 5e-4, weightDecay: 5e-4 })],
];

describe.runIf(hasWebGpu()).each(cases)('%s on the GPU', (file, optimizer) => {
  test('PyTorch’s losses, and its weights after all steps', { timeout: 300_000 }, async () => {
    const golden = JSON.parse(
      readFileSync(join(import.meta.dirname, `../goldens/${file}.json`), 'utf8'),
    ) as Golden;
    const { input, f32 } = golden;
    const model = lenet5();
    const weights = schemeWeights(
      [...parameters(model)].map(([name, { shape }]) => [name, shape] as const),
      golden.gain2,
    );
    const graph = stepOf(forInference(trace(model, input, { mode: 'training' })), {
      input,
      loss: crossEntropy(),
      optimizer,
    });
    const program = await gpuBackend().compile(graph, withOptimizerState(graph, weights));
    const steps = process.env.CNN_SLOW_TESTS === '1' ? golden.steps : 3;
    for (let step = 0; step < steps; step++) {
      const feeds = new Map<string, Tensor>([
        ['x', schemeInput(input, `train/x/${step % 4}`)],
        ['labels', tensor(golden.labels[step % 4]!, [input[0]!])],
        ['rate', tensor([optimizer.learningRate], [1])],
        ['corrections', tensor(optimizer.corrections(step + 1), [2])],
      ]);
      const loss = (await program.run(feeds)).get('loss')!.data[0]!;
      const expected = golden.losses[step]!;
      expect(Math.abs(loss - expected), `the loss of step ${step}`).toBeLessThanOrEqual(
        toleranceFor(f32.lossMaxAbsDev, expected),
      );
    }
    const trained = await program.parameters();
    for (const [name, { first }] of steps < golden.steps ? [] : Object.entries(golden.final))
      for (const [index, expected] of first.entries())
        expect(
          Math.abs(trained.get(name)!.data[index]! - expected),
          `${name} at ${index}`,
        ).toBeLessThanOrEqual(toleranceFor(f32.finalMaxAbsDev, expected));
    await program.dispose();
  });
});
