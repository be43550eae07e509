/**
 * Reads Python's pickle format as data, as far as weight files use it. Nothing in a file is ever executed:
 * names become inert tags, and calls are recorded.
 */
import { timeSlices } from '../yield.js';
import { isIndexText, type Limits, MAX_INDEX_NAMES } from './limits.js';
import { pickleBytes } from './pickleBytes.js';
import { callOf, isDictClass, type KeyIn } from './pickleCalls.js';
import { literal, Op } from './pickleOps.js';
import { type Global, isTag, keyOf, type Persistent, type Pickled, qualifiedName } from './pickleValue.js';

const MARK = Symbol('mark');

/** The callee of a call of another call's result. */
const UNNAMED: Global = { kind: 'global', module: 'unnamed', name: 'method' };

/**
 * Reads the persistent id of protocol 0, which is text: `('storage', <class 'torch.FloatStorage'>, '0', 'cpu',
 * 6)` becomes the tuple that the other protocols write; other texts stay as they are.
 */
function persistentId(text: string): Pickled {
  const match = /^\('storage', <class '([\w.]+)\.(\w+)'>, '([^']*)', '([^']*)', (\d+)(?:, None)?\)$/.exec(
    text,
  );
  if (!match) return text;
  const [, module = '', name = '', key = '', location = '', count] = match;
  return ['storage', { kind: 'global', module, name }, key, location, Number(count)];
}

/** The contents of a pickle. */
export interface Unpickled {
  readonly value: Pickled;
  /** All persistent ids, in order, including those in values that were dropped. */
  readonly references: readonly Persistent[];
  /** Offset of the first byte after the pickle in the file. */
  readonly end: number;
}

/**
 * Limit on the lists, dicts, tags, byte strings and memo entries of a pickle: 50 for each of `maxTensors`, at
 * least 10,000. PyTorch makes about 25 for a tensor, and about 25 more for each value of optimizer state.
 */
const maxObjects = ({ maxTensors }: Limits): number => Math.max(10_000, 50 * maxTensors);

/**
 * Gives a function that makes keys of dicts: numbers become `NumberKey`s, and so do further texts of array indices
 * (`nameCounter`): those of an optimizer's state refuse no file.
 */
function dictKeys(): KeyIn {
  const counts = new Map<ReadonlyMap<Pickled, Pickled>, number>();
  return (dict, key) => {
    if (typeof key !== 'string' || !isIndexText(key)) return keyOf(key);
    const count = (counts.get(dict) ?? 0) + 1;
    counts.set(dict, count);
    return count <= MAX_INDEX_NAMES ? key : keyOf(Number(key));
  };
}

/** Instructions between time checks; 1,024 take about 0.2 ms. */
const STRIDE = 1024;

/** Memo of a pickle: the values that its PUT and MEMOIZE opcodes store, by number. */
class Memo {
  /** Values under consecutive numbers from 0, as Python stores them. */
  readonly #list: Pickled[] = [];
  /**
   * All other values, by the number as text: a file can choose numbers whose hashes collide (see `NumberKey`), but not
   * such texts.
   */
  readonly #others = new Map<string, Pickled>();

  get size(): number {
    return this.#list.length + this.#others.size;
  }

