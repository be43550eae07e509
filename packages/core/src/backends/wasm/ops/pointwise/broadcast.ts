/** Strides of a value that is repeated along the axes where it has one element. */
import type { Shape } from '../../../../tensor/shape.js';
import { denseStrides } from '../../memory/layout.js';

/** Row-major strides of `small` in floats, zero along axes that `large` has more of. */
export const broadcastStrides = (small: Shape, large: Shape): readonly number[] =>
  denseStrides(small).map((stride, axis) => (small[axis] === 1 && large[axis] !== 1 ? 0 : stride));
