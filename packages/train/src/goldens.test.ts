/**
 * PyTorch's training runs, step by step: losses, gradients, weights, running statistics and logits must agree within
 * the deviations that the files state of PyTorch's own float32, on the reference in float64 and on the wasm back end.
 *
 * On wasm the larger networks are compared so for the steps before the first in which an input of a relu is nearer to
 * zero than float32 tells from it: what rounds it to the other side changes all that follows, in PyTorch too.
 * float32.test.ts follows all twenty. `beyond` names what float32 does not reach at all: each file states the
 * deviation of one run (LeNet's losses, about 7, have to be the next float32 but one), which PyTorch leaves when it
 * adds up in another order. What it then reaches (goldens/spread.json) is asked of wasm there.
 *
 * A step of the larger networks takes seconds on the reference back end, so a usual run makes few of them; with
 * CNN_SLOW_TESTS=1 all twenty are made, and wasm runs on one, two and three threads.
 */
import { type Backend, type CompileOptions, compile, prune, referenceBackend, wasmBackend } from '@cnn/core';
import { schemeInput, schemeLabels } from '@cnn/testing';
import { describe, expect, test } from 'vitest';
import { withOptimizerState } from './index.js';
import { differentiated, stepOf } from './step.js';
import { type Deviation, expectNear, type GoldenName, goldenRun, normOf } from './testGoldens.js';

interface Case {
  readonly name: GoldenName;
  /** Steps on the reference in a usual run; with 0 the loss and the gradients of the first one are all. */
  readonly usual: number;
  /** Steps on wasm, where rounding decides about later ones. Default: all. */
  readonly resolved?: number;
  /** In what float32 leaves what the file states. */
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
  /** How far a back end may be from the golden. */
  const allowed = (what: Exclude<Deviation, 'gradFirst'>, float32: boolean): number =>
    float32 && beyond.includes(what) ? spread[what]! : stated[what];

  test('labels are PyTorch’s', () => {
    for (const [batch, labels] of golden.labels.entries())
      expect([...schemeLabels(`train/y/${batch}`, input[0]!, golden.classes)]).toEqual(labels);
  });

  test.each(runs)('the gradients of the first step: $where', async ({ backend, float32, compileOptions }) => {
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
      // Some gradients are zero in exact arithmetic; the files too relate them to a share of the largest.
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
  });

  const stepped = runs.filter(({ float32 }) => float32 || all || usual > 0);
  test.each(stepped)(
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
