/** Per-channel sums over pixels (means, variances, gradients of biases and of batch norm), and sums along axes. */
import { f32x4, type V128, v128 } from '../../codegen/index.js';
import { defineKernel, multiplyAdd, type Variant, VECTOR } from '../../codegen/kernel.js';

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
    const [sums, x, dy, mean] = [f.pointer('sums'), f.pointer('x'), f.pointer('dy'), f.pointer('mean')];
    const totals = f.vectors('total', 2);
    const means = f.vectors('mean', 2);
    const values = f.vectors('value', 2);
    const difference = (i: number, v: number): V128 =>
      f32x4.sub(v128.load(x, i * pixel.x + v * VECTOR), means[v]!);
    const addPixels = (count: number): void => {
      f.set(sums, p.sums);
      f.set(x, p.x);
      if (summand === 'product') f.set(dy, p.dy);
      if (summand !== 'value') f.set(mean, p.mean);
      f.repeat(p.groups, () => {
        if (summand !== 'value')
          for (const [v, value] of means.entries()) f.set(value, v128.load(mean, v * VECTOR));
        for (let i = 0; i < count; i++) {
          if (summand === 'square') for (const [v, value] of values.entries()) f.set(value, difference(i, v));
          for (const [v, total] of totals.entries()) {
            const factors: readonly [V128, V128] =
              summand === 'square'
                ? [values[v]!, values[v]!]
                : [difference(i, v), v128.load(dy, i * pixel.dy + v * VECTOR)];
            const loaded = v128.load(x, i * pixel.x + v * VECTOR);
            if (summand === 'value') f.set(total, i === 0 ? loaded : f32x4.add(total, loaded));
            else f.set(total, i === 0 ? f32x4.mul(...factors) : multiplyAdd(engine, ...factors, total));
          }
        }
        for (const [v, total] of totals.entries())
          f.set(total, f32x4.add(total, v128.load(sums, v * VECTOR)));
        for (const [v, total] of totals.entries()) f.store(sums, total, v * VECTOR);
        for (const address of [sums, x]) f.advance(address, 2 * VECTOR);
        if (summand === 'product') f.advance(dy, 2 * VECTOR);
        if (summand !== 'value') f.advance(mean, 2 * VECTOR);
      });
      f.advance(p.x, count * pixel.x);
      if (summand === 'product') f.advance(p.dy, count * pixel.dy);
    };
    f.when(p.first, () => {
      f.set(sums, p.sums);
      f.repeat(p.groups, () => {
        for (const v of [0, 1]) f.store(sums, f32x4.const(0), v * VECTOR);
        f.advance(sums, 2 * VECTOR);
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
    const at = f.pointer('at');
    const totals = f.vectors('total', 2);
    f.repeat(p.groups, () => {
      f.set(at, p.from);
      for (const total of totals) f.set(total, f32x4.const(0));
      f.repeat(parts, () => {
        for (const [v, total] of totals.entries()) f.set(total, f32x4.add(total, v128.load(at, v * VECTOR)));
        f.advance(at, partBytes);
      });
      for (const [v, total] of totals.entries()) {
        const scaled = f32x4.mul(total, f32x4.splat(p.factor));
        f.set(
          total,
          eps === undefined
            ? scaled
            : f32x4.div(scaled, f32x4.sqrt(f32x4.add(v128.load(p.variance, v * VECTOR), f32x4.const(eps)))),
        );
      }
      for (const [v, total] of totals.entries()) f.store(p.y, total, v * VECTOR);
      for (const address of [p.from, p.y]) f.advance(address, 2 * VECTOR);
      if (eps !== undefined) f.advance(p.variance, 2 * VECTOR);
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
    const [sum] = f.vectors('sum', 1);
    const at = f.pointer('at');
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
