/**
 * What a convolution costs, as far as that decides how it is computed:
 *
 *     seconds = multiplications / rate + bytes of weights / bandwidth + values transformed / rate
 *
 * The sum, not the largest: weights of late layers come from memory before the products that need them, and
 * nothing else is done meanwhile (measured on ResNet-18's 7x7 layers: F(2x2) takes 0.6 ms of products
 * and 0.55 ms of weights, 1.05 to 1.2 ms in all). What activations move is left out: it is hidden by the
 * arithmetic, or the same whichever way is chosen. `packages/bench/src/costModel.ts` prints what is expected
 * here beside what each layer takes inside its network.
 */
import type { Engine } from '../engine.js';
import { FLOAT } from '../kernels/kernel.js';
import { winograd } from '../kernels/winograd.js';

/**
 * Cores that the model counts on. Not the number of threads: what is chosen changes the last digits of the
 * result, which must not depend on it.
 */
const CORES = 2;

/** Bytes a second that weights come in at, from memory or the last cache, for all cores together. */
const BANDWIDTH = 30e9;

/** Bytes of transformed weights that all cores make in a second. */
const TRANSFORMED = 10e9;

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
}

/** Seconds of products. Tiles with less than four rows leave parts of the machine idle: 2 rows reach three fifths. */
export function productSeconds(engine: Engine, { pixels, count = 1, inner, columns }: ProductCost): number {
  const full = Math.min(1, (1 + pixels) / 5);
  const operations = 2 * count * pixels * inner * columns;
  const weightBytes = count * inner * columns * FLOAT;
  return operations / (ratesOf(engine).product * full * CORES) + weightBytes / BANDWIDTH;
}

/**
 * Seconds of a convolution in groups, row by row. It has fewer sums under way than a product's tile has: ResNeXt-50's
 * layers of 56x56 and 28x28 pixels reach 0.85 of its rate.
 */
export const groupedSeconds = (engine: Engine, { pixels, count = 1, inner, columns }: ProductCost): number =>
  productSeconds(engine, { pixels, count, inner, columns }) +
  (2 * pixels * count * inner * columns * (1 / 0.85 - 1)) / (ratesOf(engine).product * CORES);

/** A 3x3 convolution of stride 1: its output's extents and its channels. */
export interface ConvolutionCost {
  readonly n: number;
  readonly h: number;
  readonly w: number;
  readonly channels: number;
  readonly out: number;
  /** Whether the weights change, and so are transformed in every run. */
  readonly changing: boolean;
}

/** Seconds of Winograd's method with tiles of `outputs` x `outputs`. */
export function winogradSeconds(
  engine: Engine,
  outputs: 2 | 4,
  { n, h, w, channels, out, changing }: ConvolutionCost,
): number {
  const products = winograd[outputs].inputs ** 2;
  const tiles = n * Math.ceil(h / outputs) * Math.ceil(w / outputs);
  const { input, output } = ratesOf(engine).transform[outputs];
  const transforms = (tiles * products * (channels / input + out / output)) / CORES;
  const weights = changing ? (products * channels * out * FLOAT) / TRANSFORMED : 0;
  return (
    weights +
    transforms +
    productSeconds(engine, { pixels: tiles, count: products, inner: channels, columns: out })
  );
}

/** The fastest way: outputs of Winograd's tiles, or undefined for the direct one. */
export function fastestWay(engine: Engine, convolution: ConvolutionCost): 2 | 4 | undefined {
  const { n, h, w, channels, out } = convolution;
  const direct = { pixels: n * h * w, inner: 9 * channels, columns: out };
  const ways = [
    { outputs: undefined, seconds: productSeconds(engine, direct) },
    { outputs: 2, seconds: winogradSeconds(engine, 2, convolution) },
    { outputs: 4, seconds: winogradSeconds(engine, 4, convolution) },
  ] as const;
  return ways.reduce((best, way) => (way.seconds < best.seconds ? way : best)).outputs;
}

/** What it takes to begin and end a tile of a product, in steps of its inner dimension. */
const OVERHEAD = 8;

/**
 * The fastest way to the gradient of a weight: outputs of Winograd's tiles, or undefined for the direct one.
 * Its products sum over tiles instead of channels, and short sums spend part of their time on beginning and ending.
 */
export function fastestGradient(
  engine: Engine,
  { n, h, w, channels, out }: Omit<ConvolutionCost, 'changing'>,
): 2 | 4 | undefined {
  const { product, transform } = ratesOf(engine);
  const multiplied = (products: number, inner: number): number =>
    (2 * products * (inner + OVERHEAD) * channels * out) / product;
  const by = (outputs: 2 | 4) => {
    const products = winograd[outputs].inputs ** 2;
    const tiles = n * Math.ceil(h / outputs) * Math.ceil(w / outputs);
    const { input, output } = transform[outputs];
    const transformed = tiles * products * (channels + out);
    const finished = products * channels * out;
    return { outputs, seconds: multiplied(products, tiles) + transformed / input + finished / output };
  };
  const ways = [{ outputs: undefined, seconds: multiplied(9, n * h * w) }, by(2), by(4)] as const;
  return ways.reduce((best, way) => (way.seconds < best.seconds ? way : best)).outputs;
}
