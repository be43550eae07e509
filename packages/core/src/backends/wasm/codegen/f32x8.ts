/**
 * `F32x8`: eight floats as one value, a pair of 128-bit vectors. WebAssembly has no wider vectors, but V8 joins two
 * neighbouring 128-bit operations into a 256-bit one (see `enableWideSimd`). Each step is therefore emitted for both
 * halves before the next step: load, load, operation, operation, store, store. A load between the two stores made a
 * matrix multiplication kernel 5 to 8 times slower. Kernels compute with whole values and leave this order to them:
 *
 *     f.set(total, f32x8.add(total, f32x8.load(x)));
 *     f.store(y, total);
 *
 * `set` and `store` of the function builder emit one statement per half. `store` takes registers only, so every load
 * comes before the first store.
 *
 * Some values have another number of vectors than two: one on engines that do not join pairs, or all columns of a
 * matmul's panel. An operand with fewer vectors is repeated; a single vector stands for all halves.
 */
import { f32x4, type I32, type Local, type V128, v128 } from './expression.js';

/** Bytes of a vector, half of a value. */
export const VECTOR = 16;

/** The halves of a value: expressions, computed anew wherever the value is used. */
export type F32x8 = readonly V128[];

/** The halves of a value in registers. */
export type F32x8Local = readonly Local<'v128'>[];

/** A value, or a vector that stands for all of its halves. */
export type F32x8Operand = F32x8 | V128;

const isVector = (operand: F32x8Operand): operand is V128 => 'write' in operand;

/** Returns one half of an operand. */
export const halfOf = (operand: F32x8Operand, index: number): V128 =>
  isVector(operand) ? operand : operand[index % operand.length]!;

/** Returns the operation on values that computes an operation on vectors for each half. */
export const lift =
  (operation: (...halves: V128[]) => V128) =>
  (...operands: F32x8Operand[]): F32x8 => {
    const counts = operands.map((operand) => (isVector(operand) ? 1 : operand.length));
    return Array.from({ length: Math.max(...counts) }, (_, index) =>
      operation(...operands.map((operand) => halfOf(operand, index))),
    );
  };

/** Divides registers into values of `halves` registers each; the last may have fewer. */
export const valuesIn = (registers: F32x8Local, halves: number): readonly F32x8Local[] =>
  Array.from({ length: Math.ceil(registers.length / halves) }, (_, index) =>
    registers.slice(index * halves, (index + 1) * halves),
  );

/** The part of an `Engine` that `multiplyAdd` reads. */
interface Fma {
  readonly fma: boolean;
}

/** Computes a * b + c: in one instruction if the engine has FMA, else in two. */
export const multiplyAdd = ({ fma }: Fma, a: V128, b: V128, c: V128): V128 =>
  fma ? f32x4.relaxedMadd(a, b, c) : f32x4.add(f32x4.mul(a, b), c);

type Unary = (a: F32x8Operand) => F32x8;
type Binary = (a: F32x8Operand, b: F32x8Operand) => F32x8;
type Ternary = (a: F32x8Operand, b: F32x8Operand, c: F32x8Operand) => F32x8;

/** Operations on values, by the names of those on vectors. */
export const f32x8 = {
  /** Loads contiguous floats from an address plus a constant offset in bytes. */
  load: (address: I32, offset = 0, halves = 2): F32x8 =>
    Array.from({ length: halves }, (_, index) => v128.load(address, offset + index * VECTOR)),
  add: lift(f32x4.add) as Binary,
  sub: lift(f32x4.sub) as Binary,
  mul: lift(f32x4.mul) as Binary,
  div: lift(f32x4.div) as Binary,
  sqrt: lift(f32x4.sqrt) as Unary,
  abs: lift(f32x4.abs) as Unary,
  max: lift(f32x4.max) as Binary,
  pmin: lift(f32x4.pmin) as Binary,
  pmax: lift(f32x4.pmax) as Binary,
  lt: lift(f32x4.lt) as Binary,
  ge: lift(f32x4.ge) as Binary,
  ne: lift(f32x4.ne) as Binary,
  and: lift(v128.and) as Binary,
  or: lift(v128.or) as Binary,
  /** Takes the bits of `a` where the mask is 1, of `b` where it is 0. */
  select: lift(v128.select) as Ternary,
  /** a * b + c: see `multiplyAdd`. */
  multiplyAdd: (engine: Fma, a: F32x8Operand, b: F32x8Operand, c: F32x8Operand): F32x8 =>
    lift((x, y, z) => multiplyAdd(engine, x!, y!, z!))(a, b, c),
};
