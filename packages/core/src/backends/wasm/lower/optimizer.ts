/** The steps of optimizers, over values in the host's order. */
import type { Node } from '../../../graph/graph.js';
import type { RunningAverageAttrs } from '../../../ops/batchNorm.js';
import type {
  AdaptiveStepAttrs,
  ClipAttrs,
  LinearCombinationAttrs,
  StepAttrs,
} from '../../../ops/optimizer.js';
import { sizeOf } from '../../../tensor/shape.js';
import { CHANNEL_BLOCK, FLOAT, VECTOR } from '../kernels/kernel.js';
import { type OptimizerStep, optimizerStep, SQUARES, squareParts, sumVectors } from '../kernels/optimizer.js';
import type { Pointer } from '../plan/memory.js';
import type { Planner } from '../plan/planner.js';
import { denseOf, type Lowering } from './lowering.js';

export const lowerLinearCombination: Lowering<LinearCombinationAttrs> = (p, node) =>
  step(p, node, 2, { fn: 'combine', ...node.attrs });

export const lowerRunningAverage: Lowering<RunningAverageAttrs> = (p, node) => {
  const { momentum, scale } = node.attrs;
  step(p, node, 2, { fn: 'combine', a: 1 - momentum, b: momentum * scale });
};

export const lowerSquareAverage: Lowering<LinearCombinationAttrs> = (p, node) =>
  step(p, node, 2, { fn: 'combineSquare', ...node.attrs });

export const lowerDescend: Lowering<StepAttrs> = (p, node) => step(p, node, 2, { fn: 'descend' }, node.attrs);

export const lowerAdaptiveDescend: Lowering<AdaptiveStepAttrs> = (p, node) => {
  const { eps, decay } = node.attrs;
  step(p, node, 3, { fn: 'adaptiveDescend', eps, decay }, node.attrs);
};

export const lowerClipByNorm: Lowering<ClipAttrs> = (p, node) =>
  step(p, node, 1, { fn: 'clip', ...node.attrs }, { index: 0 });

/** A step on the first `operands` inputs; behind them stand the rate and the corrections, if it has them. */
function step(
  p: Planner,
  node: Node,
  operands: number,
  shape: OptimizerStep,
  { index }: StepAttrs = { index: 0 },
): void {
  const [x, z, v] = node.inputs.slice(0, operands).map((input) => denseOf(p, input));
  const [rate, corrections] = node.inputs.slice(operands).map((input) => p.value(input).at);
  const y = p.value(node).at;
  const kernel = p.kernel('optimizer step', shape, optimizerStep);
  p.algorithm('elementwise');
  p.spread(Math.ceil(sizeOf(node.shape) / CHANNEL_BLOCK), (from, to) => {
    const at = (pointer: Pointer | undefined) => pointer?.plus(from * CHANNEL_BLOCK * FLOAT) ?? 0;
    return [
      {
        kernel,
        parameters: [
          ...[at(y), at(x), at(z), at(v)],
          rate?.plus(index * FLOAT) ?? 0,
          corrections ?? 0,
          to - from,
        ],
      },
    ];
  });
}

/** Partial sums of a fixed number of values each, then their sum: the same for any number of threads. */
export const lowerSumOfSquares: Lowering<object> = (p, node) => {
  const [input] = node.inputs as [Node];
  const x = denseOf(p, input);
  const size = sizeOf(input.shape);
  const parts = Math.ceil(size / SQUARES);
  const whole = Math.floor(size / SQUARES);
  const sums = p.scratch(parts * VECTOR);
  const kernel = p.kernel('square parts', { rest: size % SQUARES }, squareParts);
  p.algorithm('sum of squares');
  p.spread(parts, (from, to) => [
    {
      kernel,
      parameters: [
        x.plus(from * SQUARES * FLOAT),
        sums.plus(from * VECTOR),
        Math.min(to, whole) - from,
        to > whole ? 1 : 0,
      ],
    },
  ]);
  const total = p.kernel('sum vectors', {}, sumVectors);
  p.spread(1, () => [{ kernel: total, parameters: [sums, p.value(node).at, parts] }]);
};
