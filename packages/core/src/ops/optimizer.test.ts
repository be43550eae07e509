/** The optimizers of PyTorch, as its documentation writes them, against their composition from our ops. */
import { expect, test } from 'vitest';
import { sizeOf } from '../tensor/shape.js';
import type { OpDefinition, Values } from './define.js';
import {
  adaptiveDescendOp,
  clipByNormOp,
  descendOp,
  linearCombinationOp,
  squareAverageOp,
  sumOfSquaresOp,
} from './optimizer.js';

/** The value of an op on vectors, in float64. */
function value<A extends object>(op: OpDefinition<A>, inputs: readonly Values[], attrs: A): Float64Array {
  const shapes = inputs.map(({ length }) => [length]);
  const shape = op.shape(shapes, attrs);
  const output = new Float64Array(sizeOf(shape));
  op.reference({ inputs, shapes, attrs, output, shape });
  return output;
}

const steps = [1, 2, 3, 4];
const start = [0.7, -1.3, 0.2, 5];
/** Gradients that change from step to step. */
const gradientAt = (step: number): Float64Array =>
  Float64Array.from(start, (_, i) => Math.sin(3 * step + 2 * i) * (i + 0.5));
const rate = Float64Array.of(0.5, 0.02);
const lr = 0.02;

/** Runs `expected` on single numbers with its own memory, and `actual` on vectors, for some steps. */
function compare(
  expected: (p: number, g: number, memory: number[], step: number) => number,
  actual: (p: Float64Array, g: Float64Array, memory: Float64Array[], step: number) => Float64Array,
): void {
  const numbers = [...start];
  const memories = start.map((): number[] => [0, 0, 0]);
  let vector = Float64Array.from(start);
  const memory = [0, 1, 2].map(() => new Float64Array(start.length));
  for (const step of steps) {
    const g = gradientAt(step);
    for (const [i, p] of numbers.entries()) numbers[i] = expected(p, g[i]!, memories[i]!, step);
    vector = Float64Array.from(actual(vector, g, memory, step));
    for (const [i, p] of numbers.entries()) expect(vector[i]).toBeCloseTo(p, 12);
  }
  expect([...vector]).not.toEqual(start);
}

test.each([
  [0, false],
  [0.9, false],
  [0.9, true],
])('SGD with weight decay, momentum %d, nesterov %s', (momentum, nesterov) => {
  const decay = 0.1;
  compare(
    (p, g, memory, step) => {
      const d = g + decay * p;
      memory[0] = step === 1 ? d : momentum * memory[0]! + d;
      return p - lr * (nesterov ? d + momentum * memory[0] : memory[0]);
    },
    (p, g, memory) => {
      const d = value(linearCombinationOp, [g, p], { a: 1, b: decay });
      memory[0] = value(linearCombinationOp, [memory[0]!, d], { a: momentum, b: 1 });
      const direction = nesterov
        ? value(linearCombinationOp, [d, memory[0]], { a: 1, b: momentum })
        : memory[0];
      return value(descendOp, [p, direction, rate], { index: 1 });
    },
  );
});

test.each([0, 0.1])('Adam and AdamW with decoupled weight decay %d', (decay) => {
  const [b1, b2, eps] = [0.9, 0.999, 1e-8];
  compare(
    (p, g, memory, step) => {
      memory[0] = b1 * memory[0]! + (1 - b1) * g;
      memory[1] = b2 * memory[1]! + (1 - b2) * g * g;
      const mean = memory[0] / (1 - b1 ** step);
      const variance = memory[1] / (1 - b2 ** step);
      return p - lr * decay * p - (lr * mean) / (Math.sqrt(variance) + eps);
    },
    (p, g, memory, step) => {
      memory[0] = value(linearCombinationOp, [memory[0]!, g], { a: b1, b: 1 - b1 });
      memory[1] = value(squareAverageOp, [memory[1]!, g], { a: b2, b: 1 - b2 });
      const corrections = Float64Array.of(1 - b1 ** step, 1 - b2 ** step);
      return value(adaptiveDescendOp, [p, memory[0], memory[1], rate, corrections], { index: 1, eps, decay });
    },
  );
});

test.each([0, 0.9])('RMSprop with momentum %d', (momentum) => {
  const [alpha, eps] = [0.99, 1e-3];
  compare(
    (p, g, memory) => {
      memory[0] = alpha * memory[0]! + (1 - alpha) * g * g;
      memory[1] = momentum * memory[1]! + g / (Math.sqrt(memory[0]) + eps);
      return p - lr * memory[1];
    },
    (p, g, memory) => {
      memory[0] = value(squareAverageOp, [memory[0]!, g], { a: alpha, b: 1 - alpha });
      // A step of -1 from the shrunken velocity adds the scaled gradient to it.
      const shrunken = value(linearCombinationOp, [memory[1]!, memory[1]!], { a: momentum, b: 0 });
      memory[1] = value(
        adaptiveDescendOp,
        [shrunken, g, memory[0], Float64Array.of(-1), Float64Array.of(1, 1)],
        { index: 0, eps, decay: 0 },
      );
      return value(descendOp, [p, memory[1], rate], { index: 1 });
    },
  );
});

test('clipping scales all gradients to the largest norm, and leaves smaller ones alone', () => {
  const gradients = [Float64Array.of(3, 0), Float64Array.of(0, 4)];
  const total = Float64Array.of(gradients.reduce((sum, g) => sum + value(sumOfSquaresOp, [g], {})[0]!, 0));
  expect(total[0]).toBe(25);
  const clipped = gradients.map((g) => value(clipByNormOp, [g, total], { maxNorm: 1 }));
  expect(Math.hypot(...clipped.flatMap((g) => [...g]))).toBeCloseTo(1, 6);
  expect(clipped[0]![0]).toBeCloseTo(3 / (5 + 1e-6), 12);
  expect([...value(clipByNormOp, [gradients[0]!, total], { maxNorm: 6 })]).toEqual([3, 0]);
});
