/** Finds the state dict in what a PyTorch file pickles, and reads what it says about each tensor. */
import { FileFormatError } from '../errors.js';
import type { Shape } from '../tensor/shape.js';
import type { DType } from './dtype.js';
import { isCount, isShape } from './limits.js';
import { describe, isTag, type Persistent, type Pickled } from './pickleValue.js';
import { quote } from './quote.js';

/** A storage as a pickle refers to it. */
export interface StorageReference {
  readonly key: string;
  /** Undefined for storages of bytes, whose tensors name their own type. */
  readonly dtype: DType | undefined;
  /** Values to skip: storages could be views of others before PyTorch 0.4. */
  readonly viewOffset: number;
}

/** A tensor as the pickle describes it; offset and strides in values, not bytes. */
export interface TensorReference {
  readonly storage: string;
  readonly dtype: DType;
  readonly offset: number;
  readonly shape: Shape;
  readonly strides: readonly number[];
}

const storageTypes: ReadonlyMap<string, DType> = new Map<string, DType>([
  ['DoubleStorage', 'F64'],
  ['FloatStorage', 'F32'],
  ['HalfStorage', 'F16'],
  ['BFloat16Storage', 'BF16'],
  ['LongStorage', 'I64'],
  ['IntStorage', 'I32'],
  ['ShortStorage', 'I16'],
  ['CharStorage', 'I8'],
  ['ByteStorage', 'U8'],
  ['BoolStorage', 'BOOL'],
]);

const tensorTypes: ReadonlyMap<string, DType> = new Map<string, DType>([
  ['float64', 'F64'],
  ['float32', 'F32'],
  ['float16', 'F16'],
  ['bfloat16', 'BF16'],
  ['int64', 'I64'],
  ['int32', 'I32'],
  ['int16', 'I16'],
  ['int8', 'I8'],
  ['uint64', 'U64'],
  ['uint32', 'U32'],
  ['uint16', 'U16'],
  ['uint8', 'U8'],
  ['bool', 'BOOL'],
]);

/** The storage a reference means, undefined for references to anything else (the source of a module). */
export function storageOf(format: string, reference: Persistent): StorageReference | undefined {
  const { id } = reference;
  if (!Array.isArray(id) || id[0] !== 'storage') return undefined;
  const [, type, key, , , view] = id as readonly (Pickled | undefined)[];
  if (!isTag(type, 'global') || (typeof key !== 'string' && !isCount(key)))
    throw new FileFormatError(format, 'a storage has no proper type and key');
  const dtype = storageTypes.get(type.name);
  if (!dtype && type.name !== 'UntypedStorage')
    throw new FileFormatError(
      format,
      `a tensor is a ${describe(type)}, which is not read. Save it as float32 with .float() or .dequantize().`,
    );
  const viewOffset = Array.isArray(view) ? view[1] : 0;
  if (!isCount(viewOffset))
    throw new FileFormatError(format, `the view of storage ${describe(key)} has no offset`);
  return { key: String(key), dtype, viewOffset };
}

/** The rebuild call of a tensor without what may stand around it: a parameter, or a subclass with attributes. */
function rebuildOf(
  value: Pickled | undefined,
): { readonly name: string; readonly args: readonly Pickled[] } | undefined {
  let current = value;
  // PyTorch wraps twice at most; a crafted file may wrap a value in itself.
  for (let depth = 0; depth < 4; depth++) {
    if (!isTag(current, 'call')) return undefined;
    const { callee, args } = current;
    if (/^_rebuild_parameter/.test(callee.name)) current = args[0];
    else if (callee.name === '_rebuild_from_type_v2') {
      const [rebuild, , inner] = args;
      if (!isTag(rebuild, 'global') || !Array.isArray(inner)) return undefined;
      current = { kind: 'call', callee: rebuild, args: inner };
    } else return callee.module === 'torch._utils' ? { name: callee.name, args } : undefined;
  }
  return undefined;
}

/** Whether a value is a tensor of any kind, those that are not read included. */
const isTensor = (value: Pickled): boolean => rebuildOf(value) !== undefined;

