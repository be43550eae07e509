/**
 * Cost model that chooses the algorithm of a convolution:
 *
 *     seconds = FLOPs / (FLOP/s) + bytes of weights / (bytes/s) + values transformed / (values/s)
 *
 * Arithmetic and reading of weights add up because a matrix product waits for its weights and does nothing
 * else meanwhile. Matrix products that prefetch their weights take the maximum of both instead: F(2x2) of
 * ResNet-18's 7x7 layers has 0.6 ms of arithmetic and 0.55 ms of weights, and takes 1.15 ms without
 * prefetching, 0.9 to 1.05 ms with it. The traffic of activations is left out: arithmetic hides it, or it is
 * the same for all algorithms. `packages/bench/src/costModel.ts` prints the expected beside the measured time
 * of each layer of a network.
 */
import type { Engine } from '../../codegen/engine.js';
import { FLOAT } from '../../codegen/kernel.js';
import { STREAMED_WEIGHT_BYTES, shouldPrefetch } from '../matmul/prefetch.js';
import { elementCount, type WinogradMethod, winogradAlgorithms } from './winograd/transforms.js';

/**
 * Number of cores that the model assumes. The number of threads is not used: the choice of the algorithm
 * changes the last digits of the result, which must not depend on the number of threads.
 */
const CORES = 2;

/** Maximum bytes of transformed weights that every thread reads again for each of its blocks of tiles. */
export const SHARED_WEIGHTS = 1.5e6;

/** Bandwidth of weights from memory or the last-level cache, in bytes/s, of all cores together. */
const BANDWIDTH = 30e9;

/**
 * Cost factor of prefetched weights: prefetching stores to their cache lines, which are then written back.
 */
const PREFETCH_COST = 1.5;

/**
 * Rates of the Winograd transform of weights and of packing weights, in bytes/s written, of all cores
 * together.
 */
const TRANSFORM_BANDWIDTH = 20e9;
const PACKING_BANDWIDTH = 10e9;

/** Rates of one core. */
interface Rates {
  /** FLOP/s of a matrix product with full tiles. */
  readonly matmul: number;
  /** Values/s of the Winograd transforms: written by the input transform, read by the output transform. */
  readonly transform: {
    readonly [M in 'f2x2' | 'f4x4']: { readonly input: number; readonly output: number };
  };
}

/**
 * Rates measured on a Xeon of 2.6 GHz. With wide SIMD: in Node 24. Without: the rate with FMA in Node 24; the
 * transforms are between the values of Node 20 and Node 24.
 */
function ratesOf({ wide, fma }: Engine): Rates {
  if (wide)
    return {
      matmul: fma ? 112e9 : 90e9,
      transform: { f2x2: { input: 9.8e9, output: 20e9 }, f4x4: { input: 6e9, output: 11.5e9 } },
    };
  return {
    matmul: fma ? 52e9 : 42e9,
    transform: { f2x2: { input: 8.5e9, output: 14e9 }, f4x4: { input: 4.6e9, output: 7e9 } },
  };
}

/** Extents of matrix products C = A B, where B holds the weights. */
export interface MatmulCost {
  /** Rows of A. */
  readonly pixels: number;
  /** Number of matrix products, each with weights of its own; default 1. */
  readonly count?: number;
  readonly inner: number;
  readonly columns: number;
  /**
   * True if the weights are constant and come from memory: they are prefetched if there are enough pixels.
   */
  readonly prefetched?: boolean;
}

/**
 * Seconds of matrix products. Tiles with fewer than four rows do not keep the multipliers busy: 2 rows reach
 * 3/5 of the rate.
 */
export function matmulSeconds(
  engine: Engine,
  { pixels, count = 1, inner, columns, prefetched }: MatmulCost,
): number {
  const utilisation = Math.min(1, (1 + pixels) / 5);
  const operations = 2 * count * pixels * inner * columns;
  const arithmetic = operations / (ratesOf(engine).matmul * utilisation * CORES);
  const reading = (count * inner * columns * FLOAT) / BANDWIDTH;
  const hidden = prefetched && shouldPrefetch(engine, Math.ceil(pixels / engine.tileRows));
  return hidden ? Math.max(arithmetic, PREFETCH_COST * reading) : arithmetic + reading;
}

/** Fraction of the rate of a matrix product that the row-wise grouped convolution reaches. */
const GROUPED_EFFICIENCY = 0.85;

/**
 * Seconds of a grouped convolution, row-wise. Its kernel has fewer independent accumulators than a matrix
 * product's tile: ResNeXt-50's layers of 56x56 and 28x28 pixels reach 0.85 of the rate.
 */
export const groupedSeconds = (engine: Engine, { pixels, count = 1, inner, columns }: MatmulCost): number =>
  matmulSeconds(engine, { pixels, count, inner, columns }) +
  (2 * pixels * count * inner * columns * (1 / GROUPED_EFFICIENCY - 1)) / (ratesOf(engine).matmul * CORES);

