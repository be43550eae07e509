/**
 * WebAssembly instructions as typed expression trees: `f32x4.add(a, f32x4.mul(b, c))`. A statement that uses
 * an expression writes its bytes; an expression that is used twice is written and computed twice.
 */
import type { Bytes } from './bytes.js';

/** The types of WebAssembly values. */
export type ValueType = 'i32' | 'i64' | 'f32' | 'v128';

/** Code that computes one value. */
export interface Expression<T extends ValueType> {
  readonly type: T;
  /** Appends the code, which leaves the value on the stack. */
  write(code: Bytes): void;
}

/** A 32-bit integer or address; a plain number stands for a constant. */
export type I32 = Expression<'i32'> | number;
/** A float32. */
export type F32 = Expression<'f32'>;
/** 128 bits: four float32 or four int32. */
export type V128 = Expression<'v128'>;

/** A local variable of a function. As an expression it reads the variable where the code is written. */
export class Local<T extends ValueType> implements Expression<T> {
  constructor(
    readonly type: T,
    readonly index: number,
  ) {}

  write(code: Bytes): void {
    code.bytes(0x20).unsigned(this.index);
  }
}

/** Writes an operand; a number becomes a constant. */
export function writeOperand(operand: Expression<ValueType> | number, code: Bytes): void {
  if (typeof operand === 'number') code.bytes(0x41).signed(operand);
  else operand.write(code);
}

type Operand = Expression<ValueType> | number;

function expression<T extends ValueType>(type: T, write: (code: Bytes) => void): Expression<T> {
  return { type, write };
}

/** Returns an instruction whose opcode is one byte. */
const plain =
  <T extends ValueType>(type: T, opcode: number) =>
  (...operands: Operand[]): Expression<T> =>
    expression(type, (code) => {
      for (const operand of operands) writeOperand(operand, code);
      code.bytes(opcode);
    });

/** Returns a SIMD instruction: its opcode is the prefix 0xfd and a number. */
const simd =
  <T extends ValueType>(type: T, opcode: number) =>
  (...operands: Operand[]): Expression<T> =>
    expression(type, (code) => {
      for (const operand of operands) writeOperand(operand, code);
      code.bytes(0xfd).unsigned(opcode);
    });

/**
 * Returns a load from an address plus a constant offset in bytes.
 * @param alignment - exponent of two.
 */
const load =
  <T extends ValueType>(type: T, opcode: readonly number[], alignment: number) =>
  (address: I32, offset = 0): Expression<T> =>
    expression(type, (code) => {
      writeOperand(address, code);
      code
        .bytes(...opcode)
        .unsigned(alignment)
        .unsigned(offset);
    });

type I32Binary = (a: I32, b: I32) => Expression<'i32'>;
type F32Binary = (a: F32, b: F32) => F32;
type Unary = (a: V128) => V128;
type Binary = (a: V128, b: V128) => V128;
type Ternary = (a: V128, b: V128, c: V128) => V128;
type Shift = (a: V128, bits: I32) => V128;

/** Instructions on integers and addresses. */
export const i32 = {
  load: load('i32', [0x28], 2),
  /** Loads a byte, 0 to 255. */
  load8: load('i32', [0x2d], 0),
  atomicLoad: load('i32', [0xfe, 0x10], 2),
  add: ((a, b) => (b === 0 ? (typeof a === 'number' ? i32.const(a) : a) : addI32(a, b))) as I32Binary,
  sub: plain('i32', 0x6b) as I32Binary,
  mul: ((a, b) => (b === 1 && typeof a !== 'number' ? a : mulI32(a, b))) as I32Binary,
  divU: plain('i32', 0x6e) as I32Binary,
  and: plain('i32', 0x71) as I32Binary,
  shrU: plain('i32', 0x76) as I32Binary,
  eqz: plain('i32', 0x45) as (a: I32) => Expression<'i32'>,
  eq: plain('i32', 0x46) as I32Binary,
  ltS: plain('i32', 0x48) as I32Binary,
  ltU: plain('i32', 0x49) as I32Binary,
  geS: plain('i32', 0x4e) as I32Binary,
  /** Returns `a` if the condition is not 0, else `b`. */
  select: plain('i32', 0x1b) as (a: I32, b: I32, condition: I32) => Expression<'i32'>,
  const: (value: number): Expression<'i32'> => expression('i32', (code) => writeOperand(value, code)),
};
const addI32 = plain('i32', 0x6a) as I32Binary;
const mulI32 = plain('i32', 0x6c) as I32Binary;

