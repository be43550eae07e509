/** Optimizer steps, and the gradient clipping before them. */
import type {
  AdaptiveStepAttrs,
  ClipAttrs,
  LinearCombinationAttrs,
  StepAttrs,
} from '../../../../ops/optimizer.js';
import { literal } from '../../kernels/javascript.js';
import { elementwise, type Lowering, writeResult } from '../lowering.js';

/** y = a * x + b * z. */
export const lowerLinearCombination: Lowering<LinearCombinationAttrs> = elementwise(
  ({ a, b }, [x, z]) => `${literal(a)} * ${x} + ${literal(b)} * ${z}`,
);

/** y = a * x + b * z^2. */
export const lowerSquareAverage: Lowering<LinearCombinationAttrs> = elementwise(
  ({ a, b }, [x, z]) => `${literal(a)} * ${x} + ${literal(b)} * ${z} * ${z}`,
);

/** y = parameter - rate * direction. */
export const lowerDescend: Lowering<StepAttrs> = (context) =>
  writeResult(context, context.inputs, ([parameter, direction, rate], at) => ({
    value: `${parameter!(at)} - ${rate!([String(context.attrs.index)])} * ${direction!(at)}`,
  }));

/** Step of Adam and its variants. Inputs: parameter, direction, average of squares, rate, corrections. */
export const lowerAdaptiveDescend: Lowering<AdaptiveStepAttrs> = (context) =>
  writeResult(context, context.inputs, ([p, m, v, rate, corrections], at) => ({
    statements: `const step = ${rate!([String(context.attrs.index)])};`,
    value: `${p!(at)} * (1 - step * ${literal(context.attrs.decay)}) - step * (${m!(at)} / ${corrections!(['0'])}) / (Math.sqrt(${v!(at)} / ${corrections!(['1'])}) + ${literal(context.attrs.eps)})`,
  }));

/** y = x * min(1, maxNorm / (sqrt(total) + 1e-6)). Inputs: x, total. */
export const lowerClipByNorm: Lowering<ClipAttrs> = (context) =>
  writeResult(context, context.inputs, ([x, total], at) => ({
    value: `${x!(at)} * Math.min(1, ${literal(context.attrs.maxNorm)} / (Math.sqrt(${total!(['0'])}) + 0.000001))`,
  }));
