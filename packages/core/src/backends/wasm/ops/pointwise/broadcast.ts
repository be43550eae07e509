/** Strides of broadcast values. */
import type { Shape } from '../../../../tensor/shape.js';
import { denseStrides } from '../../memory/layout.js';

/** Row-major strides of `small` in floats; zero along axes where it has one element and `large` has more. */
export const broadcastStrides = (small: Shape, large: Shape): readonly number[] =>
  denseStrides(small).map((stride, axis) => (small[axis] === 1 && large[axis] !== 1 ? 0 : stride));
