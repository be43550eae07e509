/** Generates each kernel once per shape, and makes calls of it from named arguments. */
import type { Engine } from '../codegen/engine.js';
import type { FunctionBuilder } from '../codegen/index.js';
import {
  type ArgumentsOf,
  argumentsOf,
  type Kernel,
  type KernelParameters,
  kernelFunction,
} from '../codegen/kernel.js';
import type { Pointer } from '../memory/region.js';

/** A call of a kernel. */
export interface Call {
  /** Index of the kernel in {@link KernelCache.functions}. */
  readonly kernel: number;
  /** Arguments in the order of the kernel's parameters. Pointers become addresses when memory is laid out. */
  readonly parameters: readonly (number | Pointer)[];
}

/** Makes calls of a kernel from named arguments. Names that are no parameter of the kernel do not compile. */
export type CallMaker<P extends KernelParameters> = <T extends ArgumentsOf<P, Pointer>>(
  args: T & { readonly [K in Exclude<keyof T, keyof P>]: never },
) => Call;

/** The kernels of a plan. */
export class KernelCache {
  /** Generated functions, in the order of the module's function table. */
  readonly functions: FunctionBuilder[] = [];
  readonly #indices = new Map<string, number>();

  /** @param engine - instructions and tile sizes for which kernels are generated. */
  constructor(readonly engine: Engine) {}

  /** Generates a kernel for a shape, once, and returns a function that makes calls of it. */
  kernel<S, P extends KernelParameters>(kernel: Kernel<S, P>, shape: NoInfer<S>): CallMaker<P> {
    const key = `${kernel.name} ${JSON.stringify(shape)}`;
    const index = this.#indices.get(key) ?? this.functions.length;
    if (index === this.functions.length) {
      this.functions.push(kernelFunction(kernel, { engine: this.engine, shape }));
      this.#indices.set(key, index);
    }
    return (args) => ({ kernel: index, parameters: argumentsOf<P, Pointer>(kernel, args) });
  }
}
