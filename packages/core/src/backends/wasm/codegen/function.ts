/** Builds the body of one WebAssembly function, statement by statement. */
import { Bytes } from './bytes.js';
import {
  type Expression,
  type F32,
  type I32,
  i32,
  Local,
  type V128,
  type ValueType,
  writeOperand,
} from './expression.js';
import { type F32x8, type F32x8Local, type F32x8Operand, halfOf, VECTOR, valuesIn } from './f32x8.js';

const typeCode: Readonly<Record<ValueType, number>> = { i32: 0x7f, i64: 0x7e, f32: 0x7d, v128: 0x7b };

/** A list of vectors; a tuple if their number is a literal type. */
type Vectors<N extends number, T extends readonly Local<'v128'>[] = readonly []> = N extends N
  ? number extends N
    ? F32x8Local
    : T['length'] extends N
      ? T
      : Vectors<N, readonly [...T, Local<'v128'>]>
  : never;

/** A function under construction. All parameters are i32: addresses and counts. */
export class FunctionBuilder {
  readonly parameters: readonly Local<'i32'>[];
  /** Largest number of arguments of an indirect call, which needs a type in the module. */
  mostArguments = 0;
  readonly #code = new Bytes();
  readonly #types: ValueType[] = [];
  readonly #pools = new Map<string, Local<'v128'>[]>();
  readonly #pointers = new Map<string, Local<'i32'>>();
  readonly #counters: Local<'i32'>[] = [];
  #depth = 0;

  constructor(parameters: number) {
    this.parameters = Array.from({ length: parameters }, (_, index) => new Local('i32', index));
  }