/** What a pickled value says about a tensor; undefined when it is none (a number, a text, options). */
function tensorReference(format: string, name: string, value: Pickled): TensorReference | undefined {
  const rebuild = rebuildOf(value);
  if (!rebuild) return undefined;
  const fail = (reason: string): never => {
    throw new FileFormatError(format, `the tensor ${quote(name)} ${reason}`);
  };
  if (!/^_rebuild_tensor(_v2|_v3)?$/.test(rebuild.name))
    return fail(`is made by ${rebuild.name}; save it as a dense tensor with .dequantize() or .to_dense()`);
  const [reference, offset, shape, strides, , , type] = rebuild.args as readonly (Pickled | undefined)[];
  const storage = isTag(reference, 'persistent') ? storageOf(format, reference) : undefined;
  if (!storage) return fail('has no storage');
  const named = isTag(type, 'global') ? tensorTypes.get(type.name) : undefined;
  const dtype = rebuild.name === '_rebuild_tensor_v3' ? named : storage.dtype;
  if (!dtype) return fail(`is of the type ${describe(type)}, which is not read; save it with .float()`);
  if (!isCount(offset) || !isShape(shape) || !isShape(strides) || shape.length !== strides.length)
    return fail('has no proper offset, shape and strides');
  return { storage: storage.key, dtype, offset: offset + storage.viewOffset, shape, strides };
}

/** Where training scripts keep the weights, in the order they are looked for. */
const usualNames = [
  'state_dict',
  'model_state_dict',
  'model',
  'net',
  'params',
  'weights',
  'module',
  'state_dict_ema',
  'model_ema',
  'params_ema',
];

/**
 * The dict that holds the weights. In this order: what stands under a usual name (as deep as three dicts,
 * because accuracies beside it can be tensors too); the value itself; the only dict in it that holds tensors.
 * An optimizer keeps its tensors deeper and is never taken.
 */
function findStateDict(format: string, value: Pickled): ReadonlyMap<Pickled, Pickled> {
  const fail = (reason: string): never => {
    throw new FileFormatError(
      format,
      `${reason} Save the weights with torch.save(model.state_dict(), file).`,
    );
  };
  /** Whether a value is a dict with tensors in it; looked up once, for a file can hold one dict a million times. */
  const known = new Map<Pickled, boolean>();
  const tensorsIn = (dict: Pickled | undefined): dict is ReadonlyMap<Pickled, Pickled> => {
    if (!(dict instanceof Map)) return false;
    const answer = known.get(dict) ?? [...dict.values()].some(isTensor);
    known.set(dict, answer);
    return answer;
  };
  const underUsualName = (from: Pickled | undefined, depth: number): typeof found => {
    if (!(from instanceof Map) || depth === 0) return undefined;
    for (const name of usualNames) {
      const nested = from.get(name);
      const deeper = underUsualName(nested, depth - 1) ?? (tensorsIn(nested) ? nested : undefined);
      if (deeper) return deeper;
    }
    return undefined;
  };
  const found: ReadonlyMap<Pickled, Pickled> | undefined = underUsualName(value, 3);
  if (found) return found;
  if (tensorsIn(value)) return value;
  if (!(value instanceof Map)) return fail(`it holds ${describe(value)}, no dict of tensors.`);
  if (value.size === 0) return value;
  const others = [...value].filter(([, item]) => tensorsIn(item));
  const keys = (entries: readonly (readonly [Pickled, Pickled])[]): string =>
    entries
      .slice(0, 10)
      .map(([key]) => describe(key))
      .join(', ');
  if (others.length > 1) return fail(`it holds several dicts of tensors: ${keys(others)}.`);
  const [only] = others;
  if (!only)
    return fail(`it holds no tensors at its top or in a dict there; its keys are ${keys([...value])}.`);
  return only[1] as ReadonlyMap<Pickled, Pickled>;
}

/**
 * The tensors of the state dict in a pickled value, in its order. What stands there and is no tensor is left out.
 * @throws FileFormatError when there is none, or a tensor is not of a kind that is read.
 */
export function tensorReferences(format: string, value: Pickled): Map<string, TensorReference> {
  const found = new Map<string, TensorReference>();
  for (const [key, item] of findStateDict(format, value)) {
    if (!isTensor(item)) continue;
    if (typeof key !== 'string')
      throw new FileFormatError(format, `a tensor has the key ${describe(key)}; keys are names`);
    found.set(key, tensorReference(format, key, item)!);
  }
  return found;
}
