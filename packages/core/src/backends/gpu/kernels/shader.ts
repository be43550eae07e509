/** Text for hand-written shaders, in WGSL and GLSL alike: activations of a vector. */
import type { Activation } from '../../../ops/activation.js';
import { formulaOf } from '../../../pointwise/activations.js';
import { type Operators, print } from '../../../pointwise/expression.js';

/** Writes a number with a decimal point, which both languages require. */
const floatLiteral = (value: number): string => (Number.isInteger(value) ? `${value}.0` : String(value));

/** Returns the text of each operator. No exponential overflows. */
const operatorsOf = (type: string): Operators<string> => {
  const isGlsl = type === 'vec4';
  const splat = (value: number): string => `${type}(${floatLiteral(value)})`;
  const compare = (sign: string, name: string) => (a: string, b: string) =>
    isGlsl ? `${name}(${a}, ${b})` : `(${a} ${sign} ${b})`;
  const logistic = (a: string): string => `(${splat(1)} / (${splat(1)} + exp(min(-${a}, ${splat(80)}))))`;
  return {
    add: (a, b) => `(${a} + ${b})`,
    sub: (a, b) => `(${a} - ${b})`,
    mul: (a, b) => `(${a} * ${b})`,
    div: (a, b) => `(${a} / ${b})`,
    min: (a, b) => `min(${a}, ${b})`,
    max: (a, b) => `max(${a}, ${b})`,
    negate: (a) => `(-${a})`,
    sqrt: (a) => `sqrt(${a})`,
    exp: (a) => `exp(${a})`,
    logistic,
    tanh: (a) => `(${splat(2)} * ${logistic(`(${a} * ${splat(2)})`)} - ${splat(1)})`,
    less: compare('<', 'lessThan'),
    atMost: compare('<=', 'lessThanEqual'),
    where: (condition, a, b) =>
      isGlsl ? `mix(${b}, ${a}, ${condition})` : `select(${b}, ${a}, ${condition})`,
  };
};

/** Writes an activation of the variable x, of WGSL's type `f32` or `vec4<f32>` or GLSL's `vec4`. */
export function vectorActivation(
  activation: Activation | undefined,
  x: string,
  type: 'f32' | 'vec4<f32>' | 'vec4',
): string {
  if (!activation) return x;
  const operators = operatorsOf(type);
  return print([formulaOf(activation).value], {
    input: () => x,
    constant: (value) => `${type}(${floatLiteral(value)})`,
    operation: (operator, operands) => operators[operator](...operands),
  })[0]!;
}

/** Gives the integers from 0 up to, but not including, `count`. */
export const range = (count: number): readonly number[] => Array.from({ length: count }, (_, i) => i);