  /** Declares a local variable, zero at first. */
  local<T extends ValueType>(type: T): Local<T> {
    this.#types.push(type);
    return new Local(type, this.parameters.length + this.#types.length - 1);
  }

  /**
   * Declares a variable for an address or a count.
   * @param name - if given, blocks of code that use the same name one after the other share the variable.
   */
  pointer(name?: string): Local<'i32'> {
    const variable = (name && this.#pointers.get(name)) || this.local('i32');
    if (name) this.#pointers.set(name, variable);
    return variable;
  }

  /** Declares vectors. */
  vectors<N extends number>(count: N): Vectors<N>;
  vectors(count: number): F32x8Local {
    return Array.from({ length: count }, () => this.local('v128'));
  }

  /** Declares the registers of a value. */
  f32x8(halves = 2): F32x8Local {
    return this.vectors(halves);
  }

  /**
   * Returns the first `count` vectors of the pool of a name. Blocks of code that use the same pool one after
   * the other share its registers: each overwrites the values of the block before.
   */
  pool<N extends number>(name: string, count: N): Vectors<N>;
  pool(name: string, count: number): F32x8Local {
    const pool = this.#pools.get(name) ?? [];
    this.#pools.set(name, pool);
    while (pool.length < count) pool.push(this.local('v128'));
    return pool.slice(0, count);
  }

  /** Returns the first `count` values of the pool of a name: see `pool`. */
  valuePool(name: string, count: number, halves = 2): readonly F32x8Local[] {
    return valuesIn(this.pool(name, count * halves), halves);
  }

  /** Assigns a value to a variable; for a list of registers, half after half. */
  set<T extends ValueType>(local: Local<T>, value: T extends 'i32' ? I32 : Expression<T>): void;
  set(registers: F32x8Local, value: F32x8Operand): void;
  set(to: Local<ValueType> | F32x8Local, value: Expression<ValueType> | number | F32x8Operand): void {
    if (!(to instanceof Local)) {
      for (const [index, half] of to.entries()) this.set(half, halfOf(value as F32x8Operand, index));
      return;
    }
    writeOperand(value as Expression<ValueType> | number, this.#code);
    this.#code.bytes(0x21).unsigned(to.index);
  }

  /** Adds an amount to a variable. */
  advance(local: Local<'i32'>, amount: I32): void {
    if (amount !== 0) this.set(local, i32.add(local, amount));
  }

  /** Stores a vector, or a value in registers half after half, at an address plus a constant offset in bytes. */
  store(address: I32, value: V128 | F32x8Local, offset = 0): void {
    if ('write' in value) this.#store(address, value, [0xfd, 0x0b], offset);
    else this.storeHalves(address, value, offset);
  }

  /**
   * Stores a value that is not in registers: each half is computed just before its store. Slow if the value loads:
   * see `F32x8`.
   */
  storeHalves(address: I32, value: F32x8, offset = 0): void {
    for (const [index, half] of value.entries()) this.store(address, half, offset + index * VECTOR);
  }

  /** Stores one float32 at an address plus a constant offset in bytes. */
  storeF32(address: I32, value: F32, offset = 0): void {
    this.#store(address, value, [0x38], offset);
  }

  /** Stores the lowest byte of an integer. */
  storeByte(address: I32, value: Expression<'i32'>): void {
    this.#store(address, value, [0x3a], 0, 0);
  }

  #store(
    address: I32,
    value: Expression<ValueType>,
    opcode: readonly number[],
    offset: number,
    alignment = 2,
  ): void {
    writeOperand(address, this.#code);
    value.write(this.#code);
    this.#code
      .bytes(...opcode)
      .unsigned(alignment)
      .unsigned(offset);
  }

  /** Computes a value and drops it. Engines still execute a dropped load, since it could trap. */
  drop(value: Expression<ValueType>): void {
    value.write(this.#code);
    this.#code.bytes(0x1a);
  }

  /** Copies bytes (`memory.copy`); the ranges may overlap. */
  copyMemory(to: I32, from: I32, bytes: I32): void {
    for (const operand of [to, from, bytes]) writeOperand(operand, this.#code);
    this.#code.bytes(0xfc, 10, 0, 0);
  }

  /** Sets bytes to zero (`memory.fill`). */
  zeroMemory(to: I32, bytes: I32): void {
    for (const operand of [to, 0, bytes]) writeOperand(operand, this.#code);
    this.#code.bytes(0xfc, 11, 0);
  }

  /** Adds to an int32 in shared memory atomically. */
  atomicAdd(address: I32, amount: I32): void {
    for (const operand of [address, amount]) writeOperand(operand, this.#code);
    this.#code.bytes(0xfe, 0x1e, 2, 0, 0x1a);
  }

  /**
   * Sleeps until the int32 at an address in shared memory is notified. Does not sleep if it differs from
   * `expected`.
   */
  atomicWait(address: I32, expected: I32): void {
    for (const operand of [address, expected]) writeOperand(operand, this.#code);
    // No timeout: an i64 of -1.
    this.#code.bytes(0x42, 0x7f, 0xfe, 0x01, 2, 0, 0x1a);
  }

  /** Wakes all threads that sleep on the int32 at an address in shared memory. */
  atomicNotify(address: I32): void {
    for (const operand of [address, -1]) writeOperand(operand, this.#code);
    this.#code.bytes(0xfe, 0x00, 2, 0, 0x1a);
  }

  /** Repeats the body `count` times; 0 is allowed. A constant count of 1 emits no loop. */
  repeat(count: I32, body: () => void): void {
    if (count === 0) return;
    if (count === 1) {
      body();
      return;
    }
    const loop = (): void => {
      const counter = this.#counters[this.#depth] ?? this.local('i32');
      this.#counters[this.#depth++] = counter;
      this.set(counter, count);
      this.#block(0x03, () => {
        body();
        writeOperand(i32.sub(counter, 1), this.#code);
        this.#code.bytes(0x22).unsigned(counter.index).bytes(0x0d, 0);
      });
      this.#depth--;
    };
    if (typeof count === 'number') loop();
    else this.when(count, loop);
  }

  /** Repeats the body while the condition is not 0; tested before each iteration. */
  while(condition: Expression<'i32'>, body: () => void): void {
    this.#block(0x02, () => {
      this.#block(0x03, () => {
        i32.eqz(condition).write(this.#code);
        this.#code.bytes(0x0d, 1);
        body();
        this.#code.bytes(0x0c, 0);
      });
    });
  }

  /** Runs `then` if the condition is not 0, else `otherwise`. */
  when(condition: Expression<'i32'>, then: () => void, otherwise?: () => void): void {
    condition.write(this.#code);
    this.#code.bytes(0x04, 0x40);
    then();
    if (otherwise) {
      this.#code.bytes(0x05);
      otherwise();
    }
    this.#code.bytes(0x0b);
  }

  /** Returns from the function. */
  return(): void {
    this.#code.bytes(0x0f);
  }

  /**
   * Calls the function at an index of the module's table. The call traps if the parameter counts differ.
   */
  callIndirect(index: I32, parameters: readonly I32[]): void {
    this.mostArguments = Math.max(this.mostArguments, parameters.length);
    for (const operand of [...parameters, index]) writeOperand(operand, this.#code);
    this.#code.bytes(0x11).unsigned(parameters.length).bytes(0);
  }

  #block(opcode: number, body: () => void): void {
    this.#code.bytes(opcode, 0x40);
    body();
    this.#code.bytes(0x0b);
  }

  /** Returns the function body in binary form: runs of locals of one type, then the code. Call it once. */
  body(): Bytes {
    const runs: { type: ValueType; count: number }[] = [];
    for (const type of this.#types) {
      const last = runs.at(-1);
      if (last?.type === type) last.count++;
      else runs.push({ type, count: 1 });
    }
    const body = new Bytes().unsigned(runs.length);
    for (const { type, count } of runs) body.unsigned(count).bytes(typeCode[type]);
    return body.append(this.#code).bytes(0x0b);
  }
}
