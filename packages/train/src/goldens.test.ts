/**
 * Compares losses, gradients, weights, running statistics and logits with PyTorch's training runs, step by
 * step, on the reference in float64 and on the wasm back end. The tolerances are the deviations of PyTorch's
 * own float32 that the files state.
 *
 * On wasm the larger networks are compared up to the first step in which an input of a relu is nearer to zero
 * than float32 resolves: rounding it to the other side changes all later values, in PyTorch too.
 * float32.test.ts covers all twenty steps. `beyond` lists deviations that float32 does not reach: each file
 * states the deviation of a single run (two units in the last place of float32 for LeNet's losses, about 7),
 * and PyTorch exceeds it if it adds in another order. There wasm must stay within what PyTorch reaches in
 * other orders (goldens/spread.json).
 *
 * A step of the larger networks takes seconds on the reference, so a usual run makes few of them.
 * CNN_SLOW_TESTS=1 makes all twenty, and runs wasm on one, two and three threads.
 */
import { type Backend, compile, referenceBackend, wasmBackend } from '@cnn/core';
import { type CompileOptions, prune } from '@cnn/core/graph';
import { schemeInput, schemeLabels } from '@cnn/testing';
import { describe, expect, test } from 'vitest';
import { type Deviation, expectNear, type GoldenName, goldenRun, normOf } from '../test/goldenRuns.js';
import { withOptimizerState } from './index.js';
import { differentiated, stepOf } from './step.js';

interface Case {
  readonly name: GoldenName;
  /** Steps on the reference in a usual run; with 0 only wasm is compared, on the steps and the first one's gradients. */
  readonly usual: number;
  /** Steps on wasm before rounding to the other side of a kink can change the run. Default: all. */
  readonly resolved?: number;
  /** Deviations in which float32 exceeds what the file states. */
  readonly beyond?: readonly Deviation[];
}

const cases: readonly Case[] = [
  { name: 'lenet5_relu__sgd', usual: 20, beyond: ['loss', 'evalLogits'] },
  { name: 'lenet5_relu__adam', usual: 20 },
  { name: 'tiny_resnet18_w8__sgd', usual: 2, resolved: 5, beyond: ['gradNorm'] },
  { name: 'tiny_resnet18_w8__adam', usual: 2, resolved: 7, beyond: ['gradNorm'] },
  { name: 'mobilenet_v2_w0.25__sgd', usual: 2, resolved: 8 },
  { name: 'shufflenet_v2_x0_5__adamw', usual: 2, resolved: 8 },
  { name: 'efficientnet_b0__sgd', usual: 0, resolved: 4 },
];

interface Run {
  readonly where: string;
  readonly backend: Backend;
  readonly float32: boolean;
  readonly compileOptions?: CompileOptions;
}

const all = process.env.CNN_SLOW_TESTS === '1';
const runs: readonly Run[] = [
  { where: 'reference', backend: referenceBackend(), float32: false },
  ...(all ? [1, 2, 3] : [2]).map((threads) => ({
    where: `wasm, ${threads} threads`,
    backend: wasmBackend(),
    float32: true,
    compileOptions: { threads },
  })),
];

describe.each(cases)('$name', ({ name, usual, resolved, beyond = [] }) => {
  const golden = goldenRun(name);
  const { input, stated, spread, weights, options } = golden;
  /** Gives the tolerance of a back end. */
  const allowed = (what: Exclude<Deviation, 'gradFirst'>, float32: boolean): number =>
    float32 && beyond.includes(what) ? spread[what]! : stated[what];

  test('labels are PyTorch’s', () => {
    for (const [batch, labels] of golden.labels.entries())
      expect([...schemeLabels(`train/y/${batch}`, input[0]!, golden.classes)]).toEqual(labels);
  });

  const compared = runs.filter(({ float32 }) => float32 || all || usual > 0);
  test.each(compared)(
    'the gradients of the first step: $where',
    async ({ backend, float32, compileOptions }) => {
      const { graph, gradients } = differentiated(golden.traced(), options);
      for (const [path, node] of gradients) graph.outputs.set(`gradient ${path}`, node);
      graph.updates.clear();
      const program = await backend.compile(prune(graph), weights, compileOptions);
      const results = await program.run(golden.feeds(0));
      await program.dispose();
      expectNear('the loss', results.get('loss')!.data[0]!, golden.losses[0]!, allowed('loss', float32));
      const most = Math.max(...golden.logitsStep1Image0.map(Math.abs));
      for (const [index, expected] of golden.logitsStep1Image0.entries())
        expectNear(`logit ${index}`, results.get('logits')!.data[index]!, expected, 1e-5 * most);
      expect([...gradients.keys()].sort()).toEqual(Object.keys(golden.gradStep1).sort());
      for (const [path, { norm, first }] of Object.entries(golden.gradStep1)) {
        const gradient = results.get(`gradient ${path}`)!;
        // Some gradients are zero in exact arithmetic; as in the files, their scale is 1e-4 of the largest norm.
        const scale = Math.max(norm, 1e-4 * golden.largest);
        expectNear(
          `the norm of ${path}'s gradient`,
          normOf(gradient),
          norm,
          allowed('gradNorm', float32) * scale,
        );
        const tolerance = (float32 ? spread.gradFirst : stated.gradNorm) * scale;
        for (const [index, value] of first.entries())
          expectNear(`${path}'s gradient at ${index}`, gradient.data[index]!, value, tolerance);
      }
    },
  );

  test.each(compared)(
    'the steps: $where',
    { timeout: 600_000 },
    async ({ backend, float32, compileOptions }) => {
      const graph = stepOf(golden.traced(), options);
      const program = await backend.compile(graph, withOptimizerState(graph, weights), compileOptions);
      const followed = float32 ? (resolved ?? golden.steps) : all ? golden.steps : usual;
      for (let step = 0; step < followed; step++) {
        const loss = (await program.run(golden.feeds(step))).get('loss')!.data[0]!;
        expectNear(`the loss of step ${step}`, loss, golden.losses[step]!, allowed('loss', float32));
      }
      const trained = await program.parameters();
      await program.dispose();
      if (followed < golden.steps) return;
      const tolerance = allowed('final', float32);
      for (const [path, { norm, first }] of Object.entries(golden.final)) {
        const value = trained.get(path)!;
        for (const [index, expected] of first.entries())
          expectNear(`${path} at ${index}`, value.data[index]!, expected, tolerance);
        expectNear(`the norm of ${path}`, normOf(value), norm, tolerance * Math.sqrt(value.data.length));
      }
      const shape = [2, ...input.slice(1)];
      const final = new Map([...weights.keys()].map((path) => [path, trained.get(path)!]));
      const session = await compile(golden.model, { weights: final, input: shape, backend: 'reference' });
      const size = shape.reduce((product, extent) => product * extent, 1);
      const { data } = await session.run(schemeInput(input, 'train/x/0').data.subarray(0, size));
      for (const [index, expected] of golden.evalLogitsAfter.flat().entries())
        expectNear(`logit ${index} after training`, data[index]!, expected, allowed('evalLogits', float32));
    },
  );
});
