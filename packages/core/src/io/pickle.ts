/**
 * Reads Python's pickle format as data, as far as weight files use it. Nothing in a file is ever executed:
 * names become inert tags, and calls are recorded.
 */
import { timeSlices } from '../yield.js';
import { type Limits, requireName } from './limits.js';
import { pickleBytes } from './pickleBytes.js';
import { freeze } from './pickleCalls.js';
import { literal, Op, textOf } from './pickleOps.js';
import { PickleStack } from './pickleStack.js';
import { textReader } from './pickleText.js';
import type { Global, Persistent, Pickled } from './pickleValue.js';

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

/** Instructions between time checks; 1,024 take about 0.2 ms. */
const STRIDE = 1024;

/**
 * Reads one pickle. The time is proportional to the bytes read; nothing recurses, so that deeply nested and
 * cyclic values are harmless. The function is long, since it has a case for each opcode.
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
  const sliced = timeSlices(signal);
  const stack = new PickleStack(fail, limits, sliced, () => source.position() - start);
  const decoded = textReader(fail, sliced);
  const references: Persistent[] = [];
  /** Makes the name of a class or function, which is compared and shown many times. */
  const named = (module: string, name: string): Global => {
    requireName('pickle', module);
    requireName('pickle', name);
    return { kind: 'global', module, name };
  };
  for (let count = 1; ; count++) {
    if (count % STRIDE === 0) await sliced();
    const op = source.opcode();
    if (op === Op.STOP) return { value: stack.pop(), references, end: source.position() };
    const operand = literal(op, source);
    if (operand !== undefined) {
      if (operand instanceof Uint8Array) stack.pushNew(operand);
      else stack.push(operand);
      continue;
    }
    const text = textOf(op, source);
    if (text) {
      stack.push(await decoded(text));
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
        stack.mark();
        break;
      case Op.POP:
        stack.popAny();
        break;
      case Op.POP_MARK:
        stack.popMark();
        break;
      case Op.DUP:
        stack.push(stack.top());
        break;
      case Op.EMPTY_LIST:
      case Op.EMPTY_TUPLE:
      case Op.EMPTY_SET:
        stack.pushNew([]);
        break;
      case Op.EMPTY_DICT:
        stack.pushNew(new Map());
        break;
      case Op.LIST:
      case Op.TUPLE:
      case Op.FROZENSET:
        stack.pushNew(stack.popMark());
        break;
      case Op.DICT: {
        const items = stack.popMark();
        stack.pushNew(new Map());
        await stack.setAll(items);
        break;
      }
      case Op.TUPLE1:
      case Op.TUPLE2:
      case Op.TUPLE3: {
        stack.pushNew(stack.popMany(op - Op.TUPLE1 + 1));
        break;
      }
      case Op.APPEND: {
        const item = stack.pop();
        stack.append([item]);
        break;
      }
      case Op.APPENDS:
      case Op.ADDITEMS:
        stack.append(stack.popMark());
        break;
      case Op.SETITEM: {
        const value = stack.pop();
        const key = stack.pop();
        stack.setItems([key, value]);
        break;
      }
      case Op.SETITEMS:
        await stack.setAll(stack.popMark());
        break;
      case Op.GLOBAL: {
        const module = source.line();
        stack.pushNew(named(module, source.line()));
        break;
      }
      case Op.STACK_GLOBAL: {
        const name = stack.pop();
        const module = stack.pop();
        if (typeof name !== 'string' || typeof module !== 'string')
          return fail('it names a class or function by a value that is not text');
        stack.pushNew(named(module, name));
        break;
      }
      case Op.INST: {
        const module = source.line();
        stack.call(named(module, source.line()), stack.popMark());
        break;
      }
      case Op.OBJ: {
        const [callee, ...args] = stack.popMark();
        stack.call(callee, args);
        break;
      }
      case Op.REDUCE:
        stack.reduce();
        break;
      case Op.NEWOBJ_EX:
        stack.pop();
        stack.instantiate();
        break;
      case Op.NEWOBJ:
        stack.instantiate();
        break;
      case Op.BUILD:
        stack.build();
        break;
      case Op.PERSID:
      case Op.BINPERSID: {
        const reference: Persistent = {
          kind: 'persistent',
          id: op === Op.BINPERSID ? stack.pop() : persistentId(source.line()),
        };
        freeze(reference.id);
        references.push(reference);
        stack.pushNew(reference);
        break;
      }
      case Op.PUT:
        stack.putMemo(source.decimal());
        break;
      case Op.BINPUT:
        stack.putMemo(source.u8());
        break;
      case Op.LONG_BINPUT:
        stack.putMemo(source.u32());
        break;
      case Op.MEMOIZE:
        stack.putMemo();
        break;
      case Op.GET:
        stack.getMemo(source.decimal());
        break;
      case Op.BINGET:
        stack.getMemo(source.u8());
        break;
      case Op.LONG_BINGET:
        stack.getMemo(source.u32());
        break;
      default:
        fail(`its opcode 0x${op.toString(16).padStart(2, '0')} has no place in a weight file`);
    }
  }
}
