/** For tests: runs kernels on a memory of their own, and says which engines to try. */

import { CONSTANTS, CONSTANTS_AT } from '../codegen/constants.js';
import { detectFeatures, type Engine } from '../codegen/engine.js';
import { buildModule, type FunctionBuilder } from '../codegen/index.js';
import {
  type ArgumentsOf,
  argumentsOf,
  FLOAT,
  type Kernel,
  type KernelParameters,
  kernelFunction,
  type Variant,
} from '../codegen/kernel.js';

/** Every kind of engine that can be tried here: mul and add, FMA where there is one, wide tiles (in 128 bits). */
export function enginesToTry(): readonly (readonly [string, Engine])[] {
  const { relaxedSimd } = detectFeatures();
  const plain = { fma: false, wide: false, tileRows: 4, tileColumns: 8, unroll: 1 };
  return [
    ['plain', plain],
    ['unrolled', { ...plain, tileRows: 6, unroll: 4 }],
    ['wide tiles', { ...plain, wide: true, tileRows: 5, tileColumns: 16, unroll: 4 }],
    ...(relaxedSimd ? ([['fma', { ...plain, fma: true, tileRows: 6, unroll: 4 }]] as const) : []),
  ];
}

/** A memory to lay values into, and kernels to run on it. */
export class Bench {
  readonly #memory: WebAssembly.Memory;
  readonly floats: Float32Array;
  #top = 1024;

  constructor(readonly pages = 64) {
    this.#memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    this.floats = new Float32Array(this.#memory.buffer);
    // Whatever a kernel reads without having been given it shows as NaN.
    this.floats.fill(Number.NaN);
    this.floats.set(CONSTANTS, CONSTANTS_AT / FLOAT);
  }

  /** Address of new values, with a gap behind them. */
  put(values: ArrayLike<number>): number {
    const at = this.#top;
    this.floats.set(values, at / FLOAT);
    this.#top += Math.ceil((values.length * FLOAT) / 64) * 64 + 64;
    if (this.#top > this.floats.byteLength) throw new Error('The test needs more pages.');
    return at;
  }

  /** The values at an address. */
  get(at: number, count: number): Float32Array {
    return this.floats.slice(at / FLOAT, at / FLOAT + count);
  }

  /** Calls a kernel. */
  call<S, P extends KernelParameters>(
    kernel: Kernel<S, P>,
    variant: Variant<NoInfer<S>>,
    args: NoInfer<ArgumentsOf<P>>,
  ): void {
    this.run(kernelFunction(kernel, variant), argumentsOf<P>(kernel, args));
  }

  /** Runs a function. */
  run(f: FunctionBuilder, parameters: readonly number[] = []): void {
    const bytes = buildModule({
      functions: [f],
      exports: { kernel: 0 },
      memory: { pages: this.pages, shared: false },
    });
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), {
      env: { memory: this.#memory },
    });
    (exports.kernel as (...parameters: number[]) => void)(...parameters);
  }
}

/** Values in [-1, 1) that depend on the seed. */
export function noise(count: number, seed: number): Float32Array {
  let state = seed >>> 0;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

/** The largest difference of two lists. NaN anywhere gives NaN. */
export const largestDifference = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  if (a.length !== b.length) throw new Error(`Lists of ${a.length} and ${b.length} values.`);
  let largest = 0;
  for (let i = 0; i < a.length; i++) {
    const difference = Math.abs(a[i]! - b[i]!);
    if (!(difference <= largest)) largest = difference;
  }
  return largest;
};
