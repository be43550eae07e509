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
  const fits: Uint8Array[] = [bytesOf(`I${value}\n`), bytesOf(`L${value}L\n`)];
  if (protocol > 0 && value >= 0 && value < 256) fits.push(bytesOf('K', value));
  if (protocol > 0 && value >= 0 && value < 65_536) fits.push(bytesOf('M', u16(value)));
  if (protocol > 0 && Math.abs(value) < 2 ** 31) fits.push(bytesOf('J', u32(value >>> 0)));
  if (protocol > 1 && value >= 0 && value < 2 ** 63) fits.push(bytesOf(0x8a, 9, u64(value), 0));
  return draw.chance(0.5) ? fits.at(-1)! : draw.pick(fits);
}

/** Gives an opcode for a text. */
export function textOp(value: string, protocol: number, draw: Draw): Uint8Array {
  const bytes = new TextEncoder().encode(value);
  if (protocol === 0 && bytes.length === value.length && !/[\n\\']/.test(value))
    return draw.chance(0.5) ? bytesOf(`V${value}\n`) : bytesOf(`S'${value}'\n`);
  const fits: Uint8Array[] = [bytesOf('X', u32(bytes.length), bytes)];
  if (protocol > 3) fits.push(bytesOf(0x8d, u64(bytes.length), bytes));
  if (protocol > 3 && bytes.length < 256) fits.push(bytesOf(0x8c, bytes.length, bytes));
  if (bytes.length < 256 && bytes.length === value.length) fits.push(bytesOf('U', bytes.length, bytes));
  return draw.chance(0.5) ? fits[0]! : draw.pick(fits);
}

const op = (...parts: readonly Part[]): Ops => [bytesOf(...parts)];

/** Pickles values of one pickle, which share a memo. */
class Pickler {
  #memo = 0;

  constructor(
    private readonly protocol: number,
    private readonly draw: Draw,
  ) {}

  /** Follows the opcodes of a new object by a PUT, at times. */
  #kept(ops: Ops): Ops {
    if (!this.draw.chance(0.3)) return ops;
    const key = this.#memo++;
    const puts: Uint8Array[] = [bytesOf(`p${key}\n`)];
    if (this.protocol > 0) puts.push(key < 256 ? bytesOf('q', key) : bytesOf('r', u32(key)));
    if (this.protocol > 3) puts.push(bytesOf(0x94));
    return [...ops, puts.at(-1)!];
  }

  #all(values: readonly Value[]): Ops {
    return values.flatMap((value) => this.ops(value));
  }

  #bytes(value: Uint8Array): Ops {
    const { protocol, draw } = this;
    // Before protocol 3 bytes are a text that a call encodes.
    if (protocol < 3)
      return this.ops({ call: global('_codecs', 'encode'), args: [String.fromCharCode(...value), 'latin1'] });
    if (protocol > 4 && draw.chance(0.5)) return op(0x96, u64(value.length), value);
    if (protocol > 3 && draw.chance(0.3)) return op(0x8e, u64(value.length), value);
    return value.length < 256 ? op('C', value.length, value) : op('B', u32(value.length), value);
  }

  #tuple(values: readonly Value[]): Ops {
    const items = this.#all(values);
    if (this.protocol > 0 && values.length === 0) return op(')');
    if (this.protocol > 1 && values.length <= 3 && this.draw.chance(0.8))
      return [...items, bytesOf(0x84 + values.length)];
    return [...op('('), ...items, ...op('t')];
  }

  #items(items: readonly (readonly [Value, Value])[]): Ops {
    if (items.length === 0) return [];
    if (this.draw.chance(0.3)) return items.flatMap((pair) => [...this.#all(pair), ...op('s')]);
    return [...op('('), ...this.#all(items.flat()), ...op('u')];
  }

  #global([module, name]: readonly [string, string]): Ops {
    const { protocol, draw } = this;
    return protocol < 4 || draw.chance(0.2)
      ? op(`c${module}\n${name}\n`)
      : [textOp(module, protocol, draw), textOp(name, protocol, draw), bytesOf(0x93)];
  }

  #call(value: Extract<Value, { readonly call: Value }>): Ops {
    const { call, args, state, items = [] } = value;
    const isGlobal = typeof call === 'object' && call !== null && 'global' in call;
    const made =
      this.protocol === 0 && isGlobal && this.draw.chance(0.3)
        ? [...op('('), ...this.#all(args), ...op(`i${call.global.join('\n')}\n`)]
        : this.draw.chance(0.1)
          ? [...op('('), ...this.ops(call), ...this.#all(args), ...op('o')]
          : [...this.ops(call), ...this.#tuple(args), ...op('R')];
    return [
      ...this.#kept(made),
      ...this.#items(items),
      ...(state === undefined ? [] : [...this.ops(state), ...op('b')]),
    ];
  }

  ops(value: Value): Ops {
    const { protocol, draw } = this;
    if (value === null) return op('N');
    if (typeof value === 'boolean')
      return protocol < 2 ? op(`I0${Number(value)}\n`) : op(value ? 0x88 : 0x89);
    if (typeof value === 'number') return [numberOp(value, protocol, draw)];
    if (typeof value === 'string') return this.#kept([textOp(value, protocol, draw)]);
    if (value instanceof Uint8Array) return this.#kept(this.#bytes(value));
    if ('tuple' in value) return this.#kept(this.#tuple(value.tuple));
    if ('global' in value) return this.#kept(this.#global(value.global));
    if ('call' in value) return this.#call(value);
    if ('persistent' in value)
      return protocol === 0 ? op(`P${value.text}\n`) : [...this.ops(value.persistent), ...op('Q')];
    if ('dict' in value)
      return protocol === 0 && draw.chance(0.5)
        ? this.#kept([...op('('), ...this.#all(value.dict.flat()), ...op('d')])
        : [...this.#kept(op('}')), ...this.#items(value.dict)];
    if ('set' in value)
      return protocol > 3
        ? [...this.#kept(op(0x8f)), ...op('('), ...this.#all(value.set), ...op(0x90)]
        : this.ops({ call: global('__builtin__', 'set'), args: [{ list: value.set }] });
    if (protocol === 0) return this.#kept([...op('('), ...this.#all(value.list), ...op('l')]);
    return draw.chance(0.3)
      ? [...this.#kept(op(']')), ...value.list.flatMap((item) => [...this.ops(item), ...op('a')])]
      : [...this.#kept(op(']')), ...op('('), ...this.#all(value.list), ...op('e')];
  }
}

/** Pickles a value as a whole pickle of a protocol from 0 to 5. */
export const pickled = (value: Value, protocol: number, draw: Draw): Ops => [
  ...(protocol < 2 ? [] : op(0x80, protocol)),
  ...(protocol > 3 && draw.chance(0.8) ? op(0x95, u64(100)) : []),
  ...new Pickler(protocol, draw).ops(value),
  ...op('.'),
];
