/**
 * Detects the features of the WebAssembly engine with `WebAssembly.validate` and chooses register tiles that
 * suit it. Nothing depends on the name of a browser.
 */
import { buildModule, type Expression, FunctionBuilder, f32x4, v128 } from './index.js';

/** The instructions and tile sizes for which kernels are generated. */
export interface Engine {
  /** True to multiply and add in one instruction (relaxed SIMD), false for two. */
  readonly fma: boolean;
  /** True if the engine makes one 256-bit operation of two adjacent 128-bit ones: see `enableWideSimd`. */
  readonly wide: boolean;
  /** Most output pixels in a register tile of a matmul. */
  readonly tileRows: number;
  /** Output channels in a register tile: the width of a panel of packed weights. */
  readonly tileColumns: number;
  /** Iterations of a matmul's innermost loop that are unrolled. */
  readonly unroll: number;
}

/** Features of an engine. */
export interface Features {
  /** 128-bit SIMD. */
  readonly simd: boolean;
  /** Relaxed SIMD, with fused multiply-add. */
  readonly relaxedSimd: boolean;
  /** 64-bit memories, which came with compilers (in V8: Turboshaft) that gain from unrolled loops. */
  readonly memory64: boolean;
  /** Memory shared between threads, and atomics. */
  readonly threads: boolean;
}

/** True if the engine validates a function that computes the value. */
const accepts = (value: Expression<'v128'>): boolean => {
  const f = new FunctionBuilder(0);
  f.store(0, value);
  return WebAssembly.validate(
    buildModule({ functions: [f], exports: {}, memory: { pages: 1, shared: false } }),
  );
};

/** A module with one 64-bit memory and nothing else. */
const memory64Module = new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 5, 3, 1, 4, 1]);

/** Detects the engine's features. Not cached, since V8's flags can change while a process runs. */
export function detectFeatures(): Features {
  if (typeof WebAssembly === 'undefined')
    return { simd: false, relaxedSimd: false, memory64: false, threads: false };
  const value = v128.load(0);
  return {
    simd: accepts(f32x4.add(value, value)),
    relaxedSimd: accepts(f32x4.relaxedMadd(value, value, value)),
    memory64: WebAssembly.validate(memory64Module),
    threads: typeof SharedArrayBuffer !== 'undefined' && typeof Atomics !== 'undefined' && canShare(),
  };
}

/** True if a shared memory can be allocated: pages need to be cross-origin isolated. */
function canShare(): boolean {
  try {
    return (
      new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }).buffer instanceof SharedArrayBuffer
    );
  } catch {
    return false;
  }
}

/**
 * Returns the register tiles for an engine. The 15 usable vector registers hold the accumulators, a row of B
 * and one value of A. Measured on one core of a Zen 4 with a matmul of 512 x 512 x 512, in GFLOP/s:
 *
 * - 256-bit FMA, 6x16: 104-109
 * - 256-bit mul and add, 5x16: 87-92 (6x16 spills registers: 50)
 * - 128-bit FMA, 6x8: 51-58
 * - 128-bit mul and add, 4x8: 42-46
 *
 * Engines before Turboshaft lose half of their speed if the loop is unrolled: 22-32 instead of 50 with FMA,
 * and instead of 41 without. In 256 bits, unrolling 8 iterations instead of 4 reduces the time of ResNet-50
 * on a Xeon to 0.97.
 * @param wide - true for tiles of 256-bit operations.
 */
export function engineFor({ relaxedSimd: fma, memory64 }: Features, wide = false): Engine {
  if (wide) return { fma, wide, tileRows: fma ? 6 : 5, tileColumns: 16, unroll: 8 };
  if (!memory64) return { fma, wide, tileRows: 4, tileColumns: 8, unroll: 1 };
  return { fma, wide, tileRows: fma ? 6 : 4, tileColumns: 8, unroll: 4 };
}
