/** Pointwise kernels: functions of each channel of each pixel, followed by an activation. */
import type { Activation } from '../../../../ops/activation.js';
import { f32x4, type Local, type V128, v128 } from '../../codegen/index.js';
import { addressList, defineKernel, multiplyAdd, type Variant, VECTOR } from '../../codegen/kernel.js';
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
    const addresses = starts.map((_, index) => f.pointer(`operand ${index}`));
    const y = f.pointer('y');
    const results = f.vectors('result', 2);
    const operand = (index: number, v: number): V128 =>
      operands[index]!.scalar ? v128.loadSplat(addresses[index]!) : v128.load(addresses[index]!, v * VECTOR);
    const value = (v: number): V128 => {
      switch (compute) {
        case 'copy':
          return operand(0, v);
        case 'add':
          return f32x4.add(operand(0, v), operand(1, v));
        case 'mul':
          return f32x4.mul(operand(0, v), operand(1, v));
        case 'affine':
          return multiplyAdd(engine, operand(0, v), operand(1, v), operand(2, v));
        case 'affine2': {
          const second = multiplyAdd(engine, operand(1, v), operand(3, v), operand(4, v));
          return multiplyAdd(engine, operand(0, v), operand(2, v), second);
        }
      }
    };
    const setAll = (to: readonly Local<'i32'>[], from: readonly Local<'i32'>[]): void => {
      for (const [index, address] of to.entries()) f.set(address, from[index]!);
    };
    f.repeat(p.pixels, () => {
      setAll([...addresses, y], [...starts, p.y]);
      f.repeat(p.groups, () => {
        for (const [v, result] of results.entries()) f.set(result, value(v));
        applyActivation(f, engine, activation, results);
        for (const [v, result] of results.entries()) f.store(y, result, v * VECTOR);
        for (const [index, address] of addresses.entries())
          if (!operands[index]!.scalar) f.advance(address, 2 * VECTOR);
        f.advance(y, 2 * VECTOR);
      });
      for (const [index, { pixel: stride }] of operands.entries()) f.advance(starts[index]!, stride);
      f.advance(p.y, pixel);
    });
  },
});
