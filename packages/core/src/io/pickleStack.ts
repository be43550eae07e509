/** Stack and memo of a pickle, with the operations that its opcodes apply to them. */
import type { timeSlices } from '../yield.js';
import { isIndexText, type Limits, MAX_INDEX_NAMES } from './limits.js';
import type { PickleBytes } from './pickleBytes.js';
import { callOf, freeze, isDictClass, type KeyIn, makesArray } from './pickleCalls.js';
import { type Global, isTag, keyOf, type Pickled, qualifiedName } from './pickleValue.js';

const MARK = Symbol('mark');

/** The callee of a call of another call's result. */
const UNNAMED: Global = { kind: 'global', module: 'unnamed', name: 'method' };

/** Pairs that are set in a dict between two time checks; 1,024 take about 0.2 ms. */
const STRIDE = 1024;

/**
 * Limit on the lists, dicts, entries of dicts, tags, byte strings and memo entries of a pickle, and on its stack: 50 for
 * each of `maxTensors`, at least 10,000. PyTorch makes about 30 for a tensor, and about 30 more for each value of
 * optimizer state.
 */
const maxObjects = ({ maxTensors }: Limits): number => Math.max(10_000, 50 * maxTensors);

/** Objects that a value counts as: a dict takes about 200 bytes of memory, a byte string 150, a list 80, others 50. */
function countOf(value: Pickled): number {
  if (value instanceof Map) return 4;
  if (value instanceof Uint8Array) return 3;
  return Array.isArray(value) ? 2 : 1;
}

/** Items that calls may copy in any pickle; beyond, a byte for each: an honest list is copied once. */
const FEW_COPIES = 10_000;

/**
 * Gives a function that makes keys of dicts: numbers and long texts become `OpaqueKey`s, and so do further texts of array indices
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

/** Memo of a pickle: the values that its PUT and MEMOIZE opcodes store, by number. */
class Memo {
  /** Values under consecutive numbers from 0, as Python stores them. */
  readonly #list: Pickled[] = [];
  /**
   * All other values, by the number as text: a file can choose numbers whose hashes collide (see `OpaqueKey`), but not
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

/** The state of a pickle that is read: values on the stack, and a memo of values. Broken pickles fail with the offset. */
export class PickleStack {
  readonly #fail: PickleBytes['fail'];
  readonly #maxObjects: number;
  readonly #sliced: ReturnType<typeof timeSlices>;
  readonly #bytesRead: () => number;
  readonly #stack: (Pickled | typeof MARK)[] = [];
  readonly #memo = new Memo();
  readonly #keyIn = dictKeys();
  #objects = 0;
  /** Items of lists and dicts that calls have copied. */
  #copied = 0;

  /**
   * @param fail - throws the error of a broken pickle.
   * @param limits - `maxTensors` bounds the objects (`maxObjects`).
   * @param sliced - awaited between parts of long work.
   * @param bytesRead - gives the bytes of the pickle up to here, which bound what calls copy.
   */
  constructor(
    fail: PickleBytes['fail'],
    limits: Limits,
    sliced: ReturnType<typeof timeSlices>,
    bytesRead: () => number,
  ) {
    this.#fail = fail;
    this.#maxObjects = maxObjects(limits);
    this.#sliced = sliced;
    this.#bytesRead = bytesRead;
  }

  push(value: Pickled | typeof MARK): void {
    this.#stack.push(value);
    this.#requireFew(this.#stack.length);
  }

  /** Pushes a value that the opcode made, which counts towards the limit. */
  pushNew(value: Pickled): void {
    this.#spend(countOf(value));
    this.push(value);
  }

  /** Begins a group. */
  mark(): void {
    this.push(MARK);
  }

  top(): Pickled {
    const value = this.#stack.at(-1);
    return value === undefined || value === MARK ? this.#fail('it pops an empty stack') : value;
  }

  pop(): Pickled {
    const value = this.top();
    this.#stack.pop();
    return value;
  }

  /** Pops values, in the order in which they were pushed. */
  popMany(count: number): Pickled[] {
    const items = this.#stack.slice(-count);
    if (items.length < count || items.includes(MARK)) this.#fail('it pops an empty stack');
    this.#stack.length -= count;
    return items as Pickled[];
  }

