/**
 * Deterministic values: every tensor of a golden run is a function of its name and shape, so that goldens
 * hold only results. PyTorch computed the goldens with exactly these values.
 */
import { type Shape, sizeOf, type Tensor, type Weights } from '@cnn/core';
import { hash32 } from '@cnn/core/graph';

/** Returns the FNV-1a hash of a name's UTF-8 bytes. */
export function nameKey(name: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(name)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

/** Bound once: the test runner looks an import up at each use, and weights have 10^8 values. */
const hash = hash32;

/** Returns a 32-bit number for element `index` of a tensor with this key. */
export const hashAt = (key: number, index: number): number => hash(Math.imul(index, 0x9e3779b1) ^ key);

/** Returns a multiple of 2^-23 in [-1, 1) for element `index`; it is exact in float32. */
export const unitAt = (key: number, index: number): number =>
  ((hashAt(key, index) >>> 8) - 2 ** 23) / 2 ** 23;

/** Returns `offset + scale * u` for every element, rounded to float32 once. */
export function fillTensor(name: string, shape: Shape, scale = 1, offset = 0): Tensor {
  const key = nameKey(name);
  const factor = Math.fround(scale);
  const data = new Float32Array(sizeOf(shape));
  for (let i = 0; i < data.length; i++) data[i] = offset + factor * unitAt(key, i);
  return { shape, data };
}

/** Returns the value of a state-dict entry; its rank and the end of its name determine the distribution. */
export function schemeWeight(name: string, shape: Shape, gain2: number): Tensor {
  const kind = name.slice(name.lastIndexOf('.') + 1);
  if (kind === 'num_batches_tracked') return { shape, data: new Float32Array(sizeOf(shape)) };
  if (kind === 'running_mean') return fillTensor(name, shape, 0.125);
  if (kind === 'running_var') return fillTensor(name, shape, 0.5, 1);
  if (shape.length >= 2) return fillTensor(name, shape, Math.sqrt((3 * gain2) / sizeOf(shape.slice(1))));
  if (kind === 'weight') return fillTensor(name, shape, 0.5, 1);
  return fillTensor(name, shape, 0.125);
}

/** Returns the weights of all state-dict entries. */
export const schemeWeights = (entries: Iterable<readonly [string, Shape]>, gain2: number): Weights =>
  new Map([...entries].map(([name, shape]) => [name, schemeWeight(name, shape, gain2)]));

/** Returns the model input of the goldens, in [-2, 2). */
export const schemeInput = (shape: Shape, name = 'input'): Tensor => fillTensor(name, shape, 2);

/** Returns labels: integers from 0 to `classes - 1`. */
export const schemeLabels = (name: string, count: number, classes: number): Float32Array =>
  Float32Array.from({ length: count }, (_, i) => hashAt(nameKey(name), i) % classes);

/** Sums the bit patterns of all values modulo 2^32; tests check it before they compare results. */
export function bitsum(weights: Weights): number {
  let sum = 0;
  for (const [name, { data }] of weights) {
    if (name.endsWith('num_batches_tracked')) continue;
    const bits = new Uint32Array(data.buffer, data.byteOffset, data.length);
    for (let i = 0; i < bits.length; i++) sum = (sum + bits[i]!) | 0;
  }
  return sum >>> 0;
}
