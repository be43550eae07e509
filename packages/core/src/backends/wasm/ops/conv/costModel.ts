/**
 * What a convolution costs, as far as that decides how it is computed:
 *
 *     seconds = multiplications / rate + bytes of weights / bandwidth + values transformed / rate
 *
 * The sum, not the largest, where weights come from memory before the products that need them, and nothing else is
 * done meanwhile. Products that ask for their weights ahead take the longer of the two (ResNet-18's 7x7 layers:
 * F(2x2) has 0.6 ms of products and 0.55 ms of weights, and takes 1.15 ms without asking, 0.9 to 1.05 with it).
 * What activations move is left out: it is hidden by the arithmetic, or the same whichever way is chosen.
 * `packages/bench/src/costModel.ts` prints what is expected here beside what each layer takes inside its network.
 */
import type { Engine } from '../../codegen/engine.js';
import { FLOAT } from '../../codegen/kernel.js';
import { STREAMED_WEIGHT_BYTES, shouldPrefetch } from '../matmul/prefetch.js';
import { type WinogradMethod, winograd } from './winograd/transforms.js';

/**
 * Cores that the model counts on. Not the number of threads: what is chosen changes the last digits of the
 * result, which must not depend on it.
 */
const CORES = 2;

/** Transformed weights up to this size are read again by every thread for every block of tiles. */
export const SHARED_WEIGHTS = 1.5e6;

/** Bytes a second that weights come in at, from memory or the last cache, for all cores together. */
const BANDWIDTH = 30e9;

/** How much longer weights take that are asked for ahead: the caches write them back as if they had changed. */
const WRITTEN_BACK = 1.5;

/** Bytes of weights that all cores transform in a second, and pack; counted where they arrive. */
const TRANSFORMED = 20e9;
const PACKED = 10e9;

/** What one core does in a second: see `ratesOf`. */
interface Rates {
  /** Floating-point operations of a matrix product with full tiles. */
  readonly product: number;
  /** Values that Winograd's transforms give (of the input) and take (of the output). */
  readonly transform: { readonly [outputs in 2 | 4]: { readonly input: number; readonly output: number } };
}

/** Measured on a Xeon of 2.6 GHz: Node 24 with wide SIMD; without it, Node 24's FMA and between Node 20 and 24 the transforms. */
function ratesOf({ wide, fma }: Engine): Rates {
  if (wide)
    return {
      product: fma ? 112e9 : 90e9,
      transform: { 2: { input: 9.8e9, output: 20e9 }, 4: { input: 6e9, output: 11.5e9 } },
    };
  return {
    product: fma ? 52e9 : 42e9,
    transform: { 2: { input: 8.5e9, output: 14e9 }, 4: { input: 4.6e9, output: 7e9 } },
  };
}

/** A matrix product as the model sees it. */
export interface ProductCost {
  /** Rows of A that are multiplied with the same weights, and how many such products there are. */
  readonly pixels: number;
  readonly count?: number;
  readonly inner: number;
  readonly columns: number;
  /** Whether weights are asked for ahead if there are enough pixels: those that come from memory and never change. */
  readonly ahead?: boolean;
}

/** Seconds of products. Tiles with less than four rows leave parts of the machine idle: 2 rows reach three fifths. */
export function productSeconds(
  engine: Engine,
  { pixels, count = 1, inner, columns, ahead }: ProductCost,
): number {
  const full = Math.min(1, (1 + pixels) / 5);
  const operations = 2 * count * pixels * inner * columns;
  const computing = operations / (ratesOf(engine).product * full * CORES);
  const reading = (count * inner * columns * FLOAT) / BANDWIDTH;
  const hidden = ahead && shouldPrefetch(engine, Math.ceil(pixels / engine.tileRows));
  return hidden ? Math.max(computing, WRITTEN_BACK * reading) : computing + reading;
}

/**
 * Seconds of a convolution in groups, row by row. It has fewer sums under way than a product's tile has: ResNeXt-50's
 * layers of 56x56 and 28x28 pixels reach 0.85 of its rate.
 */
export const groupedSeconds = (engine: Engine, { pixels, count = 1, inner, columns }: ProductCost): number =>
  productSeconds(engine, { pixels, count, inner, columns }) +
  (2 * pixels * count * inner * columns * (1 / 0.85 - 1)) / (ratesOf(engine).product * CORES);