  /** Pops a value or the mark of an empty group. */
  popAny(): void {
    if (this.#stack.pop() === undefined) this.#fail('it pops an empty stack');
  }

  /** Pops the values since the last mark, in order, and the mark. */
  popMark(): Pickled[] {
    const mark = this.#stack.lastIndexOf(MARK);
    if (mark < 0) this.#fail('it closes a group without a MARK');
    const items = this.#stack.splice(mark + 1) as Pickled[];
    this.#stack.pop();
    return items;
  }

  /** Appends to the list on top. */
  append(items: readonly Pickled[]): void {
    const list = this.top() as Pickled[] | Exclude<Pickled, readonly Pickled[]>;
    if (Array.isArray(list) && Object.isFrozen(list))
      this.#fail('it appends to a list after an array was made with it');
    else if (Array.isArray(list)) for (const item of items) list.push(item);
    else if (!isTag(list, 'instance') && !isTag(list, 'call'))
      this.#fail('it appends to something that is not a list');
  }

  /** Sets items of the dict on top: keys and values in turn. */
  setItems(items: readonly Pickled[], from = 0, to = items.length): void {
    const dict = this.top();
    if (items.length % 2 === 1) this.#fail('it sets a key without a value');
    const isObject = isTag(dict, 'instance') || isTag(dict, 'call');
    if (isObject && !dict.items) {
      dict.items = new Map();
      this.#spend(countOf(dict.items));
    }
    const target = isObject ? dict.items : dict;
    if (!(target instanceof Map)) this.#fail('it sets items of something that is not a dict');
    else {
      this.#spend((to - from) / 2);
      for (let i = from; i < to; i += 2) target.set(this.#keyIn(target, items[i]!), items[i + 1]!);
    }
  }

  /** Sets many items; hears the signal between them. */
  async setAll(items: readonly Pickled[]): Promise<void> {
    this.setItems(items, 0, Math.min(items.length, 2 * STRIDE));
    for (let from = 2 * STRIDE; from < items.length; from += 2 * STRIDE) {
      await this.#sliced();
      this.setItems(items, from, Math.min(items.length, from + 2 * STRIDE));
    }
  }

  /** Pushes what the call of a named function with these arguments is read as. */
  call(callee: Pickled | undefined, args: readonly Pickled[]): void {
    const named = this.#named(callee);
    if (makesArray(named)) freeze(args);
    this.pushNew(callOf(named, args, (count) => this.#spendCopies(count), this.#keyIn));
  }

  /** Reduces the callee and the tuple of its arguments on top to what the call is read as. */
  reduce(): void {
    const args = this.pop();
    const value = this.pop();
    // A method (of an enum, of what another call gives) is called by a call: recorded without a name.
    const callee = this.#named(isTag(value, 'call') ? UNNAMED : value);
    if (Array.isArray(args)) this.call(callee, args);
    else this.#fail(`it calls ${qualifiedName(callee)} without a tuple of arguments`);
  }

  /** Replaces class and arguments by a tag, without arguments; an instance of a dict class becomes an empty dict. */
  instantiate(): void {
    this.pop();
    const of = this.#named(this.pop());
    this.pushNew(isDictClass(of) ? new Map() : { kind: 'instance', of });
  }

  /** Sets the state of the object below it. */
  build(): void {
    const state = this.pop();
    const object = this.top();
    if (isTag(object, 'call') && makesArray(object.callee)) freeze(state);
    if (isTag(object, 'call') || isTag(object, 'instance')) object.state = state;
  }

  /** Stores the value on top in the memo. Default: under the next number. */
  putMemo(key = this.#memo.size): void {
    if (this.#memo.set(key, this.top())) this.#spend(1);
  }

  /** Pushes a value of the memo. */
  getMemo(key: number): void {
    const value = this.#memo.get(key);
    this.push(
      value === undefined ? this.#fail(`it reads entry ${key} of its memo, which was never written`) : value,
    );
  }

  #named(callee: Pickled | undefined): Global {
    return isTag(callee, 'global') ? callee : this.#fail('it calls something that is not a name');
  }

  #spend(count: number): void {
    this.#objects += count;
    this.#requireFew(this.#objects);
  }

  #spendCopies(items: number): void {
    this.#copied += items;
    if (this.#copied > FEW_COPIES + this.#bytesRead())
      this.#fail(
        `its calls copy ${this.#copied.toLocaleString('en-US')} items of lists and dicts, more than it has bytes. Save the state dict alone: torch.save(model.state_dict(), file).`,
      );
    this.#spend(items);
  }

  #requireFew(count: number): void {
    if (count > this.#maxObjects)
      this.#fail(
        `it makes more than ${this.#maxObjects} objects, 50 for each of maxTensors. Raise the limit if you trust the file.`,
      );
  }
}
