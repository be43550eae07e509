/**
 * What all kernels have in common. A kernel is a function of thirteen i32 parameters, so that one indirect
 * call runs any of them from a table of records. Vectors are handled in pairs of 128 bits next to each
 * other: an engine with wide SIMD makes one 256-bit operation of each pair.
 */

import { FunctionBuilder, f32x4, type Local, type V128 } from '../emit/index.js';
import type { Engine } from '../engine.js';

/** Parameters of every kernel; those that it does not use are zero. */
export const PARAMETERS = 13;

/** Float32 lanes in a vector of 128 bits. */
export const LANES = 4;

/** Channels are stored in multiples of this: two vectors. */
export const CHANNEL_BLOCK = 8;

/** Bytes of a float32. */
export const FLOAT = 4;

/** Bytes of a vector. */
export const VECTOR = 16;

/** Bytes of a cache line. */
export const CACHE_LINE = 64;

/** Channels as they are stored. */
export const paddedChannels = (channels: number): number =>
  Math.ceil(channels / CHANNEL_BLOCK) * CHANNEL_BLOCK;

/** A kernel under construction, with names for its parameters. */
export function defineKernel<const N extends readonly string[]>(
  names: N,
  build: (f: FunctionBuilder, parameters: { readonly [K in N[number]]: Local<'i32'> }) => void,
): FunctionBuilder {
  const f = new FunctionBuilder(PARAMETERS);
  const named = Object.fromEntries(names.map((name, index) => [name, f.parameters[index]]));
  build(f, named as { readonly [K in N[number]]: Local<'i32'> });
  return f;
}

/** a * b + c as the engine does it best. */
export const multiplyAdd = ({ fma }: Engine, a: V128, b: V128, c: V128): V128 =>
  fma ? f32x4.relaxedMadd(a, b, c) : f32x4.add(f32x4.mul(a, b), c);
