/** The steps of optimizers, as expressions. */
import { add, div, type Expression, input, min, mul, negate, sqrt, sub } from './expression.js';

/** The step of an op. */
export interface OptimizerStep {
  readonly result: Expression<string>;
  /**
   * Names of the op's inputs in the expression, in order: one name for an input with a value for each element. Other
   * inputs hold values that all elements share, such as learning rates: the names of these, and their indices.
   */
  readonly names: readonly (string | Readonly<Record<string, number>>)[];
}

/** Makes a step. */
const step = <I extends string>(
  names: readonly (NoInfer<I> | Readonly<Record<string, number>>)[],
  result: Expression<I>,
): OptimizerStep => ({ names, result });

const x = input('x');
const z = input('z');
const combination = (a: number, b: number): OptimizerStep => step(['x', 'z'], add(mul(x, a), mul(z, b)));

const parameter = input('parameter');
const direction = input('direction');
const squares = input('squares');
const rate = input('rate');
const c1 = input('c1');
const c2 = input('c2');

interface Factors {
  readonly a: number;
  readonly b: number;
}

const steps = {
  linearCombination: ({ a, b }: Factors) => combination(a, b),
  runningAverage: ({ momentum, scale }: { readonly momentum: number; readonly scale: number }) =>
    combination(1 - momentum, momentum * scale),
  squareAverage: ({ a, b }: Factors) => step(['x', 'z'], add(mul(x, a), mul(mul(z, z), b))),
  descend: ({ index }: { readonly index: number }) =>
    step(['parameter', 'direction', { rate: index }], add(parameter, mul(direction, negate(rate)))),
  adaptiveDescend: ({
    index,
    eps,
    decay,
  }: {
    readonly index: number;
    readonly eps: number;
    readonly decay: number;
  }) =>
    step(
      ['parameter', 'direction', 'squares', { rate: index }, { c1: 0, c2: 1 }],
      sub(
        mul(parameter, sub(1, mul(rate, decay))),
        div(mul(rate, div(direction, c1)), add(sqrt(div(squares, c2)), eps)),
      ),
    ),
  clipByNorm: ({ maxNorm }: { readonly maxNorm: number }) =>
    step(['x', { total: 0 }], mul(x, min(div(maxNorm, add(sqrt(input('total')), 1e-6)), 1))),
} satisfies Readonly<Record<string, (attrs: never) => OptimizerStep>>;

/** The ops that have a step. */
export type OptimizerStepName = keyof typeof steps;

/** Returns the step of an op with its attributes. */
export const optimizerStep = (op: OptimizerStepName, attrs: object): OptimizerStep =>
  (steps[op] as (attrs: object) => OptimizerStep)(attrs);
