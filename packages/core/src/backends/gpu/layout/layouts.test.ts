/** Layouts: what a tensor looks like in device memory, and the index expressions of kernels. */
import { describe, expect, test } from 'vitest';
import type { Padding } from '../../../ops/window.js';
import { type Shape, sizeOf } from '../../../tensor/shape.js';
import { layouts } from './layouts.js';
import { noPadding, storedFloats } from './types.js';

const counting = (shape: Shape): Float32Array =>
  Float32Array.from({ length: sizeOf(shape) }, (_, i) => i + 1);

function staged(mode: 'webgpu' | 'webgl2', shape: Shape, padding?: Padding): number[] {
  const layout = layouts[mode](shape, padding);
  const memory = new Float32Array(storedFloats(layout));
  layout.toDevice(counting(shape), memory);
  return [...memory];
}

describe('planar', () => {
  test('stores row-major values, with zeros around images', () => {
    expect(staged('webgpu', [2, 3])).toEqual([1, 2, 3, 4, 5, 6]);
    expect(staged('webgpu', [1, 1, 2, 2], [1, 0, 0, 1])).toEqual([0, 0, 0, 1, 2, 0, 3, 4, 0]);
  });

  test('indexes with the padding added', () => {
    const { indexOf } = layouts.webgpu([2, 3, 4, 5], [1, 2, 1, 2]);
    expect(indexOf(['n', 'c', ['y', -1], 'x'])).toBe('[(n) * 3 + c][y][(x + 2)]');
  });
});

describe('packed', () => {
  test('stores four channels of a pixel together, and rows of whole quads of pixels', () => {
    expect(staged('webgl2', [1, 2, 1, 3])).toEqual([1, 4, 0, 0, 2, 5, 0, 0, 3, 6, 0, 0, 0, 0, 0, 0]);
    expect(layouts.webgl2([1, 8, 6, 6], [1, 1, 1, 1])).toMatchObject({
      paddedShape: [1, 8, 8, 8],
      padding: [1, 1, 1, 1],
      dims: [4, 8, 16],
    });
  });

  test('is for images only', () => {
    expect(staged('webgl2', [2, 3])).toEqual(staged('webgpu', [2, 3]));
  });
});

test.each([
  ['webgpu', [2, 3, 4, 5], noPadding],
  ['webgpu', [2, 3, 4, 5], [1, 2, 0, 3]],
  ['webgl2', [2, 3, 4, 5], noPadding],
  ['webgl2', [2, 9, 4, 5], [1, 2, 0, 3]],
] as const)('%s gives %j with padding %j back to the host', (mode, shape, padding) => {
  const layout = layouts[mode](shape, padding);
  expect(layout.toHost(Float32Array.from(staged(mode, shape, padding)))).toEqual(counting(shape));
});
