/**
 * Reads the part of Python's pickle format that weight files use, as data: names of classes and
 * functions become inert tags, nothing is ever called, and a name that has no place in a state dict is
 * an error. There is no option that lifts this.
 */
import { FileFormatError } from '../errors.js';

const format = 'pickle';

/** The name of a Python class or function. */
export interface Global {
  readonly kind: 'global';
  readonly name: string;
}

/** What a class or function would have been called with. */
export interface Reduced {
  readonly kind: 'reduced';
  readonly callee: string;
  readonly args: readonly Pickled[];
}

/** A reference to something outside the pickle: a storage. */
export interface Persistent {
  readonly kind: 'persistent';
  readonly id: Pickled;
}

/** A Python value. Lists, tuples and sets are arrays, dicts are maps. */
export type Pickled =
  | null
  | boolean
  | number
  | string
  | Uint8Array
  | readonly Pickled[]
  | ReadonlyMap<Pickled, Pickled>
  | Global
  | Reduced
  | Persistent;

type Mutable = Pickled[] | Map<Pickled, Pickled>;

/** The names that occur in honest checkpoints; all are harmless as tags. */
const allowed: readonly RegExp[] = [
  /^collections (OrderedDict|defaultdict)$/,
  /^torch\._utils _rebuild_(tensor|tensor_v2|parameter|parameter_with_state)$/,
  /^torch\.?(cuda|storage)? (\w+Storage|Size|device|[a-z]+\d+|bool|double|float|half|int|long|short)$/,
  /^torch\.cuda \w+Storage$/,
  /^torch\.serialization _get_layout$/,
  /^torch\.nn\.parameter Parameter$/,
  /^(numpy|numpy\.core\.multiarray|numpy\._core\.multiarray) (dtype|scalar|ndarray|_reconstruct)$/,
  /^_codecs encode$/,
  /^argparse Namespace$/,
  /^(__builtin__|builtins) (set|frozenset|list|dict|int|float|bool|str|bytearray|complex|slice)$/,
];

const MARK = Symbol('mark');

/** A pickle and where the bytes after it start. */
export interface Unpickled {
  readonly value: Pickled;
  readonly end: number;
}

/**
 * Reads one pickle from `start`. Work and memory are bounded by the number of bytes read.
 * @throws FileFormatError with the offset for anything that is not a plain checkpoint.
 */
