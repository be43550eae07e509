/** Prints pointwise expressions as instructions on vectors. */
import { type Expression, type Operators, print } from '../../../pointwise/expression.js';
import { constant } from './constants.js';
import type { Engine } from './engine.js';
import { type F32x8, type F32x8Local, type FunctionBuilder, f32x8, Local } from './index.js';
import { BLOCK_BYTES } from './kernel.js';
import { exponential, hyperbolicTangent, logistic } from './math.js';

/** A value of an expression. */
interface Value {
  /** Returns the instructions that compute it. */
  readonly read: () => F32x8;
  /** Computes it into registers. */
  readonly into: (registers: F32x8Local) => void;
  /** Returns registers that hold it. */
  readonly registers: () => F32x8Local;
  /** The factors of a product that nothing else reads: it can be added in the same instruction. */
  readonly factors?: readonly [Value, Value];
  /** Returns the product of another value with this one, which divides: one division instead of two operations. */
  readonly times?: (other: Value) => Value;
  /** Value of a constant. */
  readonly constant?: number;
}

/**
 * Computes expressions of values.
 * @param outputs - expressions, and the registers of their results. A single expression may overwrite its inputs.
 * @param inputs - the value of each input.
 */
export function setPointwise<I extends string>(
  f: FunctionBuilder,
  engine: Engine,
  outputs: readonly (readonly [expression: Expression<I>, to: F32x8Local])[],
  inputs: Readonly<Record<I, F32x8>>,
): void {
  let temporaries = 0;
  /** Makes a value that is computed when it is first read. */
  const held = (into: (registers: F32x8Local) => void): Value => {
    let known: F32x8Local | undefined;
    const registers = (): F32x8Local => {
      if (!known) {
        known = f.pool(`temporary ${temporaries++}`, outputs[0]![1].length);
        into(known);
      }
      return known;
    };
    return { into, registers, read: registers };
  };
  /** Makes a value that one or two instructions compute. */
  const immediate = (read: () => F32x8): Value => ({ ...held((to) => f.set(to, read())), read });
  const instruction =
    <Operands extends readonly F32x8[]>(compute: (...operands: Operands) => F32x8) =>
    (...operands: { readonly [K in keyof Operands]: Value }): Value =>
      immediate(() => compute(...(operands.map(({ read }) => read()) as never)));
  const constantOf = (value: number): Value => ({ ...immediate(() => [constant(value)]), constant: value });
  const mul = (a: Value, b: Value): Value =>
    b.times?.(a) ?? { ...instruction(f32x8.mul)(a, b), factors: [a, b] };
  /** Multiplies by a constant; a product in its second factor, so that it does not overflow. */
  const scale = (a: Value, factor: number): Value =>
    a.factors ? mul(a.factors[0], scale(a.factors[1], factor)) : mul(a, constantOf(factor));
  const operators: Operators<Value> = {
    add(a, b) {
      const [factors, rest] = b.factors ? [b.factors, a] : [a.factors, b];
      return factors
        ? instruction((c, d, e) => f32x8.multiplyAdd(engine, c, d, e))(...factors, rest)
        : instruction(f32x8.add)(a, b);
    },
    sub: instruction(f32x8.sub),
    mul,
    div: (a, b) => (b.constant === undefined ? instruction(f32x8.div)(a, b) : scale(a, 1 / b.constant)),
    min: instruction(f32x8.pmin),
    max: instruction(f32x8.pmax),
    negate: instruction((a) => f32x8.sub(constant(0), a)),
    sqrt: instruction(f32x8.sqrt),
    exp: (x) => held((to) => exponential(f, engine, x.registers(), to)),
    logistic: (x) => ({
      ...held((to) => logistic(f, engine, x.registers(), to)),
      times: (other) => held((to) => logistic(f, engine, x.registers(), to, other.read)),
    }),
    tanh: (x) => held((to) => hyperbolicTangent(f, engine, x.registers(), to)),
    less: instruction(f32x8.lt),
    atMost: instruction((a, b) => f32x8.ge(b, a)),
    where: (condition, a, b) =>
      b.constant === 0
        ? instruction(f32x8.and)(condition, a)
        : instruction((mask, c, d) => f32x8.select(c, d, mask))(condition, a, b),
  };
  const values = print<I, Value>(
    outputs.map(([expression]) => expression),
    {
      input(name) {
        const halves = inputs[name];
        const value = immediate(() => halves);
        return inRegisters(halves) ? { ...value, registers: () => halves } : value;
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

/** True if all halves are in registers. */
const inRegisters = (halves: F32x8): halves is F32x8Local => halves.every((half) => half instanceof Local);

/**
 * Computes expressions for contiguous floats, eight at a time.
 * @param outputs - expressions, by the names of the addresses where they are stored.
 * @param addresses - of inputs and results, by name. All of them advance.
 * @param groups - number of blocks of eight floats.
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
  const results = names.map(() => f.f32x8());
  f.repeat(groups, () => {
    setPointwise(
      f,
      engine,
      names.map((name, index) => [outputs[name]!, results[index]!]),
      Object.fromEntries(Object.entries(addresses).map(([name, address]) => [name, f32x8.load(address)])),
    );
    for (const [index, result] of results.entries()) f.store(addresses[names[index]!]!, result);
    for (const address of Object.values(addresses)) f.advance(address, BLOCK_BYTES);
  });
}
