/** The safetensors format: a length, a JSON header that says where each tensor lies, and the values. */
import { FileFormatError } from '../errors.js';
import { type Shape, sizeOf } from '../tensor/shape.js';
import type { Weights } from '../tensor/tensor.js';
import { type DType, dtypeBytes, toFloat32 } from './dtype.js';
import { type Limits, withinLimit } from './limits.js';

const format = 'safetensors';

/** Whether the bytes can be a safetensors file: a plausible header length, then a JSON object. */
export function looksLikeSafetensors(bytes: Uint8Array): boolean {
  return bytes.length >= 10 && bytes[8] === 0x7b && bytes[6] === 0 && bytes[7] === 0;
}

interface Entry {
  readonly dtype: DType;
  readonly shape: Shape;
  readonly begin: number;
  readonly end: number;
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

function entryOf(name: string, value: unknown): Entry {
  const fail = (reason: string): never => {
    throw new FileFormatError(format, `the entry '${name}' ${reason}`);
  };
  if (typeof value !== 'object' || value === null) return fail('is not an object');
  const { dtype, shape, data_offsets: offsets } = value as Record<string, unknown>;
  if (typeof dtype !== 'string' || !(dtype in dtypeBytes))
    return fail(`has the type ${String(dtype)}, which is not read`);
  if (!Array.isArray(shape) || !shape.every(isCount)) return fail('has no shape of whole numbers');
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount))
    return fail('has no pair of data_offsets');
  const [begin, end] = offsets as [number, number];
  const bytes = sizeOf(shape) * dtypeBytes[dtype as DType];
  if (end - begin !== bytes)
    return fail(`needs ${bytes} bytes for its shape, but its offsets span ${end - begin}`);
  return { dtype: dtype as DType, shape, begin, end };
}

/**
 * Reads a safetensors file. Float32 values are views of `bytes`.
 * @throws FileFormatError when the header or an offset is wrong, or over a limit.
 */
export function readSafetensors(bytes: Uint8Array, limits: Limits): Weights {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 8) throw new FileFormatError(format, 'it ends before its header length', bytes.length);
  const headerLength = Number(view.getBigUint64(0, true));
  withinLimit(format, limits, 'maxHeaderBytes', headerLength, 0);
  if (8 + headerLength > bytes.length)
    throw new FileFormatError(
      format,
      `its header of ${headerLength} bytes goes beyond its end`,
      bytes.length,
    );
  let header: unknown;
  try {
    header = JSON.parse(
      new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(8, 8 + headerLength)),
    );
  } catch (error) {
    throw new FileFormatError(format, `its header is not JSON (${(error as Error).message})`, 8);
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header))
    throw new FileFormatError(format, 'its header is not a JSON object', 8);
  const names = Object.keys(header).filter((name) => name !== '__metadata__');
  withinLimit(format, limits, 'maxTensors', names.length, 8);
  const entries = names
    .map((name) => [name, entryOf(name, (header as Record<string, unknown>)[name])] as const)
    .sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  withinLimit(
    format,
    limits,
    'maxElements',
    entries.reduce((sum, [, { shape }]) => sum + sizeOf(shape), 0),
    8,
  );

  const data = bytes.subarray(8 + headerLength);
  const found: Weights = new Map();
  let previous = 0;
  for (const [name, { dtype, shape, begin, end }] of entries) {
    if (begin < previous)
      throw new FileFormatError(format, `the entry '${name}' overlaps the one before it`, begin);
    if (end > data.length)
      throw new FileFormatError(
        format,
        `the entry '${name}' ends at ${end}, beyond its ${data.length} bytes of values`,
        bytes.length,
      );
    previous = end;
    found.set(name, { shape, data: toFloat32(data.subarray(begin, end), dtype) });
  }
  return new Map(names.map((name) => [name, found.get(name)!]));
}

/**
 * Weights as a safetensors file, float32, in the order given. The same weights give the same bytes.
 * @param metadata - strings to keep with the file.
 * @example
 * const bytes = writeSafetensors(initialise(model), { trainedOn: 'MNIST' });
 */
export function writeSafetensors(weights: Weights, metadata?: Readonly<Record<string, string>>): Uint8Array {
  let end = 0;
  const entries = [...weights].map(([name, { shape, data }]) => {
    const begin = end;
    end += data.length * 4;
    return [name, { dtype: 'F32', shape, data_offsets: [begin, end] }] as const;
  });
  const json = JSON.stringify(
    Object.fromEntries<unknown>([...(metadata ? [['__metadata__', metadata] as const] : []), ...entries]),
  );
  const text = new TextEncoder().encode(json);
  // Spaces after the JSON put the values on an 8-byte boundary, so that they can be read in place.
  const headerLength = Math.ceil(text.length / 8) * 8;
  const file = new Uint8Array(8 + headerLength + end);
  const view = new DataView(file.buffer);
  view.setBigUint64(0, BigInt(headerLength), true);
  file.fill(0x20, 8, 8 + headerLength);
  file.set(text, 8);
  let at = 8 + headerLength;
  for (const { data } of weights.values())
    for (let i = 0; i < data.length; i++, at += 4) view.setFloat32(at, data[i]!, true);
  return file;
}
