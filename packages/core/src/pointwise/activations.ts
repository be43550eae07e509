/** The activation functions: the value and the derivative of each, as expressions of x. A new one is a row here. */
import {
  add,
  atMost,
  clamp,
  div,
  type Expression,
  input,
  less,
  logistic,
  max,
  mul,
  sub,
  tanh,
  where,
} from './expression.js';
import { normal } from './normal.js';

/** An activation function of x. */
interface Formula {
  readonly value: Expression<'x'>;
  /** The derivative; at a kink, PyTorch's value. */
  readonly slope: Expression<'x'>;
  /**
   * True if the derivative at y = f(x) equals that at x. Then the gradient reads y, which the next layer reads too, and
   * x need not be kept: it can be overwritten, or never stored.
   */
  readonly slopeAtOutput?: boolean;
}

const x = input('x');
const s = logistic(x);
const t = tanh(x);
const gate = clamp(add(x, 3), 0, 6);

/** The activation functions, each made from its attributes. */
const formulas = {
  relu: () => ({ value: max(x, 0), slope: where(less(0, x), 1, 0), slopeAtOutput: true }),
  relu6: () => ({
    value: clamp(x, 0, 6),
    slope: where(less(0, x), where(less(x, 6), 1, 0), 0),
    slopeAtOutput: true,
  }),
  leakyRelu: ({ slope }: { readonly slope: number }) => ({
    // For the usual slopes the larger of two products, which is one operation fewer.
    value: slope > 0 && slope <= 1 ? max(x, mul(x, slope)) : where(less(x, 0), mul(x, slope), x),
    slope: where(less(0, x), 1, slope),
    slopeAtOutput: slope >= 0,
  }),
  sigmoid: () => ({ value: s, slope: mul(s, sub(1, s)) }),
  tanh: () => ({ value: t, slope: sub(1, mul(t, t)) }),
  silu: () => ({ value: mul(x, s), slope: mul(s, add(1, mul(x, sub(1, s)))) }),
  gelu({ approximate }: { readonly approximate: 'none' | 'tanh' }) {
    if (approximate === 'none') {
      const { density, distribution } = normal(x);
      return { value: mul(x, distribution), slope: add(distribution, mul(x, density)) };
    }
    // (1 + tanh(u)) / 2 is the logistic function of 2u.
    const [linear, cubic] = [Math.sqrt(8 / Math.PI), Math.sqrt(8 / Math.PI) * 0.044715];
    const square = mul(x, x);
    const share = logistic(mul(x, add(linear, mul(square, cubic))));
    const growth = mul(x, add(linear, mul(square, 3 * cubic)));
    return { value: mul(x, share), slope: mul(share, add(1, mul(growth, sub(1, share)))) };
  },
  hardSwish: () => ({
    value: div(mul(x, gate), 6),
    slope: where(less(x, -3), 0, where(atMost(3, x), 1, div(add(mul(2, x), 3), 6))),
  }),
  hardSigmoid: () => ({
    value: div(gate, 6),
    slope: where(less(-3, x), where(less(x, 3), 1 / 6, 0), 0),
  }),
} satisfies Readonly<Record<string, (attrs: never) => Formula>>;

type Formulas = typeof formulas;

/** An activation function, as plain data: its name `fn`, and its attributes, if it has any. */
export type Activation = {
  [F in keyof Formulas]: { readonly fn: F } & (Parameters<Formulas[F]> extends [infer A] ? A : unknown);
}[keyof Formulas];

/** Returns the expressions of an activation function. */
export const formulaOf = (activation: Activation): Formula =>
  // The function takes the attributes of its own name, which TypeScript cannot relate to the union.
  (formulas[activation.fn] as (attrs: Activation) => Formula)(activation);
