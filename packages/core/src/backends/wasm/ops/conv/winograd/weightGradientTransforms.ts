/**
 * Transforms of Winograd's weight gradient: the transposed forward transforms (see `transforms.ts`). They are in
 * a separate file, so that a page that only runs inference does not load them.
 */
import { f32x4, type Local } from '../../../codegen/index.js';
import { addScaled, mulConstant, type Transform, type WinogradMethod } from './transforms.js';

type Vector = Local<'v128'>;

/** Transforms of one algorithm for dg = G^T [sum over tiles of (A dY A^T) * (B^T d B)] G. */
interface WeightGradientTransforms {
  /** Multiplies a column of a tile of dY by A. */
  readonly transformOutputGradient: Transform;
  /** Multiplies a column of the summed elementwise products by G^T. */
  readonly transformWeightGradient: Transform;
}

/** Transforms by method. Methods without an entry are not used for weight gradients. */
export const weightGradientTransforms: { readonly [M in WinogradMethod]?: WeightGradientTransforms } = {
  f4x4: {
    transformOutputGradient(f, engine, d, t) {
      const [d0, d1, d2, d3] = d as [Vector, Vector, Vector, Vector];
      const [even, odd, outerEven, outerOdd] = t as [Vector, Vector, Vector, Vector];
      f.set(even, f32x4.add(d0, d2));
      f.set(odd, f32x4.add(d1, d3));
      f.set(outerOdd, f32x4.add(d1, d1));
      f.set(outerEven, addScaled(f, engine, d2, 4, d0));
      f.set(d1, d3);
      f.set(outerOdd, addScaled(f, engine, d1, 8, outerOdd));
      return [
        d0,
        f32x4.add(even, odd),
        f32x4.sub(even, odd),
        f32x4.add(outerEven, outerOdd),
        f32x4.sub(outerEven, outerOdd),
        d3,
      ];
    },
    transformWeightGradient(f, _engine, d, t) {
      const [d0, d1, d2, d3, d4, d5] = d as [Vector, Vector, Vector, Vector, Vector, Vector];
      const [sum, difference, outerSum, outerDifference] = t as [Vector, Vector, Vector, Vector];
      f.set(sum, mulConstant(f32x4.add(d1, d2), 1 / 6));
      f.set(difference, mulConstant(f32x4.sub(d2, d1), 1 / 6));
      f.set(outerSum, mulConstant(f32x4.add(d3, d4), 1 / 6));
      f.set(outerDifference, mulConstant(f32x4.sub(d3, d4), 1 / 12));
      return [
        f32x4.add(mulConstant(d0, 1 / 4), f32x4.sub(mulConstant(outerSum, 1 / 4), sum)),
        f32x4.add(difference, outerDifference),
        f32x4.add(d5, f32x4.sub(outerSum, sum)),
      ];
    },
  },
  f2x2: {
    transformOutputGradient(_f, _engine, d) {
      const [d0, d1] = d as [Vector, Vector];
      return [d0, f32x4.add(d0, d1), f32x4.sub(d0, d1), f32x4.sub(f32x4.const(0), d1)];
    },
    transformWeightGradient(f, _engine, d, t) {
      const [d0, d1, d2, d3] = d as [Vector, Vector, Vector, Vector];
      const [sum, difference] = t as [Vector, Vector];
      f.set(sum, mulConstant(f32x4.add(d1, d2), 1 / 2));
      f.set(difference, mulConstant(f32x4.sub(d1, d2), 1 / 2));
      return [f32x4.add(d0, sum), difference, f32x4.add(sum, d3)];
    },
  },
  f2x2Stride2: {
    transformOutputGradient(_f, _engine, d) {
      const [d0, d1] = d as [Vector, Vector];
      return [d0, f32x4.add(d0, d1), f32x4.sub(f32x4.const(0), d1), d0, d1];
    },
    transformWeightGradient(_f, _engine, d) {
      const [d0, d1, d2, d3, d4] = d as [Vector, Vector, Vector, Vector, Vector];
      return [f32x4.add(d0, d1), f32x4.add(d3, d4), f32x4.add(d1, d2)];
    },
  },
};
