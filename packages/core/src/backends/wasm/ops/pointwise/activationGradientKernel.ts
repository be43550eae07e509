/**
 * Gradients of activations: dy times the slope at x. NaN in dy gives NaN. NaN in x gives NaN for hardSwish, tanh,
 * sigmoid and silu; relu, relu6, leakyRelu and hardSigmoid use their slope at large negative x.
 */
import type { Activation } from '../../../../ops/activation.js';
import { constant } from '../../codegen/constants.js';
import type { Engine } from '../../codegen/engine.js';
import { type FunctionBuilder, f32x4, type Local, type V128, v128 } from '../../codegen/index.js';
import { defineKernel, type Variant, VECTOR } from '../../codegen/kernel.js';
import { applyActivation } from './activationKernel.js';

/** 1 where the mask is set, else 0. */
const oneWhere = (mask: V128): V128 => v128.and(mask, constant(1));

/**
 * The slope of an activation at x.
 * @param y - a temporary for the value of the activation, from which some slopes are computed.
 */
function slope(
  f: FunctionBuilder,
  engine: Engine,
  activation: Activation,
  x: Local<'v128'>,
  y: Local<'v128'>,
): V128 {
  const zero = constant(0);
  switch (activation.fn) {
    case 'relu':
      return oneWhere(f32x4.lt(zero, x));
    case 'relu6':
      return oneWhere(v128.and(f32x4.lt(zero, x), f32x4.lt(x, constant(6))));
    case 'leakyRelu':
      return v128.select(constant(1), f32x4.const(activation.slope), f32x4.lt(zero, x));
    case 'hardSigmoid':
      return v128.and(v128.and(f32x4.lt(f32x4.const(-3), x), f32x4.lt(x, constant(3))), constant(1 / 6));
    case 'hardSwish': {
      const middle = f32x4.mul(f32x4.add(f32x4.add(x, x), constant(3)), constant(1 / 6));
      const below = v128.select(zero, middle, f32x4.lt(x, f32x4.const(-3)));
      return v128.select(constant(1), below, f32x4.ge(x, constant(3)));
    }
    case 'tanh':
      f.set(y, x);
      applyActivation(f, engine, activation, [y]);
      return f32x4.sub(constant(1), f32x4.mul(y, y));
    case 'sigmoid':
    case 'silu': {
      f.set(y, x);
      applyActivation(f, engine, { fn: 'sigmoid' }, [y]);
      const rest = f32x4.sub(constant(1), y);
      return activation.fn === 'sigmoid'
        ? f32x4.mul(y, rest)
        : f32x4.mul(y, f32x4.add(constant(1), f32x4.mul(x, rest)));
    }
  }
}

/** Activation, and pixel strides in bytes. */
export interface ActivationGradientShape {
  readonly activation: Activation;
  readonly pixel: { readonly dy: number; readonly x: number; readonly dx: number };
}

/** Computes dx = dy times the slope at x, pixel by pixel. */
export const activationGradient = defineKernel({
  name: 'activation gradient',
  parameters: {
    /** Address of the first pixel of dy. */
    dy: 'address',
    /** Address of the first pixel of x. */
    x: 'address',
    /** Address of the first pixel of dx. */
    dx: 'address',
    /** Number of pixels. */
    pixels: 'integer',
    /** Number of channel blocks, of eight channels each. */
    groups: 'integer',
  },
  build(f, p, { engine, shape: { activation, pixel } }: Variant<ActivationGradientShape>) {
    const [dy, x, dx] = [f.pointer('dy'), f.pointer('x'), f.pointer('dx')];
    const values = f.vectors('x', 2);
    const outputs = f.vectors('y', 2);
    const results = f.vectors('dx', 2);
    f.repeat(p.pixels, () => {
      f.set(dy, p.dy);
      f.set(x, p.x);
      f.set(dx, p.dx);
      f.repeat(p.groups, () => {
        for (const [v, value] of values.entries()) f.set(value, v128.load(x, v * VECTOR));
        for (const [v, result] of results.entries()) {
          const factor = slope(f, engine, activation, values[v]!, outputs[v]!);
          f.set(result, f32x4.mul(v128.load(dy, v * VECTOR), factor));
        }
        for (const [v, result] of results.entries()) f.store(dx, result, v * VECTOR);
        for (const address of [dy, x, dx]) f.advance(address, 2 * VECTOR);
      });
      f.advance(p.dy, pixel.dy);
      f.advance(p.x, pixel.x);
      f.advance(p.dx, pixel.dx);
    });
  },
});
