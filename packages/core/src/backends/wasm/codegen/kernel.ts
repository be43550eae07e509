/**
 * Kernels and their parameters. All kernels have the same WebAssembly type, thirteen i32 parameters, so one
 * indirect call can run any of them from a command list.
 */

import type { Engine } from './engine.js';
import { type Expression, FunctionBuilder, f32, type Local } from './index.js';

/** Number of parameters of every kernel; unused ones are 0. */
export const PARAMETERS = 13;

/** Float32 lanes in a vector of 128 bits. */
export const LANES = 4;

/** Channels of a pixel are padded to a multiple of this: two vectors. */
export const CHANNEL_BLOCK = 8;

/** Bytes of a float32. */
export const FLOAT = 4;

/** Bytes of a channel block. */
export const BLOCK_BYTES = CHANNEL_BLOCK * FLOAT;

/** Bytes of a cache line. */
export const CACHE_LINE = 64;

/** Rounds a number of channels up to whole blocks. */
export const paddedChannels = (channels: number): number =>
  Math.ceil(channels / CHANNEL_BLOCK) * CHANNEL_BLOCK;

/** A parameter of up to `most` addresses, an i32 each. */
export interface AddressList {
  readonly most: number;
}

/** Declares a parameter that is a list of up to `most` addresses. A call may give fewer; the rest are 0. */
export const addressList = (most: number): AddressList => ({ most });

/**
 * A parameter: a byte address, an integer, a float32 (passed as its bits), or a list of addresses. A `?` marks an
 * optional one, which is 0 if left out.
 */
type Parameter = 'address' | 'address?' | 'integer' | 'integer?' | 'float' | AddressList;

/** Parameters by name, in the order of the WebAssembly function's. */
export type KernelParameters = Readonly<Record<string, Parameter>>;

/** Parameters as local variables of the function; floats as expressions that read their bits. */
export type LocalsOf<P extends KernelParameters> = {
  readonly [K in keyof P]: P[K] extends AddressList
    ? readonly Local<'i32'>[]
    : P[K] extends 'float'
      ? Expression<'f32'>
      : Local<'i32'>;
};

/** The argument for a parameter. */
type Argument<T extends Parameter, Address> = T extends AddressList
  ? readonly Address[]
  : T extends 'address' | 'address?'
    ? Address
    : number;

/**
 * The arguments of a call, by name. An `Address` is a number, or a pointer into memory that is not laid out
 * yet.
 */
export type ArgumentsOf<P extends KernelParameters, Address = number> = {
  readonly [K in keyof P as P[K] extends `${string}?` ? never : K]: Argument<P[K], Address>;
} & {
  readonly [K in keyof P as P[K] extends `${string}?` ? K : never]?: Argument<P[K], Address>;
};

/** The engine and the shape that a kernel is generated for. */
export interface Variant<S> {
  readonly engine: Engine;
  /** Constants of the generated code, such as extents and strides. */
  readonly shape: S;
}

/** A kernel: its parameters, and the generator of its code. */
export interface Kernel<S, P extends KernelParameters> {
  /** Unique name: kernels of the same name and equal shapes are generated once. */
  readonly name: string;
  readonly parameters: P;
  /** Generates the code of the function `f` with the parameters `p`. */
  readonly build: (f: FunctionBuilder, p: LocalsOf<P>, variant: Variant<S>) => void;
}

/** Defines a kernel; infers the types of its shape and of its parameters. */
export const defineKernel = <S, P extends KernelParameters>(kernel: Kernel<S, P>): Kernel<S, P> => kernel;

/** Returns the number of i32 that a parameter takes. */
const sizeOf = (parameter: Parameter): number => (typeof parameter === 'string' ? 1 : parameter.most);

/**
 * Builds a function of `count` i32 parameters.
 * @param parameters - names of the first ones.
 * @throws Error if they are more than `count`.
 */
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

/** Returns the bits of a float32 as an integer. */
const float32Bits = (value: number): number => new Int32Array(Float32Array.of(value).buffer)[0]!;

/**
 * Returns the arguments of a call in the order of the WebAssembly function's parameters.
 * @throws RangeError if a list has more addresses than its parameter.
 */
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