/** A 3x3 convolution: the extents of its output, its channels and its stride. */
export interface ConvolutionCost {
  readonly n: number;
  readonly h: number;
  readonly w: number;
  readonly channels: number;
  readonly out: number;
  /** 1 or 2. */
  readonly stride: number;
  /** True if the weights change, so that every run packs or transforms them. */
  readonly changing: boolean;
  /** True if the rounding error of F(4x4) is too large. */
  readonly precise: boolean;
}

/** Winograd algorithms of a forward pass or weight gradient. */
function methodsFor({ stride, precise }: { stride: number; precise: boolean }): readonly WinogradMethod[] {
  if (stride === 2) return ['f2x2Stride2'];
  return precise ? ['f2x2'] : ['f2x2', 'f4x4'];
}

/** Number of tiles, elements of a transformed tile, and rates of the transforms. */
function tilesOf(engine: Engine, method: WinogradMethod, { n, h, w }: { n: number; h: number; w: number }) {
  const { outputTile } = winogradAlgorithms[method];
  const { transform } = ratesOf(engine);
  return {
    tiles: n * Math.ceil(h / outputTile) * Math.ceil(w / outputTile),
    elements: elementCount(method),
    // The algorithms of stride 2 only add and subtract, as F(2x2) does.
    rates: transform[method === 'f4x4' ? 'f4x4' : 'f2x2'],
  };
}

/** Returns the fastest algorithm; undefined if that is the direct one. */
function fastest(
  direct: number,
  methods: readonly (readonly [WinogradMethod, seconds: number])[],
): WinogradMethod | undefined {
  const [best, seconds] = methods.reduce((a, b) => (b[1] < a[1] ? b : a));
  return seconds < direct ? best : undefined;
}

/** Seconds of a Winograd convolution. */
export function winogradSeconds(
  engine: Engine,
  method: WinogradMethod,
  { n, h, w, channels, out, changing }: Omit<ConvolutionCost, 'stride' | 'precise'>,
): number {
  const { tiles, elements, rates } = tilesOf(engine, method, { n, h, w });
  const transforms = (tiles * elements * (channels / rates.input + out / rates.output)) / CORES;
  const bytes = elements * channels * out * FLOAT;
  const prefetched = !changing && bytes > SHARED_WEIGHTS;
  return (
    (changing ? bytes / TRANSFORM_BANDWIDTH : 0) +
    transforms +
    matmulSeconds(engine, { pixels: tiles, count: elements, inner: channels, columns: out, prefetched })
  );
}

/**
 * Seconds of a direct 3x3 convolution, as an implicit matrix product.
 * @param pixels - number of output pixels.
 */
export function directSeconds(
  engine: Engine,
  pixels: number,
  { channels, out, changing }: Pick<ConvolutionCost, 'channels' | 'out' | 'changing'>,
): number {
  const bytes = 9 * channels * out * FLOAT;
  const prefetched = !changing && bytes > STREAMED_WEIGHT_BYTES;
  const packing = changing ? bytes / PACKING_BANDWIDTH : 0;
  return packing + matmulSeconds(engine, { pixels, inner: 9 * channels, columns: out, prefetched });
}

/**
 * Returns the fastest Winograd algorithm of a forward pass; undefined if the direct convolution is faster.
 */
export const fastestMethod = (engine: Engine, convolution: ConvolutionCost): WinogradMethod | undefined =>
  fastest(
    directSeconds(engine, convolution.n * convolution.h * convolution.w, convolution),
    methodsFor(convolution).map((method) => [method, winogradSeconds(engine, method, convolution)]),
  );

/** Overhead of starting and finishing a tile of a matrix product, in iterations over its inner dimension. */
const TILE_OVERHEAD = 8;

/**
 * Returns the fastest Winograd algorithm of a weight gradient; undefined if the direct weight gradient is
 * faster. The matrix products sum over tiles instead of channels, so the inner dimension can be short, and
 * the overhead of a tile counts.
 */
export function fastestWeightGradient(
  engine: Engine,
  { n, h, w, channels, out, stride }: Omit<ConvolutionCost, 'changing' | 'precise'>,
): WinogradMethod | undefined {
  const arithmetic = (count: number, inner: number): number =>
    (2 * count * (inner + TILE_OVERHEAD) * channels * out) / ratesOf(engine).matmul;
  const withMethod = (method: WinogradMethod) => {
    const { tiles, elements, rates } = tilesOf(engine, method, { n, h, w });
    const tileTransforms = (tiles * elements * (channels + out)) / rates.input;
    const sumTransforms = (elements * channels * out) / rates.output;
    return [method, arithmetic(elements, tiles) + tileTransforms + sumTransforms] as const;
  };
  return fastest(arithmetic(9, n * h * w), methodsFor({ stride, precise: false }).map(withMethod));
}