  /** Stores a value; true if there was none under that number. */
  set(key: number, value: Pickled): boolean {
    const before = this.size;
    if (Number.isInteger(key) && key >= 0 && key <= this.#list.length) this.#list[key] = value;
    else this.#others.set(`number ${key}`, value);
    return this.size > before;
  }

  get(key: number): Pickled | undefined {
    return this.#list[key] ?? (key in this.#list ? null : this.#others.get(`number ${key}`));
  }
}

/**
 * Reads one pickle. The time is proportional to the bytes read; nothing recurses, so that deeply nested and
 * cyclic values are harmless.
 * @param bytes - the file.
 * @param start - offset of the pickle in the file.
 * @param limits - `maxHeaderBytes` bounds the pickle's length, `maxTensors` its objects (`maxObjects`).
 * @param signal - checked every few milliseconds.
 * @throws FileFormatError with the offset for a broken pickle, and over a limit.
 */
export async function unpickle(
  bytes: Uint8Array,
  start: number,
  limits: Limits,
  signal?: AbortSignal,
): Promise<Unpickled> {
  const source = pickleBytes(bytes, start, limits);
  const { fail } = source;
  const stack: (Pickled | typeof MARK)[] = [];
  const memo = new Memo();
  const sliced = timeSlices(signal);
  const references: Persistent[] = [];
  const keyIn = dictKeys();
  let objects = 0;
  const spend = (count: number): void => {
    objects += count;
    if (objects > maxObjects(limits))
      fail(
        `it makes more than ${maxObjects(limits)} objects, 50 for each of maxTensors. Raise the limit if you trust the file.`,
      );
  };

  const push = (value: Pickled): void => void stack.push(value);
  const pushNew = (value: Pickled): void => {
    spend(1);
    stack.push(value);
  };
  const top = (): Pickled => {
    const value = stack.at(-1);
    if (value === undefined || value === MARK) return fail('it pops an empty stack');
    return value;
  };
  const pop = (): Pickled => {
    const value = top();
    stack.pop();
    return value;
  };
  const popMark = (): Pickled[] => {
    const mark = stack.lastIndexOf(MARK);
    if (mark < 0) fail('it closes a group without a MARK');
    const items = stack.splice(mark + 1) as Pickled[];
    stack.pop();
    return items;
  };
  const append = (items: readonly Pickled[]): void => {
    const list = top() as Pickled[] | Exclude<Pickled, readonly Pickled[]>;
    if (Array.isArray(list)) for (const item of items) list.push(item);
    else if (!isTag(list, 'instance') && !isTag(list, 'call'))
      fail('it appends to something that is not a list');
  };
  const setItems = (items: readonly Pickled[], from = 0, to = items.length): void => {
    const dict = top();
    if (items.length % 2 === 1) fail('it sets a key without a value');
    const isObject = isTag(dict, 'instance') || isTag(dict, 'call');
    if (isObject) dict.items ??= new Map();
    const target = isObject ? dict.items : dict;
    if (!(target instanceof Map)) fail('it sets items of something that is not a dict');
    else for (let i = from; i < to; i += 2) target.set(keyIn(target, items[i]!), items[i + 1]!);
  };
  /** Sets many items; hears the signal between them. */
  const setAll = async (items: readonly Pickled[]): Promise<void> => {
    setItems(items, 0, Math.min(items.length, 2 * STRIDE));
    for (let from = 2 * STRIDE; from < items.length; from += 2 * STRIDE) {
      await sliced();
      setItems(items, from, Math.min(items.length, from + 2 * STRIDE));
    }
  };
  const popGlobal = (): Global => {
    const value = pop();
    return isTag(value, 'global') ? value : fail('it calls something that is not a name');
  };
  const call = (): Pickled => {
    const args = pop();
    const value = pop();
    // A method (of an enum, of what another call gives) is called by a call: recorded without a name.
    const callee = isTag(value, 'global') ? value : UNNAMED;
    if (!isTag(value, 'global') && !isTag(value, 'call')) fail('it calls something that is not a name');
    if (!Array.isArray(args)) return fail(`it calls ${qualifiedName(callee)} without a tuple of arguments`);
    return callOf(callee, args, spend, keyIn);
  };
  /** Reads NEWOBJ: an instance becomes a tag, without arguments; one of a dict class, an empty dict. */
  const instance = (): Pickled => {
    pop();
    const of = popGlobal();
    return isDictClass(of) ? new Map() : { kind: 'instance', of };
  };
  const putMemo = (key: number): void => {
    if (memo.set(key, top())) spend(1);
  };
  const getMemo = (key: number): void => {
    const value = memo.get(key);
    push(value === undefined ? fail(`it reads entry ${key} of its memo, which was never written`) : value);
  };

  for (let count = 1; ; count++) {
    if (count % STRIDE === 0) await sliced();
    const op = source.opcode();
    if (op === Op.STOP) return { value: pop(), references, end: source.position() };
    const operand = literal(op, source);
    if (operand !== undefined) {
      if (operand instanceof Uint8Array) pushNew(operand);
      else push(operand);
      continue;
    }
    switch (op) {
      case Op.PROTO: {
        const protocol = source.u8();
        if (protocol > 5) fail(`it is of protocol ${protocol}; 0 to 5 are supported`);
        break;
      }
      case Op.FRAME:
        source.u64();
        break;
      case Op.MARK:
        stack.push(MARK);
        break;
      case Op.POP:
        if (stack.pop() === undefined) fail('it pops an empty stack');
        break;
      case Op.POP_MARK:
        popMark();
        break;
      case Op.DUP:
        push(top());
        break;
      case Op.EMPTY_LIST:
      case Op.EMPTY_TUPLE:
      case Op.EMPTY_SET:
        pushNew([]);
        break;
      case Op.EMPTY_DICT:
        pushNew(new Map());
        break;
      case Op.LIST:
      case Op.TUPLE:
      case Op.FROZENSET:
        pushNew(popMark());
        break;
      case Op.DICT: {
        const items = popMark();
        pushNew(new Map());
        await setAll(items);
        break;
      }
      case Op.TUPLE1:
      case Op.TUPLE2:
      case Op.TUPLE3: {
        const items = Array.from({ length: op - Op.TUPLE1 + 1 }, pop).reverse();
        pushNew(items);
        break;
      }
      case Op.APPEND: {
        const item = pop();
        append([item]);
        break;
      }
      case Op.APPENDS:
      case Op.ADDITEMS:
        append(popMark());
        break;
      case Op.SETITEM: {
        const value = pop();
        const key = pop();
        setItems([key, value]);
        break;
      }
      case Op.SETITEMS:
        await setAll(popMark());
        break;
      case Op.GLOBAL: {
        const module = source.line();
        pushNew({ kind: 'global', module, name: source.line() });
        break;
      }
      case Op.STACK_GLOBAL: {
        const name = pop();
        const module = pop();
        if (typeof name !== 'string' || typeof module !== 'string')
          return fail('it names a class or function by a value that is not text');
        pushNew({ kind: 'global', module, name });
        break;
      }
      case Op.INST: {
        const module = source.line();
        const callee: Global = { kind: 'global', module, name: source.line() };
        pushNew(callOf(callee, popMark(), spend, keyIn));
        break;
      }
      case Op.OBJ: {
        const [callee, ...args] = popMark();
        if (!isTag(callee, 'global')) return fail('it calls something that is not a name');
        pushNew(callOf(callee, args, spend, keyIn));
        break;
      }
      case Op.REDUCE:
        pushNew(call());
        break;
      case Op.NEWOBJ_EX:
        pop();
        pushNew(instance());
        break;
      case Op.NEWOBJ:
        pushNew(instance());
        break;
      case Op.BUILD: {
        const state = pop();
        const object = top();
        if (isTag(object, 'call') || isTag(object, 'instance')) object.state = state;
        break;
      }
      case Op.PERSID:
      case Op.BINPERSID: {
        const reference: Persistent = {
          kind: 'persistent',
          id: op === Op.BINPERSID ? pop() : persistentId(source.line()),
        };
        references.push(reference);
        pushNew(reference);
        break;
      }
      case Op.PUT:
        putMemo(source.decimal());
        break;
      case Op.BINPUT:
        putMemo(source.u8());
        break;
      case Op.LONG_BINPUT:
        putMemo(source.u32());
        break;
      case Op.MEMOIZE:
        putMemo(memo.size);
        break;
      case Op.GET:
        getMemo(source.decimal());
        break;
      case Op.BINGET:
        getMemo(source.u8());
        break;
      case Op.LONG_BINGET:
        getMemo(source.u32());
        break;
      default:
        fail(`its opcode 0x${op.toString(16).padStart(2, '0')} has no place in a weight file`);
    }
  }
}
