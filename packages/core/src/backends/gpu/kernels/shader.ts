/** What shaders written by hand share, in WGSL and GLSL: activations of a vector, and names for sizes. */
import type { Activation } from '../../../ops/activation.js';

/** A number with a point, as both languages want them. */
const number = (value: number): string => (Number.isInteger(value) ? `${value}.0` : String(value));

/** An expression for the activation of a variable of the given type. No exponential overflows. */
export function activate(activation: Activation | undefined, x: string, type: string): string {
  const all = (value: number): string => `${type}(${number(value)})`;
  const logistic = (of: string): string => `(${all(1)} / (${all(1)} + exp(min(-${of}, ${all(80)}))))`;
  const between = (of: string, low: number, high: number): string =>
    `min(max(${of}, ${all(low)}), ${all(high)})`;
  const gate = `(${between(`${x} + ${all(3)}`, 0, 6)} * ${all(1 / 6)})`;
  switch (activation?.fn) {
    case undefined:
      return x;
    case 'relu':
      return `max(${x}, ${all(0)})`;
    case 'relu6':
      return between(x, 0, 6);
    case 'leakyRelu':
      return `max(${x}, ${all(0)}) + ${all(activation.slope)} * min(${x}, ${all(0)})`;
    case 'sigmoid':
      return logistic(x);
    case 'tanh':
      return `(${all(2)} * ${logistic(`(${x} * ${all(2)})`)} - ${all(1)})`;
    case 'silu':
      return `${x} * ${logistic(x)}`;
    case 'hardSwish':
      return `${x} * ${gate}`;
    case 'hardSigmoid':
      return gate;
  }
}

/** Whole numbers from 0 on. */
export const range = (count: number): readonly number[] => Array.from({ length: count }, (_, i) => i);
