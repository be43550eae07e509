/**
 * Scalar expressions of named inputs. Pointwise mathematics is written once, with the functions of this file, and each
 * back end prints it: as numbers (`evaluate.ts`), WebAssembly, WGSL, GLSL and gpu.js's JavaScript.
 */

/** The operators. The table of every printer has an entry for each. */
export type Operator =
  | 'add'
  | 'sub'
  | 'mul'
  | 'div'
  | 'min'
  | 'max'
  | 'negate'
  | 'sqrt'
  | 'exp'
  | 'logistic'
  | 'tanh'
  | 'less'
  | 'atMost'
  | 'where';

/** The table of a printer: makes the result of each operator from its operands. */
export type Operators<T> = Readonly<Record<Operator, (...operands: readonly T[]) => T>>;

/** An expression of the inputs whose names are `I`. One that stands at several places of another is computed once. */
export type Expression<I extends string = never> =
  | { readonly operator: 'input'; readonly name: I }
  | { readonly operator: 'constant'; readonly value: number }
  | { readonly operator: Operator; readonly operands: readonly Expression<I>[] };

/** A comparison, as `where` takes it. */
interface Condition<I extends string> {
  readonly condition: Expression<I>;
}

/** An operand; a number stands for a constant. */
type Operand<I extends string> = Expression<I> | number;

const expressionOf = <I extends string>(operand: Operand<I>): Expression<I> =>
  typeof operand === 'number' ? { operator: 'constant', value: operand } : operand;

const unary =
  (operator: Operator) =>
  <I extends string>(a: Operand<I>): Expression<I> => ({ operator, operands: [expressionOf(a)] });

const binary =
  (operator: Operator) =>
  <I extends string>(a: Operand<I>, b: Operand<I>): Expression<I> => ({
    operator,
    operands: [expressionOf(a), expressionOf(b)],
  });

const comparison =
  (operator: Operator) =>
  <I extends string>(a: Operand<I>, b: Operand<I>): Condition<I> => ({ condition: binary(operator)(a, b) });

/** Returns the input of a name. */
export const input = <I extends string>(name: I): Expression<I> => ({ operator: 'input', name });

export const add = binary('add');
export const sub = binary('sub');
export const mul = binary('mul');
export const div = binary('div');
/** The smaller operand. A NaN of `a` is kept; `b` must not be NaN unless `a` is. */
export const min = binary('min');
/** The larger operand. A NaN of `a` is kept; `b` must not be NaN unless `a` is. */
export const max = binary('max');
export const negate = unary('negate');
export const sqrt = unary('sqrt');
/** exp(a) for a <= 0; printers may limit the results of other arguments. */
export const exp = unary('exp');
/** 1 / (1 + exp(-a)), the sigmoid. */
export const logistic = unary('logistic');
export const tanh = unary('tanh');
/** a < b; false if an operand is NaN. */
export const less = comparison('less');
/** a <= b; false if an operand is NaN. */
export const atMost = comparison('atMost');

/** Returns `then` where the condition holds, else `otherwise`. Both are computed. */
export const where = <I extends string>(
  { condition }: Condition<I>,
  then: Operand<I>,
  otherwise: Operand<I>,
): Expression<I> => ({
  operator: 'where',
  operands: [condition, expressionOf(then), expressionOf(otherwise)],
});

/** Limits `a` to [low, high]. A NaN is kept. */
export const clamp = <I extends string>(a: Operand<I>, low: number, high: number): Expression<I> =>
  min(max(a, low), high);

/** A printer to a language whose values are of type T. `shared` is true for a value that is used several times. */
export interface Printer<I extends string, T> {
  readonly input: (name: I, shared: boolean) => T;
  readonly constant: (value: number) => T;
  readonly operation: (operator: Operator, operands: readonly T[], shared: boolean) => T;
}

/** Prints expressions, operands first, and each node once. */
export function print<I extends string, T>(
  expressions: readonly Expression<I>[],
  { input, constant, operation }: Printer<I, T>,
): readonly T[] {
  const uses = new Map<Expression<I>, number>();
  const count = (node: Expression<I>): void => {
    const known = uses.get(node) ?? 0;
    uses.set(node, known + 1);
    if (known === 0 && 'operands' in node) node.operands.forEach(count);
  };
  expressions.forEach(count);
  const printed = new Map<Expression<I>, T>();
  const visit = (node: Expression<I>): T => {
    if (node.operator === 'constant') return constant(node.value);
    const known = printed.get(node);
    if (known !== undefined) return known;
    const shared = uses.get(node)! > 1;
    const value =
      node.operator === 'input'
        ? input(node.name, shared)
        : operation(node.operator, node.operands.map(visit), shared);
    printed.set(node, value);
    return value;
  };
  return expressions.map(visit);
}
