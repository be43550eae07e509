/** Prints pointwise expressions as instructions on vectors. */
import { type Expression, type Operators, print } from '../../../pointwise/expression.js';
import { constant } from './constants.js';
import type { Engine } from './engine.js';
import { type FunctionBuilder, f32x4, Local, type V128, v128 } from './index.js';
import { multiplyAdd, VECTOR } from './kernel.js';
import { exponential, forEachPair, hyperbolicTangent, logistic } from './math.js';

type Vectors = readonly Local<'v128'>[];

/** A value of an expression: one for each vector of a group. */
interface Value {
  /** Returns the instructions that compute it for the vector at an index. */
  readonly at: (index: number) => V128;
  /** Computes it for all vectors, each step for all of them in order: see `forEachPair`. */
  readonly into: (registers: Vectors) => void;
  /** Returns registers that hold it. */
  readonly registers: () => Vectors;
  /** The factors of a product that nothing else reads: it can be added in the same instruction. */
  readonly factors?: readonly [Value, Value];
  /** Returns the product of another value with this one, which divides: one division instead of two operations. */
  readonly times?: (other: Value) => Value;
  /** Value of a constant. */
  readonly constant?: number;
}

/**
 * Computes expressions for all vectors of a group.
 * @param outputs - expressions, and the registers of their results. A single expression may overwrite its inputs.
 * @param inputs - the values of each input, one for each vector.
 */
export function setPointwise<I extends string>(
  f: FunctionBuilder,
  engine: Engine,
  outputs: readonly (readonly [expression: Expression<I>, to: Vectors])[],
  inputs: Readonly<Record<I, readonly V128[]>>,
): void {
  let temporaries = 0;
  /** Makes a value that is computed for all vectors when it is first read. */
  const held = (into: (registers: Vectors) => void): Value => {
    let known: Vectors | undefined;
    const registers = (): Vectors => {
      if (!known) {
        known = f.vectors(`temporary ${temporaries++}`, outputs[0]![1].length);
        into(known);
      }
      return known;
    };
    return { into, registers, at: (i) => registers()[i]! };
  };
  /** Makes a value that one or two instructions compute. */
  const each = (at: (index: number) => V128): Value => ({
    ...held((to) => forEachPair(to, (y, i) => f.set(y, at(i)))),
    at,
  });
  const instruction =
    (compute: (...operands: readonly V128[]) => V128) =>
    (...operands: readonly Value[]): Value =>
      each((i) => compute(...operands.map(({ at }) => at(i))));
  const constantOf = (value: number): Value => ({ ...each(() => constant(value)), constant: value });
  const mul = (a: Value, b: Value): Value =>
    b.times?.(a) ?? { ...instruction(f32x4.mul)(a, b), factors: [a, b] };
  /** Multiplies by a constant; a product in its second factor, so that it does not overflow. */
  const scale = (a: Value, factor: number): Value =>
    a.factors ? mul(a.factors[0], scale(a.factors[1], factor)) : mul(a, constantOf(factor));
  const operators: Operators<Value> = {
    add(a, b) {
      const [factors, rest] = b.factors ? [b.factors, a] : [a.factors, b];
      return factors
        ? instruction((c, d, e) => multiplyAdd(engine, c!, d!, e!))(...factors, rest)
        : instruction(f32x4.add)(a, b);
    },
    sub: instruction(f32x4.sub),
    mul,
    div: (a, b) => (b.constant === undefined ? instruction(f32x4.div)(a, b) : scale(a, 1 / b.constant)),
    min: instruction(f32x4.pmin),
    max: instruction(f32x4.pmax),
    negate: instruction((a) => f32x4.sub(constant(0), a)),
    sqrt: instruction(f32x4.sqrt),
    exp: (x) => held((to) => exponential(f, engine, x.registers(), to)),
    logistic: (x) => ({
      ...held((to) => logistic(f, engine, x.registers(), to)),
      times: (other) => held((to) => logistic(f, engine, x.registers(), to, other.at)),
    }),
    tanh: (x) => held((to) => hyperbolicTangent(f, engine, x.registers(), to)),
    less: instruction(f32x4.lt),
    atMost: instruction((a, b) => f32x4.ge(b, a)),
    where: (condition, a, b) =>
      b.constant === 0
        ? instruction(v128.and)(condition, a)
        : instruction((mask, c, d) => v128.select(c, d, mask))(condition, a, b),
  };
  const values = print<I, Value>(
    outputs.map(([expression]) => expression),
    {
      input(name) {
        const vectors = inputs[name];
        const value = each((i) => vectors[i]!);
        return areLocal(vectors) ? { ...value, registers: () => vectors } : value;
      },
      constant: constantOf,
      operation(operator, operands, shared) {
        const value = operators[operator](...operands);
        return shared ? held(value.into) : value;
      },
    },
  );
  for (const [index, [, to]] of outputs.entries()) values[index]!.into(to);
}

/** True if all vectors are in registers. */
const areLocal = (vectors: readonly V128[]): vectors is Vectors =>
  vectors.every((vector) => vector instanceof Local);

/** Returns two neighbouring vectors in memory. */
export const loadPair = (address: Local<'i32'>): readonly V128[] => [
  v128.load(address),
  v128.load(address, VECTOR),
];

/**
 * Computes expressions for contiguous values, eight at a time. All loads come before the first store.
 * @param outputs - expressions, by the names of the addresses where they are stored.
 * @param addresses - of inputs and results, by name. All of them advance.
 * @param groups - number of blocks of eight values.
 */
export function pointwiseLoop<I extends string, O extends string>(
  f: FunctionBuilder,
  engine: Engine,
  outputs: Readonly<Record<O, Expression<I>>>,
  addresses: Readonly<Record<NoInfer<I | O>, Local<'i32'>>>,
  groups: Local<'i32'>,
): void;
export function pointwiseLoop(
  f: FunctionBuilder,
  engine: Engine,
  outputs: Readonly<Record<string, Expression<string>>>,
  addresses: Readonly<Record<string, Local<'i32'>>>,
  groups: Local<'i32'>,
): void {
  const names = Object.keys(outputs);
  const results = names.map((name) => f.vectors(`result ${name}`, 2));
  f.repeat(groups, () => {
    setPointwise(
      f,
      engine,
      names.map((name, index) => [outputs[name]!, results[index]!]),
      Object.fromEntries(Object.entries(addresses).map(([name, address]) => [name, loadPair(address)])),
    );
    for (const [index, vectors] of results.entries())
      for (const [v, vector] of vectors.entries()) f.store(addresses[names[index]!]!, vector, v * VECTOR);
    for (const address of Object.values(addresses)) f.advance(address, 2 * VECTOR);
  });
}
