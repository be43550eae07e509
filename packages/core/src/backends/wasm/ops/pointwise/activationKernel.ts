/**
 * Activations of vectors in registers, the epilogue of other kernels. Clamps use `pmin` and `pmax`, one x86
 * instruction each; `min` and `max` need more for NaN and signed zeros and made MobileNetV2 11 % slower. All
 * activations keep NaN.
 */
import type { Activation } from '../../../../ops/activation.js';
import { constant, heldConstant, SMALL_TANH } from '../../codegen/constants.js';
import type { Engine } from '../../codegen/engine.js';
import { type FunctionBuilder, f32x4, type Local, type V128, v128 } from '../../codegen/index.js';
import { multiplyAdd } from '../../codegen/kernel.js';
import { exponentialParts, forEachPair, polynomial } from '../../codegen/math.js';

type Vector = Local<'v128'>;

const clamp = (value: V128, low: number, high: number): V128 =>
  f32x4.pmin(f32x4.pmax(value, constant(low)), constant(high));

/** Applies an activation in place, if there is one. */
export function applyActivation(
  f: FunctionBuilder,
  engine: Engine,
  activation: Activation | undefined,
  values: readonly Vector[],
): void {
  if (!activation) return;
  // Activations with an exponential need registers for temporaries: four vectors at a time, two without wide SIMD.
  const group = engine.wide ? 4 : 2;
  for (let start = 0; start < values.length; start += group)
    applyToGroup(f, engine, activation, values.slice(start, start + group));
}

function applyToGroup(
  f: FunctionBuilder,
  engine: Engine,
  activation: Activation,
  values: readonly Vector[],
): void {
  const each = (value: (x: V128, index: number) => V128): void =>
    forEachPair(values, (x, index) => f.set(x, value(x, index)));
  switch (activation.fn) {
    case 'relu':
      each((x) => f32x4.pmax(x, constant(0)));
      break;
    case 'relu6':
      each((x) => clamp(x, 0, 6));
      break;
    case 'leakyRelu':
      each((x) =>
        multiplyAdd(
          engine,
          f32x4.pmin(x, constant(0)),
          constant(activation.slope),
          f32x4.pmax(x, constant(0)),
        ),
      );
      break;
    case 'hardSigmoid':
      each((x) => f32x4.mul(clamp(f32x4.add(x, constant(3)), 0, 6), constant(1 / 6)));
      break;
    case 'hardSwish':
      each((x) => f32x4.mul(x, f32x4.mul(clamp(f32x4.add(x, constant(3)), 0, 6), constant(1 / 6))));
      break;
    case 'sigmoid':
    case 'silu': {
      const { scale, mantissa } = exponentialParts(f, engine, values, -1);
      const one = heldConstant(f, engine, 'first constant', 1);
      each((x, i) =>
        f32x4.div(
          activation.fn === 'silu' ? x : one(i),
          multiplyAdd(engine, scale[i]!, mantissa[i]!, one(i)),
        ),
      );
      break;
    }
    case 'tanh': {
      // 1 - 2 / (exp(2x) + 1) loses digits near zero, where a polynomial is used instead.
      const { scale, mantissa } = exponentialParts(f, engine, values, 2);
      const large = mantissa;
      forEachPair(large, (y, i) => {
        const sum = multiplyAdd(engine, scale[i]!, y, constant(1));
        f.set(y, f32x4.sub(constant(1), f32x4.div(constant(2), sum)));
      });
      const square = f.vectors('exponent rest', values.length);
      const small = scale;
      forEachPair(square, (s, i) => f.set(s, f32x4.mul(values[i]!, values[i]!)));
      polynomial(f, engine, SMALL_TANH, square, small);
      each((x, i) =>
        v128.select(
          multiplyAdd(engine, f32x4.mul(x, square[i]!), small[i]!, x),
          large[i]!,
          f32x4.lt(f32x4.abs(x), constant(0.625)),
        ),
      );
      break;
    }
  }
}
