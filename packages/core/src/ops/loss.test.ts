/** Cross entropy at its edges: huge logits, impossible classes, labels that are none. */
import { expect, test } from 'vitest';
import { crossEntropyGradOp, crossEntropyOp } from './loss.js';

const attrs = { reduction: 'mean', labelSmoothing: 0 } as const;

function lossOf(logits: readonly number[], label: number): readonly [loss: number, gradient: number[]] {
  const x = Float64Array.from(logits);
  const labels = Float64Array.of(label);
  const xs = [1, x.length];
  const loss = new Float64Array(1);
  crossEntropyOp.reference({ inputs: [x, labels], shapes: [xs, [1]], attrs, output: loss, shape: [] });
  const gradient = new Float64Array(x.length);
  crossEntropyGradOp.reference({
    inputs: [Float64Array.of(1), x, labels],
    shapes: [[], xs, [1]],
    attrs,
    output: gradient,
    shape: xs,
  });
  return [loss[0]!, [...gradient]];
}

test('huge logits do not overflow', () => {
  expect(lossOf([1e5, 0], 0)).toEqual([0, [0, 0]]);
  expect(lossOf([1e5, 0], 1)).toEqual([1e5, [1, -1]]);
});

test('a class that is impossible and not the label does no harm', () => {
  const [loss, gradient] = lossOf([0, 0, -Infinity], 1);
  expect(loss).toBeCloseTo(Math.log(2), 12);
  expect(gradient).toEqual([0.5, -0.5, 0]);
});

test.each([-1, 3, 0.5, Number.NaN])('the label %d is refused', (label) => {
  expect(() => lossOf([1, 2, 3], label)).toThrow(
    `The label of row 0 is ${label}; with 3 classes labels go from 0 to 2.`,
  );
});
