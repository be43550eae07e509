/** Text for hand-written shaders, in WGSL and GLSL alike: activations of a vector. */
import type { Activation } from '../../../ops/activation.js';

/** Writes a number with a decimal point, which both languages require. */
const floatLiteral = (value: number): string => (Number.isInteger(value) ? `${value}.0` : String(value));

/** Writes an activation of the variable x, of a type such as `vec4<f32>`. No exponential overflows. */
export function vectorActivation(activation: Activation | undefined, x: string, type: string): string {
  const splat = (value: number): string => `${type}(${floatLiteral(value)})`;
  const logistic = (of: string): string => `(${splat(1)} / (${splat(1)} + exp(min(-${of}, ${splat(80)}))))`;
  const clamped = (of: string, low: number, high: number): string =>
    `min(max(${of}, ${splat(low)}), ${splat(high)})`;
  const gate = `(${clamped(`${x} + ${splat(3)}`, 0, 6)} * ${splat(1 / 6)})`;
  switch (activation?.fn) {
    case undefined:
      return x;
    case 'relu':
      return `max(${x}, ${splat(0)})`;
    case 'relu6':
      return clamped(x, 0, 6);
    case 'leakyRelu':
      return `max(${x}, ${splat(0)}) + ${splat(activation.slope)} * min(${x}, ${splat(0)})`;
    case 'sigmoid':
      return logistic(x);
    case 'tanh':
      return `(${splat(2)} * ${logistic(`(${x} * ${splat(2)})`)} - ${splat(1)})`;
    case 'silu':
      return `${x} * ${logistic(x)}`;
    case 'hardSwish':
      return `${x} * ${gate}`;
    case 'hardSigmoid':
      return gate;
  }
}

/** Gives the integers from 0 up to, but not including, `count`. */
export const range = (count: number): readonly number[] => Array.from({ length: count }, (_, i) => i);
