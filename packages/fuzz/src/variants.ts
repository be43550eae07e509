/** Variants of the wasm back end. */
import { type WasmOptions, wasmBackend } from '@cnn/core';
import type { Variant } from './check.js';

/** Kernel settings that this engine would not choose: other tile sizes, and 256-bit tiles in 128 bits. */
const engines: Readonly<Record<string, NonNullable<WasmOptions['engine']>>> = {
  'tiles of 4x8': { fma: false, wide: false, tileRows: 4, tileColumns: 8, unroll: 1 },
  'unrolled tiles of 6x8': { fma: false, wide: false, tileRows: 6, tileColumns: 8, unroll: 4 },
  'wide tiles of 5x16': { fma: false, wide: true, tileRows: 5, tileColumns: 16, unroll: 4 },
  'wide tiles of 6x16': { fma: false, wide: true, tileRows: 6, tileColumns: 16, unroll: 8 },
};

/**
 * Returns the wasm back end on one, two and three threads, which must be bit-identical, and with other
 * kernels.
 */
export function wasmVariants(seed: number): readonly Variant[] {
  const names = Object.keys(engines);
  const name = names[seed % names.length]!;
  return [
    { name: 'wasm on the calling thread', backend: wasmBackend({ workers: false }) },
    { name: 'wasm on 2 threads', backend: wasmBackend(), compile: { threads: 2 }, sameBits: true },
    { name: 'wasm on 3 threads', backend: wasmBackend(), compile: { threads: 3 }, sameBits: true },
    ...(seed % 4 === 0
      ? [
          {
            name: 'wasm in a worker without shared memory',
            backend: wasmBackend({ sharedMemory: false }),
            sameBits: true,
          },
        ]
      : []),
    { name: `wasm with ${name}`, backend: wasmBackend({ workers: false, engine: engines[name]! }) },
  ];
}
