/** Moves what is the same for all values out of the loop that computes a pointwise expression. */
import { div, type Expression, input, mul } from '../../../pointwise/expression.js';
import type { Engine } from './engine.js';
import type { F32x8Local, FunctionBuilder, V128 } from './index.js';
import { setPointwise } from './pointwise.js';

/** An expression to compute in a loop, and the inputs that it has besides: registers that hold its uniform parts. */
export interface Hoisted {
  readonly expression: Expression<string>;
  readonly held: Readonly<Record<string, F32x8Local>>;
}

/**
 * Computes the uniform parts of an expression, constants included, before a loop.
 * @param uniforms - the inputs that are the same in all iterations.
 * @param prefix - of the names of the inputs that stand for the parts in the expression.
 */
export function hoist(
  f: FunctionBuilder,
  engine: Engine,
  expression: Expression<string>,
  uniforms: Readonly<Record<string, V128>>,
  prefix: string,
): Hoisted {
  const inputs = Object.fromEntries(Object.entries(uniforms).map(([name, value]) => [name, [value]]));
  const held: Record<string, F32x8Local> = {};
  const isUniform = (node: Expression<string>): boolean =>
    node.operator === 'input'
      ? node.name in uniforms
      : node.operator === 'constant' || node.operands.every(isUniform);
  const hold = (part: Expression<string>): Expression<string> => {
    const index = Object.keys(held).length;
    const register = f.local('v128');
    const name = `${prefix} ${index}`;
    setPointwise(f, engine, [[part, [register]]], inputs);
    held[name] = [register];
    return input(name);
  };
  const known = new Map<Expression<string>, Expression<string>>();
  const visit = (node: Expression<string>): Expression<string> => {
    const result = known.get(node) ?? rewritten(node);
    known.set(node, result);
    return result;
  };
  const rewritten = (node: Expression<string>): Expression<string> => {
    if (isUniform(node)) return hold(node);
    if (node.operator === 'input' || node.operator === 'constant') return node;
    const { operator, operands } = node;
    const [a, b] = operands;
    // u * (v / w) becomes (u / w) * v.
    if (operator === 'mul' && b?.operator === 'div' && isUniform(a!) && isUniform(b.operands[1]!))
      return visit(mul(div(a!, b.operands[1]!), b.operands[0]!));
    return { operator, operands: operands.map(visit) };
  };
  return { expression: visit(expression), held };
}
