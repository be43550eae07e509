/** Text for kernels in gpu.js's JavaScript: numbers, loops, activations. */
import type { Activation } from '../../../ops/activation.js';
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

/** Writes an activation of the variable x. No exponential overflows. */
export function activationOf(activation: Activation | undefined, x: string): string {
  const sigmoid = `(1 / (1 + Math.exp(Math.min(-${x}, 80))))`;
  const gate = `Math.min(Math.max(${x} + 3, 0), 6) / 6`;
  switch (activation?.fn) {
    case undefined:
      return x;
    case 'relu':
      return `Math.max(${x}, 0)`;
    case 'relu6':
      return `Math.min(Math.max(${x}, 0), 6)`;
    case 'leakyRelu':
      return `Math.max(${x}, 0) + ${literal(activation.slope)} * Math.min(${x}, 0)`;
    case 'sigmoid':
      return sigmoid;
    case 'tanh':
      return `(2 / (1 + Math.exp(Math.min(-2 * ${x}, 80))) - 1)`;
    case 'silu':
      return `${x} * ${sigmoid}`;
    case 'hardSwish':
      return `${x} * (${gate})`;
    case 'hardSigmoid':
      return gate;
  }
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
    ? { statements: `${statements}\nconst s = ${expression};`, value: activationOf(activation, 's') }
    : { statements, value: expression };