export function unpickle(bytes: Uint8Array, start = 0): Unpickled {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const text = new TextDecoder('utf-8', { fatal: true });
  const stack: (Pickled | typeof MARK)[] = [];
  const memo = new Map<number, Pickled>();
  let at = start;
  let opStart = start;

  const fail = (reason: string): never => {
    throw new FileFormatError(format, reason, opStart);
  };
  const take = (count: number): number => {
    if (!(count >= 0) || at + count > bytes.length)
      fail(`it ends in the middle of a value of ${count} bytes`);
    const from = at;
    at += count;
    return from;
  };
  const u8 = (): number => view.getUint8(take(1));
  const u16 = (): number => view.getUint16(take(2), true);
  const i32 = (): number => view.getInt32(take(4), true);
  const u32 = (): number => view.getUint32(take(4), true);
  const u64 = (): number => Number(view.getBigUint64(take(8), true));
  const raw = (count: number): Uint8Array => {
    const from = take(count);
    return bytes.subarray(from, from + count);
  };
  const decode = (part: Uint8Array): string => {
    try {
      return text.decode(part);
    } catch {
      return fail('it holds a text that is not UTF-8');
    }
  };
  const line = (): string => {
    const end = bytes.indexOf(10, at);
    if (end < 0) fail('it ends in the middle of a line');
    const part = raw(end - at);
    at = end + 1;
    return decode(part);
  };
  const pop = (): Pickled => {
    const top = stack.pop();
    if (top === undefined || top === MARK) return fail('it takes more from its stack than there is');
    return top;
  };
  const top = (): Pickled => {
    const value = stack.at(-1);
    if (value === undefined || value === MARK) return fail('it takes more from its stack than there is');
    return value;
  };
  const popMark = (): Pickled[] => {
    const mark = stack.lastIndexOf(MARK);
    if (mark < 0) fail('it closes a group that it never opened');
    const items = stack.splice(mark + 1) as Pickled[];
    stack.pop();
    return items;
  };
  const global = (module: string, name: string): Global => {
    const full = `${module} ${name}`;
    if (!allowed.some((pattern) => pattern.test(full)))
      fail(
        `it refers to ${module}.${name}, which has no place in a state dict. Save the weights with torch.save(model.state_dict(), file).`,
      );
    return { kind: 'global', name: `${module}.${name}` };
  };
  const number = (digits: string): number => {
    const value = Number(digits.replace(/L$/, ''));
    return Number.isNaN(value) ? fail(`'${digits.slice(0, 40)}' is not a number`) : value;
  };
  const long = (count: number): number => {
    let value = 0n;
    const part = raw(count);
    if (count > 64) fail(`it holds a whole number of ${count} bytes`);
    for (let i = count - 1; i >= 0; i--) value = (value << 8n) | BigInt(part[i]!);
    if (count > 0 && part[count - 1]! & 0x80) value -= 1n << BigInt(8 * count);
    return Number(value);
  };
  const reduce = (callee: Pickled, args: Pickled): Pickled => {
    if (!isTag(callee, 'global')) return fail('it calls something that is not a name');
    if (!Array.isArray(args)) return fail(`it calls ${callee.name} without a tuple of arguments`);
    if (/OrderedDict$|defaultdict$|builtin.*\.dict$/.test(callee.name)) return new Map(entriesOf(args[0]));
    if (/\.(set|frozenset|list)$/.test(callee.name)) return Array.isArray(args[0]) ? [...args[0]] : [];
    return { kind: 'reduced', callee: callee.name, args };
  };
  const entriesOf = (list: Pickled | undefined): [Pickled, Pickled][] =>
    Array.isArray(list) && list.every((item) => Array.isArray(item) && item.length === 2)
      ? (list as unknown as [Pickled, Pickled][])
      : [];
  const append = (items: readonly Pickled[]): void => {
    const list = top() as Mutable;
    if (!Array.isArray(list)) fail('it appends to something that is not a list');
    else for (const item of items) list.push(item);
  };
  const setItems = (items: readonly Pickled[]): void => {
    const dict = top() as Mutable;
    if (!(dict instanceof Map)) return void fail('it sets items of something that is not a dict');
    if (items.length % 2) fail('it sets a key without a value');
    for (let i = 0; i < items.length; i += 2) dict.set(items[i]!, items[i + 1]!);
  };

  for (;;) {
    opStart = at;
    const op = u8();
    switch (String.fromCharCode(op)) {
      case '\x80': {
        const protocol = u8();
        if (protocol > 5) fail(`it is of protocol ${protocol}; 0 to 5 are read`);
        break;
      }
      case '\x95':
        take(8);
        break;
      case '.':
        return { value: pop(), end: at };
      case '(':
        stack.push(MARK);
        break;
      case '0':
        if (stack.pop() === undefined) fail('it takes more from its stack than there is');
        break;
      case '1':
        popMark();
        break;
      case '2':
        stack.push(top());
        break;
      case 'N':
        stack.push(null);
        break;
      case '\x88':
        stack.push(true);
        break;
      case '\x89':
        stack.push(false);
        break;
      case 'I': {
        const digits = line();
        stack.push(digits === '01' ? true : digits === '00' ? false : number(digits));
        break;
      }
      case 'L':
      case 'F':
        stack.push(number(line()));
        break;
      case 'J':
        stack.push(i32());
        break;
      case 'K':
        stack.push(u8());
        break;
      case 'M':
        stack.push(u16());
        break;
      case '\x8a':
        stack.push(long(u8()));
        break;
      case '\x8b':
        stack.push(long(u32()));
        break;
      case 'G':
        stack.push(view.getFloat64(take(8), false));
        break;
      case 'S':
        stack.push(line().replace(/^(['"])(.*)\1$/, '$2'));
        break;
      case 'V':
        stack.push(line());
        break;
      case 'U':
        stack.push(latin1(raw(u8())));
        break;
      case 'T':
        stack.push(latin1(raw(u32())));
        break;
      case 'X':
        stack.push(decode(raw(u32())));
        break;
      case '\x8c':
        stack.push(decode(raw(u8())));
        break;
      case '\x8d':
        stack.push(decode(raw(u64())));
        break;
      case 'B':
        stack.push(raw(u32()));
        break;
      case 'C':
        stack.push(raw(u8()));
        break;
      case '\x8e':
      case '\x96':
        stack.push(raw(u64()));
        break;
      case ']':
      case ')':
      case '\x8f':
        stack.push([]);
        break;
      case '}':
        stack.push(new Map());
        break;
      case 'l':
      case 't':
      case '\x91':
        stack.push(popMark());
        break;
      case 'd': {
        const items = popMark();
        stack.push(new Map());
        setItems(items);
        break;
      }
      case '\x85':
        stack.push([pop()]);
        break;
      case '\x86': {
        const second = pop();
        stack.push([pop(), second]);
        break;
      }
      case '\x87': {
        const third = pop();
        const second = pop();
        stack.push([pop(), second, third]);
        break;
      }
      case 'a': {
        const item = pop();
        append([item]);
        break;
      }
      case 'e':
      case '\x90':
        append(popMark());
        break;
      case 's': {
        const value = pop();
        const key = pop();
        setItems([key, value]);
        break;
      }
      case 'u':
        setItems(popMark());
        break;
      case 'c': {
        const module = line();
        stack.push(global(module, line()));
        break;
      }
      case '\x93': {
        const name = pop();
        const module = pop();
        if (typeof name !== 'string' || typeof module !== 'string')
          fail('it names something with what is not text');
        stack.push(global(String(module), String(name)));
        break;
      }
      case 'R':
      case '\x81': {
        const args = pop();
        stack.push(reduce(pop(), args));
        break;
      }
      case 'b':
        // The state of an object (hooks of a tensor, attributes of options) says nothing about weights.
        pop();
        top();
        break;
      case 'Q':
        stack.push({ kind: 'persistent', id: pop() });
        break;
      case 'q':
        memo.set(u8(), top());
        break;
      case 'r':
        memo.set(u32(), top());
        break;
      case 'p':
        memo.set(number(line()), top());
        break;
      case '\x94':
        memo.set(memo.size, top());
        break;
      case 'h':
      case 'j':
      case 'g': {
        const key = op === 0x68 ? u8() : op === 0x6a ? u32() : number(line());
        const value = memo.get(key);
        if (value === undefined) fail(`it recalls entry ${key} of its memo, which it never stored`);
        else stack.push(value);
        break;
      }
      default:
        fail(`its instruction 0x${op.toString(16).padStart(2, '0')} has no place in a state dict`);
    }
  }
}

const latin1 = (part: Uint8Array): string => {
  let text = '';
  for (const byte of part) text += String.fromCharCode(byte);
  return text;
};

/** Whether a value is a tag of that kind. */
export const isTag = <K extends 'global' | 'reduced' | 'persistent'>(
  value: Pickled | undefined,
  kind: K,
): value is Extract<Pickled, { readonly kind: K }> =>
  typeof value === 'object' && value !== null && 'kind' in value && value.kind === kind;
