/** The opcodes of Python's pickle format, and the values that opcodes of literals push. */
import type { PickleBytes } from './pickleBytes.js';
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

/** Reads the constant, number, text or bytes that an opcode pushes; undefined for other opcodes. */
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
    case Op.STRING:
      return unquoted(source.latin1Line());
    case Op.UNICODE:
      return unescaped(source.latin1Line());
    case Op.SHORT_BINSTRING:
      return source.latin1(source.u8());
    case Op.BINSTRING:
      return source.latin1(source.u32());
    case Op.SHORT_BINUNICODE:
      return source.utf8(source.u8());
    case Op.BINUNICODE:
      return source.utf8(source.u32());
    case Op.BINUNICODE8:
      return source.utf8(source.u64());
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

/**
 * Decodes the operand of STRING (protocol 0, Python 2): a quoted string with the escapes of Python source.
 */
function unquoted(text: string): string {
  const isQuoted = text.length >= 2 && (text[0] === "'" || text[0] === '"') && text.at(-1) === text[0];
  const inner = isQuoted ? text.slice(1, -1) : text;
  if (!inner.includes('\\')) return inner;
  return inner.replace(/\\(x[0-9a-f]{2}|.)/gi, (_, code: string) =>
    code.length > 1
      ? String.fromCharCode(Number.parseInt(code.slice(1), 16))
      : ({ n: '\n', t: '\t', r: '\r' }[code] ?? code),
  );
}

/** Decodes the operand of UNICODE (protocol 0): Latin-1, with escapes for other characters, `\n` and `\`. */
const unescaped = (text: string): string =>
  text.replace(/\\u([0-9a-f]{4})|\\U000([0-9a-f]{5})/gi, (_, short?: string, long?: string) =>
    String.fromCodePoint(Number.parseInt(short ?? long!, 16)),
  );

/** Reads an integer; one of 65 to 255 bytes, which no tensor has (a state of random numbers), stays bytes. */
const long = (source: PickleBytes, count: number): Pickled =>
  count > 64 && count < 256 ? source.raw(count) : source.long(count);
