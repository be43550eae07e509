/** Text for kernels in gpu.js's JavaScript: numbers, loops, pointwise expressions. */
import type { Activation } from '../../../ops/activation.js';
import { formulaOf } from '../../../pointwise/activations.js';
import { type Expression, type Operators, print } from '../../../pointwise/expression.js';
import type { Coordinate } from './expression.js';

/** Gives the expression that reads an input's element at some coordinates. */
export type Read = (at: readonly Coordinate[]) => string;

/** Text that computes one element. */
export interface KernelBody {
  /** Statements before the value. Default none. */
  readonly statements?: string;
  /** Expression of the value. */
  readonly value: string;
}

/** Writes a number. */
export const literal = (value: number): string => (value < 0 ? `(${value})` : `${value}`);

/** Writes a loop over the integers from 0 up to, but not including, `count`. */
export const loop = (name: string, count: number, inner: string): string =>
  `for (let ${name} = 0; ${name} < ${count}; ${name}++) {\n${inner}\n}`;

/** The text of each operator. No exponential overflows. */
const operators: Operators<string> = {
  add: (a, b) => `(${a} + ${b})`,
  sub: (a, b) => `(${a} - ${b})`,
  mul: (a, b) => `(${a} * ${b})`,
  div: (a, b) => `(${a} / ${b})`,
  min: (a, b) => `Math.min(${a}, ${b})`,
  max: (a, b) => `Math.max(${a}, ${b})`,
  negate: (a) => `(-${a})`,
  sqrt: (a) => `Math.sqrt(${a})`,
  exp: (a) => `Math.exp(${a})`,
  logistic: (a) => `(1 / (1 + Math.exp(Math.min(-${a}, 80))))`,
  tanh: (a) => `(2 / (1 + Math.exp(Math.min(-2 * ${a}, 80))) - 1)`,
  less: (a, b) => `(${a} < ${b})`,
  atMost: (a, b) => `(${a} <= ${b})`,
  where: (condition, a, b) => `(${condition} ? ${a} : ${b})`,
};

/**
 * Writes a pointwise expression.
 * @param inputs - the expression of each input.
 * @param statements - statements before it.
 */
export function pointwise<I extends string>(
  expression: Expression<I>,
  inputs: Readonly<Record<I, string>>,
  statements = '',
): KernelBody {
  const lines = statements.split('\n');
  const declared = (text: string, shared: boolean): string => {
    if (!shared) return text;
    const name = `value${lines.length}`;
    lines.push(`const ${name} = ${text};`);
    return name;
  };
  const [value] = print([expression], {
    input: (name, shared) => declared(`(${inputs[name]})`, shared),
    constant: literal,
    operation: (operator, operands, shared) => declared(operators[operator](...operands), shared),
  });
  return { statements: lines.join('\n'), value: value! };
}

/**
 * Writes an expression followed by its activation, if there is one.
 * @param statements - statements before the expression.
 */
export const activated = (
  activation: Activation | undefined,
  expression: string,
  statements = '',
): KernelBody =>
  activation
    ? pointwise(formulaOf(activation).value, { x: expression }, statements)
    : { statements, value: expression };
