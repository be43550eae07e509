/** Pointwise expressions as instructions give what the reference computes. */
import { enginesToTry, KernelMemory } from '@cnn/testing/fixtures';
import { describe, expect, test } from 'vitest';
import { evaluate } from '../../../pointwise/evaluate.js';
import * as e from '../../../pointwise/expression.js';
import type { Engine } from './engine.js';
import { hoist } from './hoist.js';
import { FunctionBuilder, f32x8, i32, v128 } from './index.js';
import { BLOCK_BYTES } from './kernel.js';

import { setPointwise } from './pointwise.js';

const x = e.input('x');
const y = e.input('y');
const u = e.input('u');
const root = e.sqrt(e.mul(x, x));

/** Expressions that together have every operator, and each form that is computed in another way than the reference. */
const expressions: Readonly<Record<string, e.Expression<'x' | 'y' | 'u'>>> = {
  'multiply and add': e.sub(e.add(e.mul(x, y), 3), e.add(x, e.mul(y, y))),
  'division by a constant': e.div(e.mul(x, e.add(y, 1)), 6),
  'shared product': e.add(e.mul(root, y), e.mul(e.mul(root, y), root)),
  'minimum and maximum': e.add(e.clamp(x, -1, 2), e.negate(e.min(y, 0.25))),
  'choice of zero': e.where(e.less(x, y), e.add(x, 1), 0),
  'nested choice': e.where(e.atMost(x, 1), e.where(e.less(1, y), x, y), e.div(x, y)),
  'logistic factor': e.mul(e.add(x, y), e.logistic(e.sub(x, y))),
  'shared logistic': e.mul(e.logistic(x), e.sub(1, e.mul(y, e.logistic(x)))),
  'function of a function': e.tanh(e.logistic(e.mul(x, 2))),
  'uniform factors': e.mul(e.div(u, 3), e.div(x, e.add(u, 2))),
  'uniform product and constants': e.sub(e.mul(x, e.sub(1, e.mul(u, 0.25))), e.mul(y, e.negate(u))),
};

const valuesOf = (factor: number): Float32Array =>
  Float32Array.from({ length: 64 }, (_, i) => (((i * factor) % 61) - 30.5) / 8);
const [xs, ys, uniform] = [valuesOf(7), valuesOf(11), 0.625];

/** Computes values in a loop, x in the registers of the result and y in memory. */
function run(engine: Engine, expression: e.Expression<'x' | 'y' | 'u'>, hoisted: boolean): Float32Array {
  const memory = new KernelMemory(1);
  const [xAt, yAt, uAt] = [memory.put(xs), memory.put(ys), memory.put([uniform])];
  const to = memory.put(new Float32Array(xs.length));
  const f = new FunctionBuilder(0);
  const [xPointer, yPointer, toPointer] = [f.pointer(), f.pointer(), f.pointer()];
  for (const [pointer, at] of [
    [xPointer, xAt],
    [yPointer, yAt],
    [toPointer, to],
  ] as const)
    f.set(pointer, i32.const(at));
  const u = v128.loadSplat(uAt);
  const { expression: inLoop, held } = hoisted
    ? hoist(f, engine, expression, { u }, 'constant')
    : { expression, held: { u: [u] } };
  const result = f.f32x8();
  f.repeat(xs.length / 8, () => {
    f.set(result, f32x8.load(xPointer));
    setPointwise<string>(f, engine, [[inLoop, result]], { ...held, x: result, y: f32x8.load(yPointer) });
    f.store(toPointer, result);
    for (const pointer of [xPointer, yPointer, toPointer]) f.advance(pointer, BLOCK_BYTES);
  });
  memory.run(f);
  return memory.get(to, xs.length);
}

describe.each(enginesToTry())('%s', (_, engine) => {
  test.each(Object.entries(expressions))('%s', (_name, expression) => {
    const expected = new Float64Array(xs.length);
    evaluate(expression, { x: xs, y: ys, u: uniform }, expected);
    for (const hoisted of [false, true]) {
      const errors = run(engine, expression, hoisted).map(
        (value, i) => Math.abs(value - expected[i]!) / (1 + Math.abs(expected[i]!)),
      );
      expect(Math.max(...errors)).toBeLessThan(2e-7);
    }
  });
});

test('uniform parts are computed once, constants included', () => {
  const f = new FunctionBuilder(0);
  const [engine] = enginesToTry().map(([, engine]) => engine);
  const quotient = e.mul(e.div(u, 3), e.div(x, e.add(u, 2)));
  const { expression, held } = hoist(f, engine!, quotient, { u: v128.loadSplat(0) }, 'constant');
  expect(Object.keys(held)).toEqual(['constant 0']);
  expect(expression).toEqual(e.mul(e.input('constant 0'), x));
});
