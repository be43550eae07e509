/** Pointwise kernels: functions of each channel of each pixel, followed by an activation. */
import type { Activation } from '../../../../ops/activation.js';
import { type F32x8Operand, f32x8, type Local, v128 } from '../../codegen/index.js';
import { addressList, BLOCK_BYTES, defineKernel, type Variant } from '../../codegen/kernel.js';
import { applyActivation } from './activationKernel.js';

/**
 * The function of operands a, b, c, d, e: `copy` a, `add` a + b, `mul` a * b, `affine` a * b + c,
 * `affine2` a * c + b * d + e.
 */
export type PointwiseFunction = 'copy' | 'add' | 'mul' | 'affine' | 'affine2';

/** An operand of a pointwise kernel. */
export interface PointwiseOperand {
  /** Pixel stride in bytes; 0 if all pixels read the same values. */
  readonly pixel: number;
  /** True if one value per pixel is broadcast to all channels. */
  readonly scalar?: boolean;
}

/** Function, operands and layout of a pointwise kernel. */
export interface PointwiseShape {
  readonly compute: PointwiseFunction;
  readonly operands: readonly PointwiseOperand[];
  /** Pixel stride of y in bytes. */
  readonly pixel: number;
  readonly activation?: Activation;
}

/** Operands of the function that has most: `affine2`. */
const MAX_OPERANDS = 5;

/** Computes y from the operands, pixel by pixel. */
export const pointwiseKernel = defineKernel({
  name: 'pointwise',
  parameters: {
    /** Address of the first pixel of y. */
    y: 'address',
    /** Addresses of each operand's first pixel. */
    operands: addressList(MAX_OPERANDS),
    /** Number of pixels. */
    pixels: 'integer',
    /** Number of channel blocks, of eight channels each. */
    groups: 'integer',
  },
  build(f, p, { engine, shape }: Variant<PointwiseShape>) {
    const { operands, pixel, compute, activation } = shape;
    const starts = p.operands.slice(0, operands.length);
    const addresses = starts.map(() => f.pointer());
    const y = f.pointer();
    const result = f.f32x8();
    const operand = (index: number): F32x8Operand =>
      operands[index]!.scalar ? v128.loadSplat(addresses[index]!) : f32x8.load(addresses[index]!);
    const value = (): F32x8Operand => {
      const [a, b, c, d, e] = operands.map((_, index) => operand(index));
      switch (compute) {
        case 'copy':
          return a!;
        case 'add':
          return f32x8.add(a!, b!);
        case 'mul':
          return f32x8.mul(a!, b!);
        case 'affine':
          return f32x8.multiplyAdd(engine, a!, b!, c!);
        case 'affine2':
          return f32x8.multiplyAdd(engine, a!, c!, f32x8.multiplyAdd(engine, b!, d!, e!));
      }
    };
    const setAll = (to: readonly Local<'i32'>[], from: readonly Local<'i32'>[]): void => {
      for (const [index, address] of to.entries()) f.set(address, from[index]!);
    };
    f.repeat(p.pixels, () => {
      setAll([...addresses, y], [...starts, p.y]);
      f.repeat(p.groups, () => {
        f.set(result, value());
        applyActivation(f, engine, activation, result);
        f.store(y, result);
        for (const [index, address] of addresses.entries())
          if (!operands[index]!.scalar) f.advance(address, BLOCK_BYTES);
        f.advance(y, BLOCK_BYTES);
      });
      for (const [index, { pixel: stride }] of operands.entries()) f.advance(starts[index]!, stride);
      f.advance(p.y, pixel);
    });
  },
});
