/**
 * Finds the state dict in the pickle of a PyTorch file, and reads its tensors' storages, shapes and strides.
 */
import { FileFormatError } from '../errors.js';
import type { Shape } from '../tensor/shape.js';
import type { DType } from './dtype.js';
import { isCount, isShape } from './limits.js';
import { describe, isTag, type Persistent, type Pickled } from './pickleValue.js';
import { quote } from './quote.js';

/** A storage, as a persistent id of a pickle names it: `('storage', type, key, device, count, view)`. */
export interface StorageReference {
  readonly key: string;
  /** Undefined for an UntypedStorage, of bytes: its tensors give their type themselves. */
  readonly dtype: DType | undefined;
  /** Offset in values of a storage that is a view of another, which existed before PyTorch 0.4; else 0. */
  readonly viewOffset: number;
}

/** A tensor, as the call of `_rebuild_tensor*` in a pickle describes it. */
export interface TensorReference {
  /** Key of its storage. */
  readonly storage: string;
  readonly dtype: DType;
  /** Offset of its first value in the storage, in values. */
  readonly offset: number;
  readonly shape: Shape;
  /** In values, not bytes. */
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

/** Reads the persistent id of a storage; undefined for other ids (the source of a module). */
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
      `a tensor is a ${describe(type)}, which is not supported. Save it as float32 with .float() or .dequantize().`,
    );
  const viewOffset = Array.isArray(view) ? view[1] : 0;
  if (!isCount(viewOffset))
    throw new FileFormatError(format, `the view of storage ${describe(key)} has no offset`);
  return { key: String(key), dtype, viewOffset };
}

/** Finds the `_rebuild_*` call of a tensor within the calls that make it a Parameter or a subclass. */
function rebuildOf(
  value: Pickled | undefined,
): { readonly name: string; readonly args: readonly Pickled[] } | undefined {
  let current = value;
  // PyTorch nests two calls at most; a crafted file may nest a call in itself.
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

/** True if a value is a tensor of any kind, including unsupported ones (sparse, quantized). */
const isTensor = (value: Pickled): boolean => rebuildOf(value) !== undefined;

/** Reads the description of a tensor; undefined for a value that is none (a number, a text, options). */
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
  if (!dtype) return fail(`is of the type ${describe(type)}, which is not supported; save it with .float()`);
  if (!isCount(offset) || !isShape(shape) || !isShape(strides) || shape.length !== strides.length)
    return fail('has no proper offset, shape and strides');
  return { storage: storage.key, dtype, offset: offset + storage.viewOffset, shape, strides };
}

/** Keys under which training scripts save the state dict, in order of search. */
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
 * Finds the dict that holds the weights: first under a usual key, at most three dicts deep; else the value
 * itself; else the only dict of tensors in it. The usual keys come first because accuracies beside them can
 * be tensors too. An optimizer's tensors lie deeper, so that its state is never taken for weights.
 */
function findStateDict(format: string, value: Pickled): ReadonlyMap<Pickled, Pickled> {
  const fail = (reason: string): never => {
    throw new FileFormatError(
      format,
      `${reason} Save the weights with torch.save(model.state_dict(), file).`,
    );
  };
  /** Caches whether a dict has tensors in it: a file can contain one dict a million times. */
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
 * Describes the tensors of the state dict in a pickled value, in its order. Other values are left out.
 * @throws FileFormatError if there is no state dict, or a tensor is of an unsupported kind or type.
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
