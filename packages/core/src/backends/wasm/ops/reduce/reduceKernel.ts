/** Per-channel sums over pixels (means, variances, gradients of biases and of batch norm), and sums along axes. */
import { f32x4, f32x8, v128 } from '../../codegen/index.js';
import { BLOCK_BYTES, defineKernel, type Variant } from '../../codegen/kernel.js';

/** The summand: `value` x, `square` (x - mean)^2, or `product` dy * (x - mean). */
export type Summand = 'value' | 'square' | 'product';

/** Summand, and pixel strides in bytes. */
export interface SumPixels {
  readonly summand: Summand;
  readonly pixel: { readonly x: number; readonly dy: number };
}

/** Pixels that are added to each other before they are added to the sum: this loses fewer digits. */
const PIXEL_BLOCK = 4;

/** Adds pixels to sums. The loop over pixels is outermost, so that memory is read in address order. */
export const sumPixels = defineKernel({
  name: 'sum pixels',
  parameters: {
    /** Address of the sums, one for each channel. */
    sums: 'address',
    /** Address of the first pixel of x. */
    x: 'address',
    /** Address of the first pixel of dy; read for products only. */
    dy: 'address',
    /** Address of the means, which are subtracted from x in squares and products. */
    mean: 'address?',
    /** Blocks of four pixels: see `pixelCounts`. */
    pixelBlocks: 'integer',
    /** Single pixels after the blocks. */
    singlePixels: 'integer',
    /** Number of channel blocks, of eight channels each. */
    groups: 'integer',
    /** 1 if the sums start at zero, 0 if pixels are added to them. */
    first: 'integer',
  },
  build(f, p, { engine, shape: { summand, pixel } }: Variant<SumPixels>) {
    const [sums, x, dy, mean] = [f.pointer(), f.pointer(), f.pointer(), f.pointer()];
    const [total, means, value] = [f.f32x8(), f.f32x8(), f.f32x8()];
    /** Adds pixel i to the total, or begins the total with it. */
    const addPixel = (i: number): void => {
      const loaded = f32x8.load(x, i * pixel.x);
      if (summand === 'value') {
        f.set(total, i === 0 ? loaded : f32x8.add(total, loaded));
        return;
      }
      const difference = f32x8.sub(loaded, means);
      if (summand === 'square') f.set(value, difference);
      const [a, b] = summand === 'square' ? [value, value] : [difference, f32x8.load(dy, i * pixel.dy)];
      f.set(total, i === 0 ? f32x8.mul(a, b) : f32x8.multiplyAdd(engine, a, b, total));
    };
    const addPixels = (count: number): void => {
      f.set(sums, p.sums);
      f.set(x, p.x);
      if (summand === 'product') f.set(dy, p.dy);
      if (summand !== 'value') f.set(mean, p.mean);
      f.repeat(p.groups, () => {
        if (summand !== 'value') f.set(means, f32x8.load(mean));
        for (let i = 0; i < count; i++) addPixel(i);
        f.set(total, f32x8.add(total, f32x8.load(sums)));
        f.store(sums, total);
        for (const address of [sums, x]) f.advance(address, BLOCK_BYTES);
        if (summand === 'product') f.advance(dy, BLOCK_BYTES);
        if (summand !== 'value') f.advance(mean, BLOCK_BYTES);
      });
      f.advance(p.x, count * pixel.x);
      if (summand === 'product') f.advance(p.dy, count * pixel.dy);
    };
    f.when(p.first, () => {
      f.set(sums, p.sums);
      f.repeat(p.groups, () => {
        f.storeHalves(sums, [f32x4.const(0), f32x4.const(0)]);
        f.advance(sums, BLOCK_BYTES);
      });
    });
    f.repeat(p.pixelBlocks, () => addPixels(PIXEL_BLOCK));
    f.repeat(p.singlePixels, () => addPixels(1));
  },
});

/** Arguments of `sumPixels` for a number of pixels. */
export const pixelCounts = (
  pixels: number,
): { readonly pixelBlocks: number; readonly singlePixels: number } => ({
  pixelBlocks: Math.floor(pixels / PIXEL_BLOCK),
  singlePixels: pixels % PIXEL_BLOCK,
});

/** Partial sums and their optional division. */
export interface FinishSums {
  /** Number of partial sums. */
  readonly parts: number;
  /** Stride of partial sums in bytes. */
  readonly partBytes: number;
  /** If given, sums are divided by sqrt(variance + eps). */
  readonly eps?: number;
}

/** Adds up partial sums and scales the totals. */
export const finishSums = defineKernel({
  name: 'finish sums',
  parameters: {
    /** Address of the first partial sum. */
    from: 'address',
    /** Address of the variances, where `eps` is given. */
    variance: 'address?',
    /** Address of the results, one for each channel. */
    y: 'address',
    /** Factor of the totals. */
    factor: 'float',
    /** Number of channel blocks, of eight channels each. */
    groups: 'integer',
  },
  build(f, p, { shape: { parts, partBytes, eps } }: Variant<FinishSums>) {
    const at = f.pointer();
    const total = f.f32x8();
    f.repeat(p.groups, () => {
      f.set(at, p.from);
      f.set(total, f32x4.const(0));
      f.repeat(parts, () => {
        f.set(total, f32x8.add(total, f32x8.load(at)));
        f.advance(at, partBytes);
      });
      const scaled = f32x8.mul(total, f32x4.splat(p.factor));
      const deviation = (eps: number) => f32x8.sqrt(f32x8.add(f32x8.load(p.variance), f32x4.const(eps)));
      f.set(total, eps === undefined ? scaled : f32x8.div(scaled, deviation(eps)));
      f.store(p.y, total);
      for (const address of [p.from, p.y]) f.advance(address, BLOCK_BYTES);
      if (eps !== undefined) f.advance(p.variance, BLOCK_BYTES);
    });
  },
});

/** Loops over the values of a sum, and strides; all strides in bytes. */
export interface SumValues {
  readonly loops: readonly { readonly count: number; readonly stride: number }[];
  /** Distance between the first values of consecutive sums, and between the sums. */
  readonly from: number;
  readonly to: number;
}

/** Computes sums one value at a time, for rare shapes. */
export const sumValues = defineKernel({
  name: 'sum values',
  parameters: {
    /** Address of the first sum's first value. */
    x: 'address',
    /** Address of the first sum. */
    y: 'address',
    /** Number of sums. */
    count: 'integer',
  },
  build(f, p, { shape: { loops, from, to } }: Variant<SumValues>) {
    const sum = f.local('v128');
    const at = f.pointer();
    /** Runs the loops from `depth` inwards. Returns by how many bytes they advance the address. */
    const nest = (depth: number): number => {
      const loop = loops[depth];
      if (!loop) {
        f.set(sum, f32x4.add(sum, v128.loadZero(at)));
        return 0;
      }
      f.repeat(loop.count, () => f.advance(at, loop.stride - nest(depth + 1)));
      return loop.count * loop.stride;
    };
    f.repeat(p.count, () => {
      f.set(at, p.x);
      f.set(sum, f32x4.const(0));
      nest(0);
      f.storeF32(p.y, f32x4.lane(sum, 0));
      f.advance(p.x, from);
      f.advance(p.y, to);
    });
  },
});
