/** Tests that values of a wrong type, which only callers without types pass, are refused in a sentence. */
import { expect, test } from 'vitest';
import { compile, conv2d, initialise, linear, module, summary, trace } from './index.js';

const build = () => module({ fc: linear(4, 2) }, (m, x) => m.fc(x));
const model = build();
const weights = initialise(model);
const input = [1, 4];

test.each<[string, () => unknown, string]>([
  [
    'a builder for a model',
    () => compile(build as never, { weights, input }),
    'A model is a module, got a Function; call the function that builds it, as in resnet18().',
  ],
  ['null for a model', () => compile(null as never, { weights, input }), 'A model is a module, got null.'],
  ['trace of a builder', () => trace(build as never, input), 'A model is a module, got a Function;'],
  ['summary of a builder', () => summary(build as never, input), 'A model is a module, got a Function;'],
  ['initialise of a builder', () => initialise(build as never), 'A model is a module, got a Function;'],
  [
    'no options',
    () => compile(model, undefined as never),
    'The second argument of compile is an object with weights and input, got undefined.',
  ],
  [
    'a number for a signal',
    () => compile(model, { weights, input, signal: 5 as never }),
    "The option 'signal' is an AbortSignal, got a Number.",
  ],
  ['a text for a number', () => conv2d('3' as never, 8, 3), "from 1 up, got '3'"],
  [
    'a text for a kernel',
    () => conv2d(3, 8, '3' as never),
    "The sides of the kernel of conv2d must be a whole number from 1 up, got '3'",
  ],
  ['nothing for a number', () => linear(undefined as never, 8), 'from 1 up, got undefined'],
])('%s', async (_, make, message) => {
  await expect(async () => make()).rejects.toThrow(message);
});

test('a number for the signal of a run', async () => {
  const session = await compile(model, { weights, input });
  await expect(session.run(new Float32Array(4), { signal: 5 as never })).rejects.toThrow(
    "The option 'signal' is an AbortSignal, got a Number.",
  );
  await session.dispose();
});