/** A 3x3 convolution: its output's extents, its channels and its stride. */
export interface ConvolutionCost {
  readonly n: number;
  readonly h: number;
  readonly w: number;
  readonly channels: number;
  readonly out: number;
  /** 1 or 2. */
  readonly stride: number;
  /** Whether the weights change, and so are packed or transformed in every run. */
  readonly changing: boolean;
  /** Whether F(4x4) rounds too much. */
  readonly precise: boolean;
}

/** The instances of Winograd's method for a stride. */
function methodsFor({ stride, precise }: { stride: number; precise: boolean }): readonly WinogradMethod[] {
  if (stride === 2) return ['strided'];
  return precise ? [2] : [2, 4];
}

/** Tiles of an instance, products for each of them, and what its transforms do in a second. */
function tilesOf(engine: Engine, method: WinogradMethod, { n, h, w }: { n: number; h: number; w: number }) {
  const { outputs, products } = winograd[method];
  const { transform } = ratesOf(engine);
  return {
    tiles: n * Math.ceil(h / outputs) * Math.ceil(w / outputs),
    products: products ** 2,
    // The instances of stride 2 transform by sums and differences alone, as F(2x2) does.
    rates: transform[method === 4 ? 4 : 2],
  };
}

/** The way that takes least; undefined if that is the direct one. */
function fastest(
  direct: number,
  methods: readonly (readonly [WinogradMethod, seconds: number])[],
): WinogradMethod | undefined {
  const [best, seconds] = methods.reduce((a, b) => (b[1] < a[1] ? b : a));
  return seconds < direct ? best : undefined;
}

/** Seconds of Winograd's method. */
export function winogradSeconds(
  engine: Engine,
  method: WinogradMethod,
  { n, h, w, channels, out, changing }: Omit<ConvolutionCost, 'stride' | 'precise'>,
): number {
  const { tiles, products, rates } = tilesOf(engine, method, { n, h, w });
  const transforms = (tiles * products * (channels / rates.input + out / rates.output)) / CORES;
  const bytes = products * channels * out * FLOAT;
  const ahead = !changing && bytes > SHARED_WEIGHTS;
  return (
    (changing ? bytes / TRANSFORMED : 0) +
    transforms +
    productSeconds(engine, { pixels: tiles, count: products, inner: channels, columns: out, ahead })
  );
}

/** Seconds of a convolution as a product under a window of nine taps, for so many pixels. */
export function directSeconds(
  engine: Engine,
  pixels: number,
  { channels, out, changing }: Pick<ConvolutionCost, 'channels' | 'out' | 'changing'>,
): number {
  const bytes = 9 * channels * out * FLOAT;
  const ahead = !changing && bytes > STREAMED_WEIGHT_BYTES;
  const packing = changing ? bytes / PACKED : 0;
  return packing + productSeconds(engine, { pixels, inner: 9 * channels, columns: out, ahead });
}

/** The instance of Winograd's method that is the fastest way, or undefined for the direct one. */
export const fastestMethod = (engine: Engine, convolution: ConvolutionCost): WinogradMethod | undefined =>
  fastest(
    directSeconds(engine, convolution.n * convolution.h * convolution.w, convolution),
    methodsFor(convolution).map((method) => [method, winogradSeconds(engine, method, convolution)]),
  );

/** What it takes to begin and end a tile of a product, in steps of its inner dimension. */
const OVERHEAD = 8;

/**
 * The fastest way to the gradient of a weight, as for the convolution itself. Its products sum over tiles instead
 * of channels, and short sums spend part of their time on beginning and ending.
 */
export function fastestGradient(
  engine: Engine,
  { n, h, w, channels, out, stride }: Omit<ConvolutionCost, 'changing' | 'precise'>,
): WinogradMethod | undefined {
  const multiplied = (products: number, inner: number): number =>
    (2 * products * (inner + OVERHEAD) * channels * out) / ratesOf(engine).product;
  const by = (method: WinogradMethod) => {
    const { tiles, products, rates } = tilesOf(engine, method, { n, h, w });
    const transformed = (tiles * products * (channels + out)) / rates.input;
    const finished = (products * channels * out) / rates.output;
    return [method, multiplied(products, tiles) + transformed + finished] as const;
  };
  return fastest(multiplied(9, n * h * w), methodsFor({ stride, precise: false }).map(by));
}
