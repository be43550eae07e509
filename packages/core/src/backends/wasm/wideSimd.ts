/** The opt-in to what V8 has but does not switch on by itself: 256-bit operations, and FMA in Node 20. */

import { builtin } from '../../platform.js';
import { detectFeatures, engineFor } from './codegen/engine.js';
import { buildModule } from './codegen/index.js';
import { argumentsOf, CHANNEL_BLOCK, FLOAT, kernelFunction } from './codegen/kernel.js';
import { type MatrixProduct, matrixProduct } from './ops/matmul/matmulKernel.js';

let wide: boolean | undefined;

/** Whether kernels are generated for 256 bits. */
export const wideSimdEnabled = (): boolean => wide === true;

/**
 * Switches on 256-bit SIMD for this process, where the engine can pair neighbouring 128-bit operations
 * (Node 24 and newer on x64): matrix products become about twice as fast. Call it before the first
 * `compile`. It sets V8's experimental flags `--experimental-wasm-revectorize` and
 * `--experimental-wasm-relaxed-simd`, which hold for the whole process, so it is for programs that own
 * their process. A self-test checks the results, and that they come faster, before it is used.
 * @returns whether kernels are 256 bits wide from now on. False in browsers and where it does not help;
 * Node 20 gains FMA all the same.
 */
export function enableWideSimd(): boolean {
  wide ??= tryWideSimd();
  return wide;
}

function tryWideSimd(): boolean {
  const v8 = builtin<typeof import('node:v8')>('node:v8');
  if (!v8) return false;
  if (!detectFeatures().relaxedSimd) v8.setFlagsFromString('--experimental-wasm-relaxed-simd');
  const features = detectFeatures();
  if (!features.simd || !features.memory64 || process.arch !== 'x64') return false;
  v8.setFlagsFromString('--experimental-wasm-revectorize');
  const [narrow, paired] = [measure(false), measure(true)];
  if (narrow.correct && paired.correct && paired.speed > 1.25 * narrow.speed) return true;
  v8.setFlagsFromString('--no-experimental-wasm-revectorize');
  return false;
}

/** Pixels, inner dimension and columns of the self-test. */
const [PIXELS, INNER, COLUMNS] = [60, 96, 32] as const;

/** Multiplies two small matrices of whole numbers, which has one right result, and says how fast. */
function measure(wideTiles: boolean): { readonly correct: boolean; readonly speed: number } {
  const engine = engineFor(detectFeatures(), wideTiles);
  const panel = engine.tileColumns;
  const product: MatrixProduct = {
    inner: { loops: [], run: INNER },
    tileRows: engine.tileRows,
    panel,
    narrowPanel: 0,
    pixel: { a: INNER * FLOAT, c: COLUMNS * FLOAT, residual: 0 },
    row: { a: 0, c: 0, residual: 0 },
    bias: false,
    residual: false,
  };
  const memory = new WebAssembly.Memory({ initial: 2, maximum: 2 });
  const bytes = buildModule({
    functions: [kernelFunction(matrixProduct, { engine, shape: product })],
    exports: { multiply: 0 },
    memory: { pages: 2, shared: false },
  });
  const { multiply } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } })
    .exports as { readonly multiply: (...parameters: number[]) => void };
  const floats = new Float32Array(memory.buffer);
  const [a, b, c] = [
    CHANNEL_BLOCK,
    CHANNEL_BLOCK + PIXELS * INNER,
    CHANNEL_BLOCK + (PIXELS + COLUMNS) * INNER,
  ];
  const left = (pixel: number, k: number): number => ((pixel * 7 + k * 3) % 11) - 5;
  const right = (k: number, column: number): number => ((k * 5 + column * 13) % 9) - 4;
  for (let pixel = 0; pixel < PIXELS; pixel++)
    for (let k = 0; k < INNER; k++) floats[a + pixel * INNER + k] = left(pixel, k);
  for (let column = 0; column < COLUMNS; column++)
    for (let k = 0; k < INNER; k++)
      floats[b + (column - (column % panel)) * INNER + k * panel + (column % panel)] = right(k, column);
  const parameters = argumentsOf(matrixProduct, {
    a: a * FLOAT,
    b: b * FLOAT,
    c: c * FLOAT,
    rows: 1,
    large: PIXELS / engine.tileRows,
    small: 0,
    panels: COLUMNS / panel,
  });
  const run = (): void => multiply(...parameters);
  let best = Infinity;
  // The engine replaces its first, quick code by the optimised one after some runs.
  for (let round = 0; round < 40; round++) {
    const start = performance.now();
    for (let i = 0; i < 20; i++) run();
    best = Math.min(best, performance.now() - start);
  }
  let correct = true;
  for (let pixel = 0; pixel < PIXELS; pixel++)
    for (let column = 0; column < COLUMNS; column++) {
      let sum = 0;
      for (let k = 0; k < INNER; k++) sum += left(pixel, k) * right(k, column);
      correct &&= floats[c + pixel * COLUMNS + column] === sum;
    }
  return { correct, speed: 1 / best };
}
