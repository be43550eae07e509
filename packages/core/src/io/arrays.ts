/**
 * Finds the arrays in a pickle, of PyTorch and numpy: their storages, types, shapes and strides. An array is
 * judged only when it is used.
 */
import { FileFormatError } from '../errors.js';
import { excerpt } from '../printable.js';
import { type Shape, sizeOf } from '../tensor/shape.js';
import { bytesPerValue, type DType } from './dtype.js';
import { isCount, isShape, requireName } from './limits.js';
import { describe, isTag, type Persistent, type Pickled } from './pickleValue.js';
import { quote } from './quote.js';

/** A storage, as a persistent id of a pickle names it: `('storage', type, key, device, count, view)`. */
export interface StorageReference {
  readonly key: string;
  /** Name of the class: `'FloatStorage'`. */
  readonly type: string;
  /** Undefined for an UntypedStorage, of bytes, whose tensors give their type, and for unsupported types. */
  readonly dtype: DType | undefined;
  /** Offset in values of a storage that is a view of another, which existed before PyTorch 0.4; else 0. */
  readonly viewOffset: number;
}

/** An array in a file: where its values are, and how they lie. */
export interface ArrayReference {
  /** Key of its storage, or a function that gives the bytes of its values. */
  readonly storage: string | (() => Uint8Array);
  readonly dtype: DType;
  /** Offset of its first value in the storage, in values. */
  readonly offset: number;
  readonly shape: Shape;
  /** In values, not bytes. */
  readonly strides: readonly number[];
  /** True if its values are the negatives of those stored (a view that PyTorch negates lazily). */
  readonly negated: boolean;
  /** Byte order of its values; undefined for that of the file. */
  readonly littleEndian?: boolean;
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

/** Bytes per value of unsupported storages, which the older format has between the others. */
const unsupportedWidths: ReadonlyMap<string, number> = new Map([
  ['ComplexFloatStorage', 8],
  ['ComplexDoubleStorage', 16],
  ['QInt8Storage', 1],
  ['QUInt8Storage', 1],
  ['QInt32Storage', 4],
  ['QUInt4x2Storage', 1],
  ['QUInt2x4Storage', 1],
  ['UntypedStorage', 1],
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

/** Types of numpy, by kind and size in bytes. */
const numpyTypes: ReadonlyMap<string, DType> = new Map<string, DType>([
  ['f8', 'F64'],
  ['f4', 'F32'],
  ['f2', 'F16'],
  ['i8', 'I64'],
  ['i4', 'I32'],
  ['i2', 'I16'],
  ['i1', 'I8'],
  ['u8', 'U64'],
  ['u4', 'U32'],
  ['u2', 'U16'],
  ['u1', 'U8'],
  ['b1', 'BOOL'],
]);

/** Gives the type of numpy's name for it, without byte order (`f4`); undefined for unsupported ones. */
export const numpyType = (name: string): DType | undefined => numpyTypes.get(name);

/** Strides of a row-major array in values, or of a column-major one (Fortran's order). */
export function stridesOf(shape: Shape, columnMajor = false): readonly number[] {
  const strides = new Array<number>(shape.length);
  let step = 1;
  for (let i = 0; i < shape.length; i++) {
    const axis = columnMajor ? i : shape.length - 1 - i;
    strides[axis] = step;
    step *= shape[axis]!;
  }
  return strides;
}

/** Reads the persistent id of a storage; undefined for other ids (the source of a module). */
export function storageOf(format: string, reference: Persistent): StorageReference | undefined {
  const { id } = reference;
  if (!Array.isArray(id) || id[0] !== 'storage') return undefined;
  const [, type, key, , , view] = id as readonly (Pickled | undefined)[];
  if (!isTag(type, 'global') || (typeof key !== 'string' && !isCount(key)))
    throw new FileFormatError(format, 'a storage has no proper type and key');
  requireName(format, String(key));
  const viewOffset = Array.isArray(view) ? view[1] : 0;
  if (!isCount(viewOffset))
    throw new FileFormatError(format, `the view of storage ${describe(key)} has no offset`);
  return { key: String(key), type: type.name, dtype: storageTypes.get(type.name), viewOffset };
}

/** Gives the bytes per value of a storage that no dtype describes; undefined if they are unknown. */
export const widthOfUnsupported = ({ type }: StorageReference): number | undefined =>
  unsupportedWidths.get(type);

/** A call that makes an array. */
interface Rebuild {
  readonly name: string;
  readonly args: readonly Pickled[];
  /** State that numpy gives an array after it was made. */
  readonly state?: Pickled | undefined;
}

/** Finds the `_rebuild_*` call of a tensor within the calls that make it a Parameter or a subclass. */
function rebuildOf(value: Pickled | undefined): Rebuild | undefined {
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
    } else if (callee.module === 'torch._utils')
      return callee.name.startsWith('_rebuild_') ? { name: callee.name, args } : undefined;
    else if (/^numpy\.(core|_core)\.(multiarray|numeric)$/.test(callee.module))
      return /^(_reconstruct|_frombuffer)$/.test(callee.name)
        ? { name: callee.name, args, state: current.state }
        : undefined;
    else return undefined;
  }
  return undefined;
}

/** True if a value is an array of any kind, including unsupported ones (sparse, quantized). */
export const isArray = (value: Pickled | undefined): boolean => rebuildOf(value) !== undefined;

/** True if a value is an array of no dimension: a counter or a loss, not a weight. */
export function isScalar(value: Pickled): boolean {
  const rebuild = rebuildOf(value);
  const shape = rebuild && (rebuild.name === '_reconstruct' ? itemOf(rebuild.state, 1) : rebuild.args[2]);
  return Array.isArray(shape) && shape.length === 0;
}

const itemOf = (list: Pickled | undefined, index: number): Pickled | undefined =>
  Array.isArray(list) ? (list as readonly Pickled[])[index] : undefined;

/**
 * Reads the description of an array.
 * @param name - its name in the file, for errors.
 * @throws FileFormatError if it is of an unsupported kind or type.
 */
export function arrayReference(format: string, name: string, value: Pickled): ArrayReference {
  const rebuild = rebuildOf(value);
  const fail = (reason: string): never => {
    throw new FileFormatError(format, `the tensor ${quote(name)} ${reason}`);
  };
  if (!rebuild) return fail(`is ${describe(value)}, no tensor`);
  if (/^_(reconstruct|frombuffer)$/.test(rebuild.name)) return numpyReference(rebuild, fail);
  if (!/^_rebuild_tensor(_v2|_v3)?$/.test(rebuild.name))
    return fail(
      `is made by ${excerpt(rebuild.name)}; save it as a dense tensor with .dequantize() or .to_dense()`,
    );
  const typed = rebuild.name === '_rebuild_tensor_v3';
  const args = rebuild.args as readonly (Pickled | undefined)[];
  const [reference, offset, shape, strides] = args;
  const [type, metadata] = typed ? [args[6], args[7]] : [undefined, args[6]];
  const storage = isTag(reference, 'persistent') ? storageOf(format, reference) : undefined;
  if (isTag(reference, 'call') && reference.callee.name === '_load_from_bytes')
    return fail(
      'was saved with pickle.dump, values and all. Save it with torch.save(model.state_dict(), file)',
    );
  if (!storage) return fail('has no storage');
  const named = isTag(type, 'global') ? tensorTypes.get(type.name) : undefined;
  const dtype = typed ? named : storage.dtype;
  if (!dtype)
    return fail(
      `is of the type ${typed ? describe(type) : excerpt(`torch.${storage.type}`)}, which is not supported. Save it as float32 with .float() or .dequantize(), or leave it out with the 'rename' option.`,
    );
  if (!isCount(offset) || !isShape(shape) || !isShape(strides) || shape.length !== strides.length)
    return fail('has no proper offset, shape and strides');
  // PyTorch knows two flags, of views computed lazily: `neg`, and `conj`, which real numbers do not feel.
  const negated = metadata instanceof Map && metadata.get('neg') === true;
  return { storage: storage.key, dtype, offset: offset + storage.viewOffset, shape, strides, negated };
}

/**
 * Reads an array of numpy: `_reconstruct(...)` with the state (version, shape, dtype, column-major?, bytes),
 * or, since protocol 5, `_frombuffer(bytes, dtype, shape, order)`.
 */
function numpyReference({ name, args, state }: Rebuild, fail: (reason: string) => never): ArrayReference {
  const isState = name === '_reconstruct';
  const [content, type, shape, order] = isState
    ? [itemOf(state, 4), itemOf(state, 2), itemOf(state, 1), itemOf(state, 3) === true ? 'F' : 'C']
    : args;
  const named = isTag(type, 'call') ? type.args[0] : undefined;
  const descriptor = typeof named === 'string' ? named : undefined;
  const dtype = descriptor !== undefined ? numpyType(descriptor.replace(/^[<>|=]/, '')) : undefined;
  if (!dtype)
    return fail(
      `is an array of numpy's type ${describe(named)}, which is not supported. Save it with .astype('float32'), or leave it out with the 'rename' option.`,
    );
  if (!isShape(shape)) return fail('has no proper shape');
  const bytes = contentOf(content);
  if (bytes === undefined) return fail('is an array of numpy whose values are not in the file');
  const needed = shape.includes(0) ? 0 : sizeOf(shape) * bytesPerValue(dtype);
  // A text is decoded only if it is as long as the values: many arrays may share one long text.
  if (bytes.length !== needed) return fail(`needs ${needed} bytes for its shape, but has ${bytes.length}`);
  // The state of a dtype, (version, byte order, ...), replaces the order that its name gives.
  const typeState = isTag(type, 'call') ? type.state : undefined;
  const byteOrder = typeState === undefined ? descriptor?.[0] : itemOf(typeState, 1);
  return {
    storage: () => (typeof bytes === 'string' ? latin1Bytes(bytes) : bytes),
    dtype,
    offset: 0,
    shape,
    strides: stridesOf(shape, order === 'F'),
    negated: false,
    littleEndian: byteOrder !== '>',
  };
}

const wrappers = /^(_codecs encode|(__builtin__|builtins) bytearray)$/;

/** Gives the content of an array: bytes, or text of one character a byte, which protocols 0 to 2 write. */
function contentOf(value: Pickled | undefined): Uint8Array | string | undefined {
  const content =
    isTag(value, 'call') && wrappers.test(`${value.callee.module} ${value.callee.name}`)
      ? value.args[0]
      : value;
  return content instanceof Uint8Array || typeof content === 'string' ? content : undefined;
}

function latin1Bytes(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}
