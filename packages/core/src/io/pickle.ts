/**
 * Reads the part of Python's pickle format that weight files use, as data. Nothing in it is ever run: names
 * become inert tags, calls are recorded when they are on the list in pickleCalls.ts and refused when not.
 */
import type { Limits } from './limits.js';
import { pickleBytes } from './pickleBytes.js';
import { callOf, isDictClass } from './pickleCalls.js';
import { literal, Op } from './pickleOps.js';
import { type Global, isTag, type Persistent, type Pickled, qualifiedName } from './pickleValue.js';

const MARK = Symbol('mark');

/** A pickle and where the bytes after it start. */
export interface Unpickled {
  readonly value: Pickled;
  /** Every reference to something outside, in order, those in parts that are not kept included. */
  readonly references: readonly Persistent[];
  readonly end: number;
}

/**
 * Lists, dicts, tags, byte runs and memo entries that a pickle may make. PyTorch makes about 25 for a tensor,
 * as many again for each number an optimizer keeps with it.
 */
const maxObjects = ({ maxTensors }: Limits): number => Math.max(10_000, 50 * maxTensors);

/**
 * Reads one pickle from `start`: at most `maxHeaderBytes` long, and of at most 50 objects for each of
 * `maxTensors`. Work is in proportion to the bytes read, and nothing recurses, so that neither deep nor
 * cyclic values are a trap.
 * @throws FileFormatError with the offset for anything that is not a plain checkpoint.
 */
export function unpickle(bytes: Uint8Array, start: number, limits: Limits): Unpickled {
  const source = pickleBytes(bytes, start, limits);
  const { fail } = source;
  const stack: (Pickled | typeof MARK)[] = [];
  const memo = new Map<number, Pickled>();
  const references: Persistent[] = [];
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
    if (value === undefined || value === MARK) return fail('it takes more from its stack than there is');
    return value;
  };
  const pop = (): Pickled => {
    const value = top();
    stack.pop();
    return value;
  };
  const popMark = (): Pickled[] => {
    const mark = stack.lastIndexOf(MARK);
    if (mark < 0) fail('it closes a group that it never opened');
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
  const setItems = (items: readonly Pickled[]): void => {
    const dict = top();
    if (items.length % 2 === 1) fail('it sets a key without a value');
    if (dict instanceof Map) for (let i = 0; i < items.length; i += 2) dict.set(items[i]!, items[i + 1]!);
    else if (!isTag(dict, 'instance') && !isTag(dict, 'call'))
      fail('it sets items of something that is not a dict');
  };
  const popGlobal = (): Global => {
    const value = pop();
    return isTag(value, 'global') ? value : fail('it calls something that is not a name');
  };
  const call = (): Pickled => {
    const args = pop();
    const callee = popGlobal();
    if (!Array.isArray(args)) return fail(`it calls ${qualifiedName(callee)} without a tuple of arguments`);
    return (
      callOf(callee, args, spend) ??
      fail(
        `it calls ${qualifiedName(callee)}, which has no place in a weight file. Nothing was run. Save the weights with torch.save(model.state_dict(), file).`,
      )
    );
  };
  /** An object of any class is kept as a tag: its constructor is not called, and its state is dropped. */
  const instance = (): Pickled => {
    pop();
    const of = popGlobal();
    return isDictClass(of) ? new Map() : { kind: 'instance', of };
  };
  const remember = (key: number): void => {
    if (!memo.has(key)) spend(1);
    memo.set(key, top());
  };
  const recall = (key: number): void => {
    const value = memo.get(key);
    push(value === undefined ? fail(`it recalls entry ${key} of its memo, which it never stored`) : value);
  };

  for (;;) {
    const op = source.instruction();
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
        if (protocol > 5) fail(`it is of protocol ${protocol}; 0 to 5 are read`);
        break;
      }
      case Op.FRAME:
        source.u64();
        break;
      case Op.MARK:
        stack.push(MARK);
        break;
      case Op.POP:
        if (stack.pop() === undefined) fail('it takes more from its stack than there is');
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
        setItems(items);
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
        setItems(popMark());
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
          return fail('it names something with what is not text');
        pushNew({ kind: 'global', module, name });
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
      case Op.BUILD:
        // The state of an object (hooks of a tensor, attributes of options) says nothing about weights.
        pop();
        top();
        break;
      case Op.BINPERSID: {
        const reference: Persistent = { kind: 'persistent', id: pop() };
        references.push(reference);
        pushNew(reference);
        break;
      }
      case Op.PUT:
        remember(source.decimal());
        break;
      case Op.BINPUT:
        remember(source.u8());
        break;
      case Op.LONG_BINPUT:
        remember(source.u32());
        break;
      case Op.MEMOIZE:
        remember(memo.size);
        break;
      case Op.GET:
        recall(source.decimal());
        break;
      case Op.BINGET:
        recall(source.u8());
        break;
      case Op.LONG_BINGET:
        recall(source.u32());
        break;
      default:
        fail(`its instruction 0x${op.toString(16).padStart(2, '0')} has no place in a weight file`);
    }
  }
}
