/**
 * What all kernels have in common. A kernel is a function of thirteen i32 parameters, so that one indirect
 * call runs any of them from a table of records. Vectors are handled in pairs of 128 bits next to each
 * other: an engine with wide SIMD makes one 256-bit operation of each pair.
 */

import type { Engine } from './engine.js';
import { type Expression, FunctionBuilder, f32, f32x4, type Local, type V128 } from './index.js';

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

/** Up to `most` addresses under one name, an i32 each. */
export interface AddressList {
  readonly most: number;
}

/** A parameter that is a list of addresses. A call gives as many as it needs; the rest are 0. */
export const addressList = (most: number): AddressList => ({ most });

/**
 * A parameter: an address, a whole number, a float32 (passed as its bits), or a list of addresses. Those with a `?`
 * may be left out and are then 0.
 */
type Parameter = 'address' | 'address?' | 'integer' | 'integer?' | 'float' | AddressList;

/** Parameters by name, in the order in which the WebAssembly function takes them. */
export type KernelParameters = Readonly<Record<string, Parameter>>;

/** Parameters as local variables of the function; floats as expressions that read their bits. */
export type LocalsOf<P extends KernelParameters> = {
  readonly [K in keyof P]: P[K] extends AddressList
    ? readonly Local<'i32'>[]
    : P[K] extends 'float'
      ? Expression<'f32'>
      : Local<'i32'>;
};

/** What a call gives for a parameter. */
type Argument<T extends Parameter, Address> = T extends AddressList
  ? readonly Address[]
  : T extends 'address' | 'address?'
    ? Address
    : number;

/** The arguments of a call, by name. An `Address` is a number, or a pointer into memory that is not laid out yet. */
export type ArgumentsOf<P extends KernelParameters, Address = number> = {
  readonly [K in keyof P as P[K] extends `${string}?` ? never : K]: Argument<P[K], Address>;
} & {
  readonly [K in keyof P as P[K] extends `${string}?` ? K : never]?: Argument<P[K], Address>;
};

/** What a kernel is generated for. */
export interface Variant<S> {
  readonly engine: Engine;
  readonly shape: S;
}

/** A kernel: its parameters, and how its function is written for an engine and a shape. */
export interface Kernel<S, P extends KernelParameters> {
  /** Distinguishes kernels: functions of one name and equal shapes are the same. */
  readonly name: string;
  readonly parameters: P;
  readonly build: (f: FunctionBuilder, p: LocalsOf<P>, variant: Variant<S>) => void;
}

/** A kernel, with the types of its shape and its parameters inferred. */
export const defineKernel = <S, P extends KernelParameters>(kernel: Kernel<S, P>): Kernel<S, P> => kernel;

/** Number of i32 that a parameter takes. */
const sizeOf = (parameter: Parameter): number => (typeof parameter === 'string' ? 1 : parameter.most);

/** A function of `count` i32 parameters, of which the first have names. */
export function buildFunction<P extends KernelParameters>(
  parameters: P,
  count: number,
  build: (f: FunctionBuilder, p: LocalsOf<P>) => void,
): FunctionBuilder {
  const f = new FunctionBuilder(count);
  let next = 0;
  const locals = Object.entries(parameters).map(([name, parameter]) => {
    const first = next;
    next += sizeOf(parameter);
    if (parameter === 'float') return [name, f32.fromBits(f.parameters[first]!)];
    return [name, typeof parameter === 'string' ? f.parameters[first] : f.parameters.slice(first, next)];
  });
  if (next > count) throw new Error(`A function of ${count} parameters cannot have ${next}.`);
  build(f, Object.fromEntries(locals) as LocalsOf<P>);
  return f;
}

/** Generates a kernel's function. */
export const kernelFunction = <S, P extends KernelParameters>(
  { parameters, build }: Kernel<S, P>,
  variant: Variant<NoInfer<S>>,
): FunctionBuilder => buildFunction(parameters, PARAMETERS, (f, p) => build(f, p, variant));

/** The bits of a float32 as an integer. */
const float32Bits = (value: number): number => new Int32Array(Float32Array.of(value).buffer)[0]!;

/** The arguments of a call in the order in which the kernel's function takes them. */
export function argumentsOf<P extends KernelParameters, Address = number>(
  kernel: { readonly parameters: P },
  args: NoInfer<ArgumentsOf<P, Address>>,
): readonly (Address | number)[];
export function argumentsOf(
  { parameters }: { readonly parameters: KernelParameters },
  args: Readonly<Record<string, unknown>>,
): readonly unknown[] {
  return Object.entries(parameters).flatMap(([name, parameter]) => {
    const given = args[name];
    if (parameter === 'float') return [float32Bits(given as number)];
    const list: readonly unknown[] = Array.isArray(given) ? given : [given];
    const size = sizeOf(parameter);
    if (list.length > size) throw new RangeError(`${name}: ${list.length} arguments, at most ${size} fit.`);
    return Array.from({ length: size }, (_, index) => list[index] ?? 0);
  });
}

/** a * b + c as the engine does it best. */
export const multiplyAdd = ({ fma }: Engine, a: V128, b: V128, c: V128): V128 =>
  fma ? f32x4.relaxedMadd(a, b, c) : f32x4.add(f32x4.mul(a, b), c);
