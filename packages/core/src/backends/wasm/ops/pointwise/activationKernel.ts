/**
 * Activations of vectors in registers, the epilogue of other kernels. Clamps use `pmin` and `pmax`, one x86
 * instruction each; `min` and `max` need more for NaN and signed zeros and made MobileNetV2 11 % slower. All
 * activations keep NaN.
 */
import type { Activation } from '../../../../ops/activation.js';
import { formulaOf } from '../../../../pointwise/activations.js';
import type { Engine } from '../../codegen/engine.js';
import { type F32x8Local, type FunctionBuilder, valuesIn } from '../../codegen/index.js';
import { setPointwise } from '../../codegen/pointwise.js';

/** Applies an activation in place, if there is one. */
export function applyActivation(
  f: FunctionBuilder,
  engine: Engine,
  activation: Activation | undefined,
  values: F32x8Local,
): void {
  if (!activation) return;
  const { value } = formulaOf(activation);
  // Activations with an exponential need registers for temporaries: four vectors at a time, two without wide SIMD.
  for (const x of valuesIn(values, engine.wide ? 4 : 2)) setPointwise(f, engine, [[value, x]], { x });
}
