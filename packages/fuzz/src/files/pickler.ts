/** Pickles values in every protocol, with any of the opcodes that fit; gives the opcodes one by one. */
import { bytesOf, type Part, u16, u32, u64 } from '@cnn/testing/weightFiles';
import type { Draw } from '../draw.js';

/** A Python value. */
export type Value =
  | null
  | boolean
  | number
  | string
  | Uint8Array
  | { readonly list: readonly Value[] }
  | { readonly tuple: readonly Value[] }
  | { readonly dict: readonly (readonly [Value, Value])[] }
  | { readonly set: readonly Value[] }
  /** Module and name. */
  | { readonly global: readonly [string, string] }
  | {
      readonly call: Value;
      readonly args: readonly Value[];
      readonly state?: Value;
      readonly items?: readonly (readonly [Value, Value])[];
    }
  /** The tuple of a persistent id, and the same as text. */
  | { readonly persistent: Value; readonly text: string };

/** Opcodes with their operands, each of which can be removed or replaced. */
export type Ops = Uint8Array[];

export const global = (module: string, name: string): Value => ({ global: [module, name] });

/** Encodes a float64, big-endian as BINFLOAT has it. */
export const float64 = (value: number): number[] => {
  const bytes = new DataView(new ArrayBuffer(8));
  bytes.setFloat64(0, value);
  return Array.from({ length: 8 }, (_, i) => bytes.getUint8(i));
};

/** Gives an opcode for a number. */
export function numberOp(value: number, protocol: number, draw: Draw): Uint8Array {
  if (!Number.isInteger(value)) return protocol === 0 ? bytesOf(`F${value}\n`) : bytesOf('G', float64(value));
  if (protocol === 0 || draw.chance(0.1)) return bytesOf(draw.chance(0.5) ? `I${value}\n` : `L${value}L\n`);
  if (value >= 0 && value < 256 && draw.chance(0.6)) return bytesOf('K', value);
  if (value >= 0 && value < 65_536 && draw.chance(0.6)) return bytesOf('M', u16(value));
  if (Math.abs(value) < 2 ** 31 && draw.chance(0.6)) return bytesOf('J', u32(value >>> 0));
  return value >= 0 && value < 2 ** 63 ? bytesOf(0x8a, 9, u64(value), 0) : bytesOf(`L${value}L\n`);
}

const encoder = new TextEncoder();

