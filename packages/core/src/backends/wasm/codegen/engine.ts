/**
 * What the WebAssembly engine at hand can do, found by asking it (`WebAssembly.validate`), and the tile
 * sizes that suit it. Nothing here looks at the name of a browser.
 */
import { buildModule, type Expression, FunctionBuilder, f32x4, v128 } from './index.js';

/** How kernels are generated. */
export interface Engine {
  /** Multiply and add in one instruction (relaxed SIMD); otherwise two. */
  readonly fma: boolean;
  /** Adjacent 128-bit operations become 256-bit ones: see `enableWideSimd`. */
  readonly wide: boolean;
  /** Output pixels that one micro-kernel computes together, at most. */
  readonly tileRows: number;
  /** Output channels that it computes together: the width of a panel of packed weights. */
  readonly tileColumns: number;
  /** How often the innermost loop of a matrix product is unrolled. */
  readonly unroll: number;
}

/** What can be asked of an engine. */
export interface Features {
  readonly simd: boolean;
  readonly relaxedSimd: boolean;
  /** 64-bit memories, which came with the compiler generation (in V8: Turboshaft) that likes unrolled loops. */
  readonly memory64: boolean;
  /** Memory shared between threads. */
  readonly threads: boolean;
}

const accepts = (value: Expression<'v128'>): boolean => {
  const f = new FunctionBuilder(0);
  f.store(0, value);
  return WebAssembly.validate(
    buildModule({ functions: [f], exports: {}, memory: { pages: 1, shared: false } }),
  );
};

/** A module of nothing but one 64-bit memory. */
const memory64Module = new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 5, 3, 1, 4, 1]);

/** Asks the engine. Flags set while the program runs count too, so the answer is not kept. */
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
 * The tiles for an engine. Measured on Zen 4, GFLOP/s of one core on a 512 cubed product:
 * 256-bit FMA 6x16 104-109; 256-bit mul and add 5x16 87-92 (6x16 spills: 50); 128-bit FMA 6x8 51-58;
 * 128-bit mul and add 4x8 42-46. Engines before Turboshaft lose half when the loop is unrolled (22-32
 * against 50 for FMA, 41 without). The 15 usable vector registers hold the accumulators, a row of B and one value of A.
 * On a Xeon ResNet-50 takes 0.97 of its time in 256 bits with 8 steps instead of 4.
 */
export function engineFor({ relaxedSimd: fma, memory64 }: Features, wide = false): Engine {
  if (wide) return { fma, wide, tileRows: fma ? 6 : 5, tileColumns: 16, unroll: 8 };
  if (!memory64) return { fma, wide, tileRows: 4, tileColumns: 8, unroll: 1 };
  return { fma, wide, tileRows: fma ? 6 : 4, tileColumns: 8, unroll: 4 };
}
