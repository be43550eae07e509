/** Values of eight floats: results, and the order of the statements of their halves. */
import { enginesToTry, KernelMemory } from '@cnn/testing/fixtures';
import { describe, expect, test } from 'vitest';
import { FunctionBuilder, f32x4, f32x8, lift, VECTOR, v128, valuesIn } from './index.js';

const code = (build: (f: FunctionBuilder) => void): readonly number[] => {
  const f = new FunctionBuilder(1);
  build(f);
  return [...f.body().view()];
};

test('each step is emitted for both halves before the next one', () => {
  const whole = code((f) => {
    const x = f.f32x8();
    f.set(x, f32x8.mul(f32x8.load(f.parameters[0]!, 64), f32x4.const(2)));
    f.store(f.parameters[0]!, x, 64);
  });
  const halves = code((f) => {
    const [low, high] = f.vectors(2);
    const [at] = f.parameters;
    f.set(low, f32x4.mul(v128.load(at!, 64), f32x4.const(2)));
    f.set(high, f32x4.mul(v128.load(at!, 64 + VECTOR), f32x4.const(2)));
    f.store(at!, low, 64);
    f.store(at!, high, 64 + VECTOR);
  });
  expect(whole).toEqual(halves);
});

test('a value with a load in it cannot be stored directly', () => {
  // @ts-expect-error: not in registers.
  code((f) => f.store(f.parameters[0]!, f32x8.load(f.parameters[0]!)));
});

test('registers are divided into values', () => {
  const registers = new FunctionBuilder(0).vectors(5);
  expect(valuesIn(registers, 2)).toEqual([registers.slice(0, 2), registers.slice(2, 4), registers.slice(4)]);
});

describe.each(enginesToTry())('%s', (_, engine) => {
  test('operands with fewer halves are repeated', () => {
    const memory = new KernelMemory(1);
    const values = Array.from({ length: 16 }, (_, i) => i - 5.5);
    const from = memory.put(values);
    const to = memory.put(new Float32Array(16));
    const f = new FunctionBuilder(0);
    const [x, pair] = [f.f32x8(4), f.f32x8()];
    f.set(x, f32x8.load(from, 0, 4));
    f.set(pair, f32x8.load(from));
    const clamped = lift((a, b) => f32x4.pmin(a!, b!))(x, f32x4.const(2));
    f.set(x, f32x8.multiplyAdd(engine, clamped, pair, f32x4.const(1)));
    f.store(to, x);
    memory.run(f);
    expect([...memory.get(to, 16)]).toEqual(values.map((x, i) => Math.min(x, 2) * values[i % 8]! + 1));
  });
});
