/** Tests the steps of a run without computing them: position, abort, copies of the state, divergence. */
import { expect, test, vi } from 'vitest';
import { countingBackend, pictures, tinyOptions, tinyState } from '../test/tinyRun.js';
import { TrainingDiverged } from './diagnose.js';
import { stepFeeds } from './feeds.js';
import { startOf } from './position.js';
import { planStep } from './program.js';
import { Stepper } from './stepper.js';

const source = { dataset: pictures, order: Uint32Array.of(0, 2, 1, 3), stepsPerEpoch: 2, totalSteps: 4 };

function make(lossOf?: (run: number) => number) {
  const { backend, calls } = countingBackend(lossOf);
  const options = tinyOptions({ backend });
  const plan = planStep(options);
  const state = tinyState(options);
  return { stepper: new Stepper(plan, options, stepFeeds(plan, options)), state, calls };
}

test('a step advances the position by its loss, rate and right answers', async () => {
  const { stepper, state, calls } = make();
  await stepper.take(state, source);
  // The program finds all pictures of class 0: those of the first step are, those of the second are not.
  const first = { step: 1, within: 1, size: 4, batch: 2, lossSum: 1, right: 2, lastLoss: 1, lastRate: 0.5 };
  expect(state.position).toMatchObject(first);
  await stepper.take(state, source);
  expect(state.position).toMatchObject({ ...first, step: 2, within: 2, lossSum: 3, lastLoss: 2 });
  expect([calls.compiled, calls.runs]).toEqual([1, 2]);
});

test('an aborted step changes nothing, and compiles nothing', async () => {
  const { stepper, state, calls } = make();
  const signal = AbortSignal.abort(new Error('enough'));
  await expect(stepper.take(state, { ...source, signal })).rejects.toThrow('enough');
  expect(state.position).toEqual(startOf(3, 2));
  expect(calls).toEqual({ compiled: 0, runs: 0, disposed: 0 });
});

test('the state is copied at the first step, at each start of an epoch, and every 50 steps', async () => {
  const { stepper, state } = make();
  const copied: number[] = [];
  const copy = vi.spyOn(state.tensors, 'current').mockImplementation(async () => {
    copied.push(state.position.step);
    return new Map();
  });
  const order = Uint32Array.from({ length: 200 }, (_, index) => index % 4);
  const takeAt = (step: number, within: number) => {
    state.enterEpoch({ ...startOf(3, 2), step, within }, undefined);
    return stepper.take(state, { ...source, order });
  };
  for (const [step, within] of [
    [47, 1],
    [48, 2],
    [50, 4],
    [51, 5],
    [60, 0],
    [61, 1],
    [100, 40],
  ] as const)
    await takeAt(step, within);
  expect(copied).toEqual([47, 50, 60, 100]);
  await stepper.clear();
  await takeAt(101, 41);
  expect(copied).toEqual([47, 50, 60, 100, 101]);
  copy.mockRestore();
});

test('a loss that is not finite is explained by the feeds of the step, and does not advance', async () => {
  const { stepper, state } = make((run) => (run === 2 ? Number.NaN : run));
  await stepper.take(state, source);
  const broken = { ...pictures, at: () => ({ pixels: Float32Array.of(Number.NaN, 0), label: 0 }) };
  const failed = stepper.take(state, { ...source, dataset: broken });
  await expect(failed).rejects.toThrow(TrainingDiverged);
  await expect(failed).rejects.toThrow("The loss of step 2 is NaN. The input 'x' already holds NaN");
  expect(state.position.step).toBe(1);
});
