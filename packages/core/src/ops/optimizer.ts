/**
 * Optimizer steps, element by element. Quantities that change from step to step (learning rate, bias
 * corrections) are small input tensors, so that one compiled program serves a whole training run.
 */
import { ShapeError } from '../errors.js';
import { evaluate } from '../pointwise/evaluate.js';
import { type OptimizerStepName, optimizerStep } from '../pointwise/optimizer.js';
import { formatShape, type Shape, sameShape, sizeOf } from '../tensor/shape.js';
import { defineOp, type ReferenceCall, type Values } from './define.js';

/** Makes the reference kernel of a step. */
export const stepReference =
  (op: OptimizerStepName) =>
  ({ inputs, attrs, output }: ReferenceCall<object>): void => {
    const { names, result } = optimizerStep(op, attrs);
    const values: Record<string, Values | number> = {};
    for (const [index, name] of names.entries())
      if (typeof name === 'string') values[name] = inputs[index]!;
      else for (const [shared, at] of Object.entries(name)) values[shared] = inputs[index]![at]!;
    evaluate(result, values, output);
  };

function sameShapes(op: string, shapes: readonly Shape[]): Shape {
  const [first] = shapes as [Shape];
  for (const shape of shapes)
    if (!sameShape(shape, first))
      throw new ShapeError(`${op} needs equal shapes, got ${shapes.map(formatShape).join(', ')}`);
  return first;
}

function checkRate(op: string, rate: Shape | undefined, index: number): void {
  if (rate?.length !== 1 || !Number.isInteger(index) || index < 0 || index >= rate[0]!)
    throw new ShapeError(`${op} takes rate ${index}, but there are ${formatShape(rate ?? [])} rates`);
}

const none = 'an optimizer step takes no part in the loss';
/** Attributes of `linearCombination`. */
export interface LinearCombinationAttrs {
  readonly a: number;
  readonly b: number;
}

/** y = a * x + b * z: momentum, weight decay and moving averages. Inputs: x, z. */
export const linearCombinationOp = defineOp<LinearCombinationAttrs, 'optimizer'>({
  op: 'linearCombination',
  role: 'optimizer',
  layout: 'weights',
  parameters: [0],
  shape: (shapes) => sameShapes('linearCombination', shapes),
  reference: stepReference('linearCombination'),
  gradient: none,
  flops: (_, output) => 3 * sizeOf(output),
});

/** y = a * x + b * z^2: the moving average of squared gradients. Inputs: x, z. */
export const squareAverageOp = defineOp<LinearCombinationAttrs, 'optimizer'>({
  op: 'squareAverage',
  role: 'optimizer',
  layout: 'weights',
  parameters: [0],
  shape: (shapes) => sameShapes('squareAverage', shapes),
  reference: stepReference('squareAverage'),
  gradient: none,
  flops: (_, output) => 4 * sizeOf(output),
});

/** Attributes of a step. */
export interface StepAttrs {
  /** Index of this parameter's learning rate in the rate tensor. */
  readonly index: number;
}

/** y = parameter - rate[index] * direction. Inputs: parameter, direction, rate (any length). */
export const descendOp = defineOp<StepAttrs, 'optimizer'>({
  op: 'descend',
  role: 'optimizer',
  layout: 'weights',
  parameters: [0],
  shape([parameter, direction, rate], { index }) {
    checkRate('descend', rate, index);
    return sameShapes('descend', [parameter!, direction!]);
  },
  reference: stepReference('descend'),
  gradient: none,
  flops: (_, output) => 2 * sizeOf(output),
});

/** Attributes of a step divided by the root of the average of squares. */
export interface AdaptiveStepAttrs extends StepAttrs {
  /** Added to the root. */
  readonly eps: number;
  /** AdamW's decoupled weight decay: before the step the parameter is multiplied by 1 - rate * decay. */
  readonly decay: number;
}

/**
 * y = p * (1 - rate[index] * decay) - rate[index] * (m / c1) / (sqrt(v / c2) + eps): the step of Adam, AdamW
 * and RMSprop. Inputs: parameter p, direction m, average of squares v, rate (any length), corrections (c1,
 * c2).
 */
export const adaptiveDescendOp = defineOp<AdaptiveStepAttrs, 'optimizer'>({
  op: 'adaptiveDescend',
  role: 'optimizer',
  layout: 'weights',
  parameters: [0, 1, 2],
  shape([p, m, v, rate, corrections], { index }) {
    checkRate('adaptiveDescend', rate, index);
    if (corrections?.length !== 1 || corrections[0] !== 2)
      throw new ShapeError(`adaptiveDescend takes 2 corrections, got ${formatShape(corrections ?? [])}`);
    return sameShapes('adaptiveDescend', [p!, m!, v!]);
  },
  reference: stepReference('adaptiveDescend'),
  gradient: none,
  flops: (_, output) => 8 * sizeOf(output),
});

/** Attributes of `runningAverage`. */
export interface RunningAverageAttrs {
  readonly momentum: number;
  /** Factor of the new value: m / (m - 1) turns the biased variance of m values into the unbiased one. */
  readonly scale: number;
}

/** y = (1 - momentum) * average + momentum * scale * value. Inputs: average, value. */
export const runningAverageOp = defineOp<RunningAverageAttrs, 'optimizer'>({
  op: 'runningAverage',
  role: 'optimizer',
  layout: 'weights',
  parameters: [0],
  shape: ([average]) => average!,
  reference: stepReference('runningAverage'),
  gradient: 'running statistics take no part in the loss',
  flops: (_, output) => 3 * sizeOf(output),
});

/** y = sum of x^2, of shape (1): one parameter's part of the squared norm of all gradients. Input: x. */
export const sumOfSquaresOp = defineOp<object, 'training'>({
  op: 'sumOfSquares',
  role: 'training',
  layout: 'activations',
  shape: () => [1],
  reference({ inputs: [x], output }) {
    for (let i = 0; i < x!.length; i++) output[0]! += x![i]! ** 2;
  },
  gradient: none,
  flops: ([x]) => 2 * sizeOf(x!),
});

/** Attributes of clipping by norm. */
export interface ClipAttrs {
  /** Largest allowed norm of all gradients together. */
  readonly maxNorm: number;
}

/**
 * y = x * min(1, maxNorm / (sqrt(total) + 1e-6)), as PyTorch's `clip_grad_norm_`. Inputs: x, total (1): the
 * sum of the squares of all gradients.
 */
export const clipByNormOp = defineOp<ClipAttrs, 'optimizer'>({
  op: 'clipByNorm',
  role: 'optimizer',
  layout: 'weights',
  shape: ([x]) => x!,
  reference: stepReference('clipByNorm'),
  gradient: none,
  flops: (_, output) => sizeOf(output),
});
