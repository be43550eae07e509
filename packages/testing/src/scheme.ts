/**
 * Deterministic values: every tensor of a golden run is a function of its name and shape, so that
 * goldens hold results only. PyTorch got exactly these values.
 */
import { hash32, type Shape, sizeOf, type Tensor, type Weights } from '@cnn/core';

/** FNV-1a of a name's UTF-8 bytes. */
export function nameKey(name: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(name)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

/** Taken from its module once: the test runner looks an import up at each use, and weights are 10^8 values. */
const hash = hash32;

/** A 32-bit number for element `index` of a name. */
export const hashAt = (key: number, index: number): number => hash(Math.imul(index, 0x9e3779b1) ^ key);

/** A multiple of 2^-23 in [-1, 1) for element `index` of a name: exact in float32. */
export const unitAt = (key: number, index: number): number =>
  ((hashAt(key, index) >>> 8) - 2 ** 23) / 2 ** 23;

/** `offset + scale * u` for every element, with one rounding to float32. */
export function fillTensor(name: string, shape: Shape, scale = 1, offset = 0): Tensor {
  const key = nameKey(name);
  const factor = Math.fround(scale);
  const data = new Float32Array(sizeOf(shape));
  for (let i = 0; i < data.length; i++) data[i] = offset + factor * unitAt(key, i);
  return { shape, data };
}

/** The value of a state-dict entry: its kind follows from the last part of its name and its rank. */
export function schemeWeight(name: string, shape: Shape, gain2: number): Tensor {
  const kind = name.slice(name.lastIndexOf('.') + 1);
  if (kind === 'num_batches_tracked') return { shape, data: new Float32Array(sizeOf(shape)) };
  if (kind === 'running_mean') return fillTensor(name, shape, 0.125);
  if (kind === 'running_var') return fillTensor(name, shape, 0.5, 1);
  if (shape.length >= 2) return fillTensor(name, shape, Math.sqrt((3 * gain2) / sizeOf(shape.slice(1))));
  if (kind === 'weight') return fillTensor(name, shape, 0.5, 1);
  return fillTensor(name, shape, 0.125);
}

/** Weights for all entries. */
export const schemeWeights = (entries: Iterable<readonly [string, Shape]>, gain2: number): Weights =>
  new Map([...entries].map(([name, shape]) => [name, schemeWeight(name, shape, gain2)]));

/** The model input of the goldens: in [-2, 2). */
export const schemeInput = (shape: Shape, name = 'input'): Tensor => fillTensor(name, shape, 2);

/** Whole numbers below `classes`. */
export const schemeLabels = (name: string, count: number, classes: number): Float32Array =>
  Float32Array.from({ length: count }, (_, i) => hashAt(nameKey(name), i) % classes);

/** Sum of the bit patterns of all values modulo 2^32: checked before any result is compared. */
export function bitsum(weights: Weights): number {
  let sum = 0;
  for (const [name, { data }] of weights) {
    if (name.endsWith('num_batches_tracked')) continue;
    const bits = new Uint32Array(data.buffer, data.byteOffset, data.length);
    for (let i = 0; i < bits.length; i++) sum = (sum + bits[i]!) | 0;
  }
  return sum >>> 0;
}