/** Scalar float32 instructions. */
export const f32 = {
  load: load('f32', [0x2a], 2),
  const: (value: number): F32 => expression('f32', (code) => code.bytes(0x43).float32(value)),
  add: plain('f32', 0x92) as F32Binary,
  mul: plain('f32', 0x94) as F32Binary,
  /** Converts a signed integer to the nearest float32. */
  fromI32: plain('f32', 0xb2) as (a: I32) => F32,
  /** Reinterprets the bits as a float32. */
  fromBits: plain('f32', 0xbe) as (a: I32) => F32,
};

/** Instructions on 128 bits, whatever the lanes. */
export const v128 = {
  load: load('v128', [0xfd, 0x00], 2),
  /** Loads one float32 into all four lanes. */
  loadSplat: load('v128', [0xfd, 0x09], 2),
  /** Loads one float32 into the first lane; the others are 0. */
  loadZero: load('v128', [0xfd, 0x5c], 2),
  and: simd('v128', 0x4e) as Binary,
  or: simd('v128', 0x50) as Binary,
  xor: simd('v128', 0x51) as Binary,
  /** Takes the bits of `a` where the mask is 1, of `b` where it is 0. */
  select: simd('v128', 0x52) as (a: V128, b: V128, mask: V128) => V128,
};

/** Instructions on four int32. */
export const i32x4 = {
  lanes: (...values: readonly number[]): V128 =>
    expression('v128', (code) => {
      code.bytes(0xfd).unsigned(0x0c);
      for (const value of values)
        for (let shift = 0; shift < 32; shift += 8) code.bytes((value >>> shift) & 0xff);
    }),
  const: (value: number): V128 => i32x4.lanes(value, value, value, value),
  splat: simd('v128', 0x11) as (a: I32) => V128,
  add: simd('v128', 0xae) as Binary,
  sub: simd('v128', 0xb1) as Binary,
  mul: simd('v128', 0xb5) as Binary,
  eq: simd('v128', 0x37) as Binary,
  /** Compares unsigned integers. */
  ltU: simd('v128', 0x3a) as Binary,
  shl: simd('v128', 0xab) as Shift,
  shrS: simd('v128', 0xac) as Shift,
  shrU: simd('v128', 0xad) as Shift,
  /** Converts float32 to integers, rounding towards zero. */
  truncF32x4: simd('v128', 0xf8) as Unary,
};

/** Instructions on four float32. */
export const f32x4 = {
  const: (value: number): V128 =>
    expression('v128', (code) => {
      code.bytes(0xfd).unsigned(0x0c);
      for (let lane = 0; lane < 4; lane++) code.float32(value);
    }),
  splat: simd('v128', 0x13) as (a: F32) => V128,
  /** Selects four of the eight lanes of two vectors: 0 to 3 are lanes of `a`, 4 to 7 of `b`. */
  shuffle: (a: V128, b: V128, lanes: readonly [number, number, number, number]): V128 =>
    expression('v128', (code) => {
      a.write(code);
      b.write(code);
      code.bytes(0xfd).unsigned(0x0d);
      for (const lane of lanes) for (let byte = 0; byte < 4; byte++) code.bytes(lane * 4 + byte);
    }),
  lane: (a: V128, lane: number): F32 =>
    expression('f32', (code) => {
      a.write(code);
      code.bytes(0xfd).unsigned(0x1f).bytes(lane);
    }),
  eq: simd('v128', 0x41) as Binary,
  ne: simd('v128', 0x42) as Binary,
  lt: simd('v128', 0x43) as Binary,
  ge: simd('v128', 0x46) as Binary,
  abs: simd('v128', 0xe0) as Unary,
  sqrt: simd('v128', 0xe3) as Unary,
  add: simd('v128', 0xe4) as Binary,
  sub: simd('v128', 0xe5) as Binary,
  mul: simd('v128', 0xe6) as Binary,
  div: simd('v128', 0xe7) as Binary,
  /** Minimum; NaN if either operand is NaN. */
  min: simd('v128', 0xe8) as Binary,
  /** Maximum; NaN if either operand is NaN. Six machine instructions: prefer `pmax` where it loses no NaN. */
  max: simd('v128', 0xe9) as Binary,
  /** `b < a ? b : a`: one machine instruction. NaN if `a` is NaN. */
  pmin: simd('v128', 0xea) as Binary,
  /** `a < b ? b : a`: one machine instruction. NaN if `a` is NaN. */
  pmax: simd('v128', 0xeb) as Binary,
  /** a * b + c with one rounding or two, depending on the machine (relaxed SIMD). */
  relaxedMadd: simd('v128', 0x105) as Ternary,
  /** Converts signed integers to float32. */
  fromI32x4: simd('v128', 0xfa) as Unary,
};
