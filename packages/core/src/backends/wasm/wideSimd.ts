/** Opt-in to features that V8 has but does not enable by default: 256-bit operations, and FMA in Node 20. */

import { builtin } from '../../platform.js';
import { detectFeatures, engineFor } from './codegen/engine.js';
import { buildModule } from './codegen/index.js';
import { argumentsOf, CHANNEL_BLOCK, FLOAT, kernelFunction } from './codegen/kernel.js';
import { type MatmulShape, matmulKernel } from './ops/matmul/matmulKernel.js';

/** Undefined until `enableWideSimd` has been called. */
let wide: boolean | undefined;

/** True if kernels are generated for 256 bits. */
export const wideSimdEnabled = (): boolean => wide === true;

/**
 * Enables 256-bit SIMD for this process, if the engine can pair neighbouring 128-bit operations (Node 24 and
 * newer on x64). Matmuls become about twice as fast. Call it before the first `compile`. It sets V8's
 * experimental flags `--experimental-wasm-revectorize` and `--experimental-wasm-relaxed-simd`, which hold for
 * the whole process, so only programs that own their process should call it. Before it is used, a self-test
 * checks that results are right and faster.
 * @returns true if kernels use 256 bits from this call on. False in browsers and where it does not help; Node
 *   20 gains FMA even so.
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

/** Rows, inner dimension and columns of the matmul of the self-test. */
const [PIXELS, INNER, COLUMNS] = [60, 96, 32] as const;

/**
 * Multiplies two small matrices of integers, whose product is exact, and measures the time.
 * @param wideTiles - true for tiles of 256-bit operations.
 * @returns whether the product is right, and the inverse of the best time.
 */
function measure(wideTiles: boolean): { readonly correct: boolean; readonly speed: number } {
  const engine = engineFor(detectFeatures(), wideTiles);
  const panel = engine.tileColumns;
  const shape: MatmulShape = {
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
    functions: [kernelFunction(matmulKernel, { engine, shape })],
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
  const parameters = argumentsOf(matmulKernel, {
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
  // The engine runs baseline code first and replaces it by optimised code after some calls.
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
