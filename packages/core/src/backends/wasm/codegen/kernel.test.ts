import { KernelMemory } from '@cnn/testing/fixtures';
import { describe, expect, test } from 'vitest';
import { Pointer, Region } from '../memory/region.js';
import { KernelCache } from '../schedule/kernelCache.js';
import { detectFeatures, engineFor } from './engine.js';
import { i32 } from './index.js';
import { addressList, argumentsOf, buildFunction, defineKernel, type Variant } from './kernel.js';

const kernel = defineKernel({
  name: 'sum of addresses',
  parameters: { to: 'address', from: addressList(3), count: 'integer', bias: 'address?', narrow: 'integer?' },
  build(f, p, { shape: { factor } }: Variant<{ readonly factor: number }>) {
    const sum = [...p.from, p.count, p.bias, p.narrow].reduce<ReturnType<typeof i32.add>>(
      (a, b) => i32.add(i32.mul(a, factor), b),
      p.to,
    );
    f.storeByte(p.to, sum);
  },
});
const engine = engineFor(detectFeatures());

describe('arguments', () => {
  test('are in the order of the parameters, 0 for optional ones that are left out', () => {
    expect(argumentsOf(kernel, { count: 5, from: [2, 3], to: 1 })).toEqual([1, 2, 3, 0, 5, 0, 0]);
    expect(argumentsOf(kernel, { narrow: 7, count: 5, from: [], to: 1, bias: undefined })).toEqual([
      1, 0, 0, 0, 5, 0, 7,
    ]);
  });

  test('are passed to the parameters of the same names', () => {
    const memory = new KernelMemory(1);
    const to = memory.put([0]);
    memory.call(
      kernel,
      { engine, shape: { factor: 2 } },
      { to, from: [1, 2, 3], count: 4, bias: 5, narrow: 6 },
    );
    const expected = [1, 2, 3, 4, 5, 6].reduce((sum, value) => 2 * sum + value, to);
    expect(new Uint8Array(memory.floats.buffer)[to]).toBe(expected % 256);
  });

  test('are passed as their bits if they are floats, which the function reads as floats', () => {
    const copyFloat = defineKernel({
      name: 'copy float',
      parameters: { to: 'address', value: 'float' },
      build: (f, p) => f.storeF32(p.to, p.value),
    });
    expect(argumentsOf(copyFloat, { to: 8, value: 1 })).toEqual([8, 0x3f800000]);
    const memory = new KernelMemory(1);
    const to = memory.put([0]);
    memory.call(copyFloat, { engine, shape: {} }, { to, value: -0.1 });
    expect([...memory.get(to, 1)]).toEqual([Math.fround(-0.1)]);
  });

  test('are rejected if a list has too many addresses', () => {
    expect(() => argumentsOf(kernel, { to: 0, from: [1, 2, 3, 4], count: 0 })).toThrow(
      'from: 4 arguments, at most 3 fit.',
    );
  });

  test('need a function with enough parameters', () => {
    expect(() => buildFunction({ from: addressList(2), to: 'address' }, 2, () => undefined)).toThrow(
      'A function of 2 parameters cannot have 3.',
    );
  });
});

describe('a kernel cache', () => {
  const at = new Pointer(new Region(), 0);

  test('generates a kernel once for each shape', () => {
    const p = new KernelCache(engine);
    const [first, second, same] = [1, 2, 1].map((factor) => p.kernel(kernel, { factor }));
    const args = { to: at, from: [at], count: 1 };
    expect([first!(args).kernel, second!(args).kernel, same!(args).kernel]).toEqual([0, 1, 0]);
    expect(p.functions).toHaveLength(2);
    expect(first!(args).parameters).toEqual([at, at, 0, 0, 1, 0, 0]);
  });

  test('makes calls whose arguments the compiler checks', () => {
    const p = new KernelCache(engine);
    const call = p.kernel(kernel, { factor: 1 });
    const from = [at];
    call({ to: at, from, count: 1 });
    // @ts-expect-error A required argument is missing.
    call({ to: at, from });
    // @ts-expect-error The name of an argument is misspelt.
    call({ to: at, from, count: 1, bais: at });
    const misspelt = { bais: at };
    // @ts-expect-error The misspelt name is in an object that is spread into the arguments.
    call({ to: at, from, count: 1, ...misspelt });
    // @ts-expect-error An address is given for a number.
    call({ to: at, from, count: at });
    // @ts-expect-error A number is given for an address.
    call({ to: 0, from, count: 1 });
    // @ts-expect-error An address is given for a list of them.
    call({ to: at, from: at, count: 1 });
    // @ts-expect-error The shape lacks what the kernel is generated for.
    expect(() => p.kernel(kernel, {})).toThrow();
    // @ts-expect-error The shape has something that the kernel does not know.
    p.kernel(kernel, { factor: 1, summand: 2 });
    // @ts-expect-error A required argument of a direct call is missing.
    argumentsOf(kernel, { to: 0, from: [] });
    // @ts-expect-error The name of an argument of a direct call is misspelt.
    argumentsOf(kernel, { to: 0, from: [], count: 1, bais: 0 });
  });
});
