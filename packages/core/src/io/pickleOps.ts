/** The opcodes of Python's pickle format, and the values and texts that opcodes of literals push. */
import type { PickleBytes } from './pickleBytes.js';
import type { EncodedText } from './pickleText.js';
import type { Pickled } from './pickleValue.js';
import { quote } from './quote.js';

/** The supported opcodes of protocols 0 to 5, under the names of Python's pickletools. */
export const Op = {
  PROTO: 0x80,
  FRAME: 0x95,
  STOP: 0x2e,
  MARK: 0x28,
  POP: 0x30,
  POP_MARK: 0x31,
  DUP: 0x32,
  NONE: 0x4e,
  NEWTRUE: 0x88,
  NEWFALSE: 0x89,
  INT: 0x49,
  LONG: 0x4c,
  FLOAT: 0x46,
  BININT: 0x4a,
  BININT1: 0x4b,
  BININT2: 0x4d,
  LONG1: 0x8a,
  LONG4: 0x8b,
  BINFLOAT: 0x47,
  STRING: 0x53,
  UNICODE: 0x56,
  SHORT_BINSTRING: 0x55,
  BINSTRING: 0x54,
  SHORT_BINUNICODE: 0x8c,
  BINUNICODE: 0x58,
  BINUNICODE8: 0x8d,
  SHORT_BINBYTES: 0x43,
  BINBYTES: 0x42,
  BINBYTES8: 0x8e,
  BYTEARRAY8: 0x96,
  EMPTY_LIST: 0x5d,
  EMPTY_TUPLE: 0x29,
  EMPTY_SET: 0x8f,
  EMPTY_DICT: 0x7d,
  LIST: 0x6c,
  TUPLE: 0x74,
  FROZENSET: 0x91,
  DICT: 0x64,
  TUPLE1: 0x85,
  TUPLE2: 0x86,
  TUPLE3: 0x87,
  APPEND: 0x61,
  APPENDS: 0x65,
  ADDITEMS: 0x90,
  SETITEM: 0x73,
  SETITEMS: 0x75,
  GLOBAL: 0x63,
  INST: 0x69,
  OBJ: 0x6f,
  STACK_GLOBAL: 0x93,
  REDUCE: 0x52,
  NEWOBJ: 0x81,
  NEWOBJ_EX: 0x92,
  BUILD: 0x62,
  PERSID: 0x50,
  BINPERSID: 0x51,
  PUT: 0x70,
  BINPUT: 0x71,
  LONG_BINPUT: 0x72,
  MEMOIZE: 0x94,
  GET: 0x67,
  BINGET: 0x68,
  LONG_BINGET: 0x6a,
} as const;

/** Reads the constant, number or bytes that an opcode pushes; undefined for other opcodes. */
export function literal(op: number, source: PickleBytes): Pickled | undefined {
  switch (op) {
    case Op.NONE:
      return null;
    case Op.NEWTRUE:
      return true;
    case Op.NEWFALSE:
      return false;
    case Op.INT: {
      const text = source.line();
      if (text === '00' || text === '01') return text === '01';
      return /^-?\d+$/.test(text) ? Number(text) : source.fail(`${quote(text)} is not a number`);
    }
    case Op.LONG:
    case Op.FLOAT:
      return source.decimal();
    case Op.BININT:
      return source.i32();
    case Op.BININT1:
      return source.u8();
    case Op.BININT2:
      return source.u16();
    case Op.LONG1:
      return long(source, source.u8());
    case Op.LONG4:
      return long(source, source.u32());
    case Op.BINFLOAT:
      return source.f64();
    case Op.SHORT_BINBYTES:
      return source.raw(source.u8());
    case Op.BINBYTES:
      return source.raw(source.u32());
    case Op.BINBYTES8:
    case Op.BYTEARRAY8:
      return source.raw(source.u64());
    default:
      return undefined;
  }
}

/** Reads the text that an opcode pushes; undefined for other opcodes. */
export function textOf(op: number, source: PickleBytes): EncodedText | undefined {
  switch (op) {
    case Op.STRING:
      return { bytes: unquoted(source.rawLine()), encoding: 'quoted' };
    case Op.UNICODE:
      return { bytes: source.rawLine(), encoding: 'escaped' };
    case Op.SHORT_BINSTRING:
      return { bytes: source.raw(source.u8()), encoding: 'latin1' };
    case Op.BINSTRING:
      return { bytes: source.raw(source.u32()), encoding: 'latin1' };
    case Op.SHORT_BINUNICODE:
      return { bytes: source.raw(source.u8()), encoding: 'utf8' };
    case Op.BINUNICODE:
      return { bytes: source.raw(source.u32()), encoding: 'utf8' };
    case Op.BINUNICODE8:
      return { bytes: source.raw(source.u64()), encoding: 'utf8' };
    default:
      return undefined;
  }
}

/** Removes the quotes of the operand of STRING. */
function unquoted(line: Uint8Array): Uint8Array {
  const first = line[0];
  const isQuoted = line.length >= 2 && (first === 0x22 || first === 0x27) && line.at(-1) === first;
  return isQuoted ? line.subarray(1, -1) : line;
}

/** Reads an integer; one of 65 to 255 bytes, which no tensor has (a state of random numbers), stays bytes. */
const long = (source: PickleBytes, count: number): Pickled =>
  count > 64 && count < 256 ? source.raw(count) : source.long(count);
