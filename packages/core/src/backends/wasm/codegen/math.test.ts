import { enginesToTry, KernelMemory } from '@cnn/testing/fixtures';
import { everyActivation } from '@cnn/testing/samples';
import { describe, expect, test } from 'vitest';
import { activate } from '../../../ops/activation.js';
import { applyActivation } from '../ops/pointwise/activationKernel.js';
import { type F32x8Local, FunctionBuilder, f32x8 } from './index.js';
import { exponential, logarithm } from './math.js';

/** Applies a function of four vectors `x`, which writes to four vectors `y`, to a list of values. */
function map(
  list: readonly number[],
  body: (f: FunctionBuilder, x: F32x8Local, y: F32x8Local) => void,
): Float32Array {
  const memory = new KernelMemory(1);
  const from = memory.put(list);
  const to = memory.put(new Float32Array(list.length));
  const f = new FunctionBuilder(0);
  const [x, y] = [f.f32x8(4), f.f32x8(4)];
  for (let at = 0; at < list.length; at += 16) {
    f.set(x, f32x8.load(from, at * 4, 4));
    body(f, x, y);
    f.store(to, y, at * 4);
  }
  memory.run(f);
  return memory.get(to, list.length);
}

const spread = Array.from({ length: 320 }, (_, i) => (i - 160) / 8);

describe.each(enginesToTry())('%s', (_, engine) => {
  test('exp', () => {
    const got = map(spread, (f, x, y) => exponential(f, engine, x, y));
    for (const [i, x] of spread.entries())
      expect(Math.abs(got[i]! / Math.exp(x) - 1)).toBeLessThan(2e-7 + Math.abs(x) * 1e-7);
  });

  test('log', () => {
    const list = spread.map((x) => Math.fround(Math.exp(x)));
    const got = map(list, (f, x, y) => logarithm(f, engine, x, y));
    for (const [i, x] of list.entries())
      expect(Math.abs(got[i]! - Math.log(x))).toBeLessThan(2e-7 * Math.max(1, Math.abs(Math.log(x))));
  });

  test.each(everyActivation.map((activation) => [activation.fn, activation] as const))(
    '%s',
    (_name, activation) => {
      const list = [
        ...spread,
        0,
        -0,
        1e-20,
        -1e-3,
        1e4,
        -1e4,
        3,
        -3,
        Number.NaN,
        6,
        88,
        -88,
        127,
        -127,
        0.6,
        0.7,
      ];
      const got = map(list, (f, x, y) => {
        f.set(y, x);
        applyActivation(f, engine, activation, y);
      });
      const wanted = Float64Array.from(list, Math.fround);
      activate(activation, wanted, wanted);
      for (const [i, x] of list.entries()) {
        const expected = wanted[i]!;
        if (Number.isNaN(expected)) expect(got[i], `at ${x}`).toBeNaN();
        else
          expect(Math.abs(got[i]! - expected), `${activation.fn} at ${x}`).toBeLessThanOrEqual(
            4e-7 * Math.abs(expected) + 1e-7 * Math.min(1, Math.abs(x)) + 1e-36,
          );
      }
    },
  );
});
