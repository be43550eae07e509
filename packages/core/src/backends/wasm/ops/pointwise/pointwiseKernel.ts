/** Elementwise kernels: whatever maps the channels of a pixel one by one, over any number of pixels. */
import type { Activation } from '../../../../ops/activation.js';
import { f32x4, type Local, type V128, v128 } from '../../codegen/index.js';
import { addressList, defineKernel, multiplyAdd, type Variant, VECTOR } from '../../codegen/kernel.js';
import { applyActivation } from './activationKernel.js';

/**
 * What is computed of the operands. `affine` is the first times the second plus the third, `affine2` the first
 * times the third plus the second times the fourth plus the fifth.
 */
export type PixelwiseFunction = 'copy' | 'add' | 'mul' | 'affine' | 'affine2';

/** An operand: bytes from one pixel to the next (0: the same for all), and whether it is one value for all channels. */
export interface PixelwiseOperand {
  readonly pixel: number;
  readonly single?: boolean;
}

/** Everything that is fixed when the kernel is generated. */
export interface Pixelwise {
  readonly compute: PixelwiseFunction;
  readonly operands: readonly PixelwiseOperand[];
  /** Bytes from one pixel of y to the next. */
  readonly pixel: number;
  readonly activation?: Activation;
}

/** The most operands that a function has. */
const MOST_OPERANDS = 5;

/** Computes y of the operands, pixel by pixel. */
export const pixelwise = defineKernel({
  name: 'pixelwise',
  parameters: {
    /** Address of the first pixel of y. */
    y: 'address',
    /** Addresses of each operand's first pixel. */
    operands: addressList(MOST_OPERANDS),
    /** Number of pixels. */
    pixels: 'integer',
    /** Pairs of vectors in a pixel: channels divided by eight. */
    groups: 'integer',
  },
  build(f, p, { engine, shape }: Variant<Pixelwise>) {
    const { operands, pixel, compute, activation } = shape;
    const starts = p.operands.slice(0, operands.length);
    const addresses = starts.map((_, index) => f.pointer(`operand ${index}`));
    const y = f.pointer('y');
    const results = f.vectors('result', 2);
    const operand = (index: number, v: number): V128 =>
      operands[index]!.single ? v128.loadSplat(addresses[index]!) : v128.load(addresses[index]!, v * VECTOR);
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
          const rest = multiplyAdd(engine, operand(1, v), operand(3, v), operand(4, v));
          return multiplyAdd(engine, operand(0, v), operand(2, v), rest);
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
          if (!operands[index]!.single) f.advance(address, 2 * VECTOR);
        f.advance(y, 2 * VECTOR);
      });
      for (const [index, { pixel: step }] of operands.entries()) f.advance(starts[index]!, step);
      f.advance(p.y, pixel);
    });
  },
});
