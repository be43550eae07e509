/**
 * Gradients of activations: dy times the slope at x. NaN in dy gives NaN. NaN in x gives NaN for hardSwish, tanh,
 * sigmoid and silu; relu, relu6, leakyRelu and hardSigmoid use their slope at large negative x.
 */
import type { Activation } from '../../../../ops/activation.js';
import { formulaOf } from '../../../../pointwise/activations.js';
import { input, mul } from '../../../../pointwise/expression.js';
import { f32x8 } from '../../codegen/index.js';
import { BLOCK_BYTES, defineKernel, type Variant } from '../../codegen/kernel.js';
import { setPointwise } from '../../codegen/pointwise.js';

/** Activation, and pixel strides in bytes. */
export interface ActivationGradientShape {
  readonly activation: Activation;
  readonly pixel: { readonly dy: number; readonly x: number; readonly dx: number };
}

/** Computes dx = dy times the slope at x, pixel by pixel. */
export const activationGradient = defineKernel({
  name: 'activation gradient',
  parameters: {
    /** Address of the first pixel of dy. */
    dy: 'address',
    /** Address of the first pixel of x. */
    x: 'address',
    /** Address of the first pixel of dx. */
    dx: 'address',
    /** Number of pixels. */
    pixels: 'integer',
    /** Number of channel blocks, of eight channels each. */
    groups: 'integer',
  },
  build(f, p, { engine, shape: { activation, pixel } }: Variant<ActivationGradientShape>) {
    const [dy, x, dx] = [f.pointer(), f.pointer(), f.pointer()];
    const value = f.f32x8();
    const result = f.f32x8();
    const gradient = mul(input('dy'), formulaOf(activation).slope);
    f.repeat(p.pixels, () => {
      f.set(dy, p.dy);
      f.set(x, p.x);
      f.set(dx, p.dx);
      f.repeat(p.groups, () => {
        f.set(value, f32x8.load(x));
        setPointwise(f, engine, [[gradient, result]], { x: value, dy: f32x8.load(dy) });
        f.store(dx, result);
        for (const address of [dy, x, dx]) f.advance(address, BLOCK_BYTES);
      });
      f.advance(p.dy, pixel.dy);
      f.advance(p.x, pixel.x);
      f.advance(p.dx, pixel.dx);
    });
  },
});
