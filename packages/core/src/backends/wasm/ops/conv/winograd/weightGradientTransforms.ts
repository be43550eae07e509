/**
 * The transforms of Winograd's method that the gradient of a weight needs: those of the pass forwards, transposed.
 * Apart from them, so that a page that only runs networks does not load these.
 */
import { f32x4, type Local } from '../../../codegen/index.js';
import { scaled, type Transform, times, type WinogradMethod } from './transforms.js';

type Vector = Local<'v128'>;

/** What one instance of the method has for gradients. */
interface GradientTransforms {
  /** The output's transform transposed: what the gradient of a tile of outputs is multiplied as. */
  readonly gradient: Transform;
  /** The weights' transform transposed: products of gradients become the gradient of a window. */
  readonly weightGradient: Transform;
}

/** By instance, where gradients of weights are computed that way. */
export const gradientTransforms: { readonly [M in WinogradMethod]?: GradientTransforms } = {
  4: {
    gradient(f, engine, d, t) {
      const [d0, d1, d2, d3] = d as [Vector, Vector, Vector, Vector];
      const [even, odd, outerEven, outerOdd] = t as [Vector, Vector, Vector, Vector];
      f.set(even, f32x4.add(d0, d2));
      f.set(odd, f32x4.add(d1, d3));
      f.set(outerOdd, f32x4.add(d1, d1));
      f.set(outerEven, scaled(f, engine, d2, 4, d0));
      f.set(d1, d3);
      f.set(outerOdd, scaled(f, engine, d1, 8, outerOdd));
      return [
        d0,
        f32x4.add(even, odd),
        f32x4.sub(even, odd),
        f32x4.add(outerEven, outerOdd),
        f32x4.sub(outerEven, outerOdd),
        d3,
      ];
    },
    weightGradient(f, _engine, d, t) {
      const [d0, d1, d2, d3, d4, d5] = d as [Vector, Vector, Vector, Vector, Vector, Vector];
      const [sum, difference, outerSum, outerDifference] = t as [Vector, Vector, Vector, Vector];
      f.set(sum, times(f32x4.add(d1, d2), 1 / 6));
      f.set(difference, times(f32x4.sub(d2, d1), 1 / 6));
      f.set(outerSum, times(f32x4.add(d3, d4), 1 / 6));
      f.set(outerDifference, times(f32x4.sub(d3, d4), 1 / 12));
      return [
        f32x4.add(times(d0, 1 / 4), f32x4.sub(times(outerSum, 1 / 4), sum)),
        f32x4.add(difference, outerDifference),
        f32x4.add(d5, f32x4.sub(outerSum, sum)),
      ];
    },
  },
  2: {
    gradient(_f, _engine, d) {
      const [d0, d1] = d as [Vector, Vector];
      return [d0, f32x4.add(d0, d1), f32x4.sub(d0, d1), f32x4.sub(f32x4.const(0), d1)];
    },
    weightGradient(f, _engine, d, t) {
      const [d0, d1, d2, d3] = d as [Vector, Vector, Vector, Vector];
      const [sum, difference] = t as [Vector, Vector];
      f.set(sum, times(f32x4.add(d1, d2), 1 / 2));
      f.set(difference, times(f32x4.sub(d1, d2), 1 / 2));
      return [f32x4.add(d0, sum), difference, f32x4.add(sum, d3)];
    },
  },
  strided: {
    gradient(_f, _engine, d) {
      const [d0, d1] = d as [Vector, Vector];
      return [d0, f32x4.add(d0, d1), f32x4.sub(f32x4.const(0), d1), d0, d1];
    },
    weightGradient(_f, _engine, d) {
      const [d0, d1, d2, d3, d4] = d as [Vector, Vector, Vector, Vector, Vector];
      return [f32x4.add(d0, d1), f32x4.add(d3, d4), f32x4.add(d1, d2)];
    },
  },
};
