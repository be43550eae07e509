/**
 * Phases of the input gradient: each pair of an output and a tap contributes exactly to the position that it
 * reads.
 */
import { expect, test } from 'vitest';
import { stridePhases } from './conv2dInputGradient.js';

test.each([
  { extent: 8, kernel: 3, stride: 1, dilation: 1, padding: 1 },
  { extent: 9, kernel: 3, stride: 2, dilation: 1, padding: 1 },
  { extent: 7, kernel: 1, stride: 2, dilation: 1, padding: 0 },
  { extent: 31, kernel: 11, stride: 4, dilation: 1, padding: 2 },
  { extent: 11, kernel: 3, stride: 2, dilation: 3, padding: 2 },
  { extent: 12, kernel: 3, stride: 2, dilation: 2, padding: 0 },
  { extent: 6, kernel: 1, stride: 1, dilation: 1, padding: 1 },
])('extent $extent, window $kernel, stride $stride, dilation $dilation, padding $padding', (axis) => {
  const { extent, kernel, stride, dilation, padding } = axis;
  const outputs = Math.floor((extent + 2 * padding - (kernel - 1) * dilation - 1) / stride) + 1;
  const expected: string[] = [];
  for (let output = 0; output < outputs; output++)
    for (let tap = 0; tap < kernel; tap++) {
      const position = output * stride + tap * dilation - padding;
      if (position >= 0 && position < extent) expected.push(`${position}: output ${output}, tap ${tap}`);
    }
  const found = stridePhases(extent, kernel, axis).flatMap(({ first, count, taps, lastTap, ...steps }) =>
    Array.from({ length: count }, (_, i) =>
      Array.from({ length: taps }, (_, tap) => ({
        position: first + i * stride,
        output: i + tap * steps.dilation - steps.before,
        tap: lastTap - tap * steps.tapStep,
      })),
    )
      .flat()
      .filter(({ output }) => output >= 0 && output < outputs)
      .map(({ position, output, tap }) => `${position}: output ${output}, tap ${tap}`),
  );
  expect(found.sort()).toEqual(expected.sort());
});
