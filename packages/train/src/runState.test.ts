/** Tests that the tensors and the position of a run belong together. */
import { expect, test } from 'vitest';
import { countIn, countingBackend, tinyOptions, tinyState } from '../test/tinyRun.js';
import type { RunState } from './runState.js';

/** Takes one step, as a stepper does. */
const step = (state: RunState): Promise<void> =>
  state.advance(async () => {
    await (await state.tensors.program()).run(new Map());
    return { ...state.position, step: state.position.step + 1 };
  });

test('a state that is read while a program applies a step has the position of that step', async () => {
  const seen: Promise<number[]>[] = [];
  // Called by the program after its update, before the step knows the result.
  const whileApplied = async () => {
    seen.push(state.whole().then(({ position, tensors }) => [position.step, countIn(tensors)]));
    await new Promise((resolve) => setImmediate(resolve));
  };
  const { backend } = countingBackend(undefined, whileApplied);
  const state = tinyState(tinyOptions({ backend }));
  await step(state);
  await step(state);
  expect(await Promise.all(seen)).toEqual([
    [1, 1],
    [2, 2],
  ]);
});

test('a step that fails leaves the position, and the state can go on', async () => {
  const state = tinyState(tinyOptions({ backend: countingBackend().backend }));
  await expect(state.advance(() => Promise.reject(new Error('no step')))).rejects.toThrow('no step');
  expect(state.position.step).toBe(0);
  await step(state);
  expect((await state.whole()).position.step).toBe(1);
});

test('the next epoch keeps the tensors, another state replaces everything', async () => {
  const options = tinyOptions({ backend: countingBackend().backend });
  const state = tinyState(options);
  await step(state);
  const best = (await state.whole()).tensors;
  state.enterEpoch({ ...state.position, epoch: 1 }, best);
  const whole = await state.whole();
  expect([whole.position.epoch, whole.position.step, countIn(whole.tensors)]).toEqual([1, 1, 1]);
  expect(whole.best).toBe(best);

  const other = tinyState(options);
  await step(other);
  await other.replace({
    position: { ...whole.position, step: 9 },
    tensors: options.weights,
    best: undefined,
  });
  expect(await other.whole()).toEqual({
    position: { ...whole.position, step: 9 },
    tensors: options.weights,
    best: undefined,
  });
});