/** Gives an opcode for a text. */
export function textOp(value: string, protocol: number, draw: Draw): Uint8Array {
  const bytes = encoder.encode(value);
  const isAscii = bytes.length === value.length;
  if (protocol === 0 && isAscii && !/[\n\\']/.test(value))
    return bytesOf(draw.chance(0.5) ? `V${value}\n` : `S'${value}'\n`);
  if (protocol > 3 && bytes.length < 256 && draw.chance(0.6)) return bytesOf(0x8c, bytes.length, bytes);
  if (protocol > 3 && draw.chance(0.2)) return bytesOf(0x8d, u64(bytes.length), bytes);
  if (isAscii && bytes.length < 256 && draw.chance(0.2)) return bytesOf('U', bytes.length, bytes);
  return bytesOf('X', u32(bytes.length), bytes);
}

/** Pickles values of one pickle, which share a memo. */
class Pickler {
  readonly ops: Ops = [];
  #memo = 0;

  constructor(
    private readonly protocol: number,
    private readonly draw: Draw,
  ) {}

  push(...parts: readonly Part[]): void {
    this.ops.push(bytesOf(...parts));
  }

  /** Follows the opcodes of a new object by a PUT, at times. */
  #keep(): void {
    if (!this.draw.chance(0.3)) return;
    const key = this.#memo++;
    if (this.protocol > 3) this.push(0x94);
    else if (this.protocol === 0) this.push(`p${key}\n`);
    else if (key < 256) this.push('q', key);
    else this.push('r', u32(key));
  }

  #all(values: readonly Value[]): void {
    for (const value of values) this.value(value);
  }

  #text(value: string): void {
    this.ops.push(textOp(value, this.protocol, this.draw));
    this.#keep();
  }

  #marked(values: readonly Value[], end: string | number): void {
    this.push('(');
    this.#all(values);
    this.push(end);
  }

  #bytes(value: Uint8Array): void {
    const { protocol, draw } = this;
    // Before protocol 3 bytes are a text that a call encodes.
    if (protocol < 3)
      this.value({ call: global('_codecs', 'encode'), args: [String.fromCharCode(...value), 'latin1'] });
    else if (protocol > 4 && draw.chance(0.5)) this.push(0x96, u64(value.length), value);
    else if (protocol > 3 && draw.chance(0.3)) this.push(0x8e, u64(value.length), value);
    else if (value.length < 256) this.push('C', value.length, value);
    else this.push('B', u32(value.length), value);
    if (protocol > 2) this.#keep();
  }

  #tuple(values: readonly Value[]): void {
    if (this.protocol > 0 && values.length === 0) this.push(')');
    else if (this.protocol > 1 && values.length > 0 && values.length <= 3 && this.draw.chance(0.8)) {
      this.#all(values);
      this.push(0x84 + values.length);
    } else this.#marked(values, 't');
    this.#keep();
  }

  #items(items: readonly (readonly [Value, Value])[]): void {
    if (items.length > 0 && this.draw.chance(0.7)) this.#marked(items.flat(), 'u');
    else
      for (const pair of items) {
        this.#all(pair);
        this.push('s');
      }
  }

  #global([module, name]: readonly [string, string]): void {
    const { protocol, draw } = this;
    if (protocol < 4 || draw.chance(0.2)) this.push(`c${module}\n${name}\n`);
    else this.ops.push(textOp(module, protocol, draw), textOp(name, protocol, draw), bytesOf(0x93));
    this.#keep();
  }

  #call({ call, args, state, items = [] }: Extract<Value, { readonly call: Value }>): void {
    const isGlobal = typeof call === 'object' && call !== null && 'global' in call;
    if (this.protocol === 0 && isGlobal && this.draw.chance(0.3))
      this.#marked(args, `i${call.global.join('\n')}\n`);
    else if (this.draw.chance(0.1)) this.#marked([call, ...args], 'o');
    else {
      this.value(call);
      this.#tuple(args);
      this.push('R');
    }
    this.#keep();
    this.#items(items);
    if (state === undefined) return;
    this.value(state);
    this.push('b');
  }

  #list(values: readonly Value[]): void {
    if (this.protocol === 0) this.#marked(values, 'l');
    else {
      this.push(']');
      if (this.draw.chance(0.7)) this.#marked(values, 'e');
      else
        for (const value of values) {
          this.value(value);
          this.push('a');
        }
    }
    this.#keep();
  }

  #dict(items: readonly (readonly [Value, Value])[]): void {
    if (this.protocol === 0 && this.draw.chance(0.5)) {
      this.#marked(items.flat(), 'd');
      this.#keep();
    } else {
      this.push('}');
      this.#keep();
      this.#items(items);
    }
  }

  #set(values: readonly Value[]): void {
    if (this.protocol > 3) {
      this.push(0x8f);
      this.#keep();
      this.#marked(values, 0x90);
    } else this.#call({ call: global('__builtin__', 'set'), args: [{ list: values }] });
  }

  #persistent(id: Value, text: string): void {
    if (this.protocol === 0) this.push(`P${text}\n`);
    else {
      this.value(id);
      this.push('Q');
    }
  }

  value(value: Value): void {
    const { protocol, draw } = this;
    if (value === null) this.push('N');
    else if (typeof value === 'boolean')
      this.push(...(protocol < 2 ? [`I0${Number(value)}\n`] : [value ? 0x88 : 0x89]));
    else if (typeof value === 'number') this.ops.push(numberOp(value, protocol, draw));
    else if (typeof value === 'string') this.#text(value);
    else if (value instanceof Uint8Array) this.#bytes(value);
    else if ('tuple' in value) this.#tuple(value.tuple);
    else if ('global' in value) this.#global(value.global);
    else if ('list' in value) this.#list(value.list);
    else if ('call' in value) this.#call(value);
    else if ('persistent' in value) this.#persistent(value.persistent, value.text);
    else if ('dict' in value) this.#dict(value.dict);
    else this.#set(value.set);
  }
}

/** Pickles a value as a whole pickle of a protocol from 0 to 5. */
export function pickled(value: Value, protocol: number, draw: Draw): Ops {
  const pickler = new Pickler(protocol, draw);
  if (protocol > 1) pickler.push(0x80, protocol);
  if (protocol > 3 && draw.chance(0.8)) pickler.push(0x95, u64(100));
  pickler.value(value);
  pickler.push('.');
  return pickler.ops;
}
