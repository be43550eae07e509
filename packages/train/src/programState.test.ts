/** Tests the tensors of a run, in host memory and in its program. */
import { expect, test } from 'vitest';
import { countIn, countingBackend, tinyOptions, tinyState } from '../test/tinyRun.js';

const make = () => {
  const { backend, calls } = countingBackend();
  const options = tinyOptions({ backend });
  return { state: tinyState(options).tensors, options, calls };
};

test('nothing is compiled before the first step, and then once', async () => {
  const { state, options, calls } = make();
  expect(state.selected).toBeUndefined();
  expect(await state.current()).toEqual(options.weights);
  expect(calls.compiled).toBe(0);
  const program = await state.program();
  expect(await state.program()).toBe(program);
  expect(calls.compiled).toBe(1);
  expect(state.selected!.program).toBe(program);
});

test('what the program trains is current there, what it does not know in host memory', async () => {
  const { state, options } = make();
  await state.replace(new Map([...options.weights, ['fixed', options.weights.get('fc.bias')!]]));
  await (await state.program()).run(new Map());
  const current = await state.current();
  expect(countIn(current)).toBe(1);
  expect(current.get('fixed')).toBe(options.weights.get('fc.bias'));
  expect(state.host.get('fc.bias')).toBe(options.weights.get('fc.bias'));
});

test('another state frees the program, and the next one begins with it', async () => {
  const { state, options, calls } = make();
  await (await state.program()).run(new Map());
  await state.replace(options.weights);
  expect(calls.disposed).toBe(1);
  expect(await state.current()).toEqual(options.weights);
  await state.program();
  expect(calls.compiled).toBe(2);
});

test('disposal frees the program once and refuses every later call', async () => {
  const { state, calls } = make();
  await state.program();
  await state.dispose();
  await state.dispose();
  expect(calls.disposed).toBe(1);
  await expect(state.program()).rejects.toThrow('has been disposed of; make another one');
  await expect(state.current()).rejects.toThrow('has been disposed of');
  expect(calls.compiled).toBe(1);
});
