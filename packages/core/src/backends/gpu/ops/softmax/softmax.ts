/** Softmax, its logarithm, and their gradients. All are along axis 1, the classes. */
import { loop, type Read } from '../../kernels/javascript.js';
import type { PlanBuilder } from '../../plan/builder.js';
import type { PlannedTensor } from '../../plan/plan.js';
import { type Lowering, type LoweringContext, withCoordinate, writeResult } from '../lowering.js';

/** Plans a tensor of two values per distribution: the maximum, and log(sum(exp(x - maximum))). */
export function softmaxStatistics(plan: PlanBuilder, x: PlannedTensor): PlannedTensor {
  const { shape } = x.layout;
  const classes = shape[1]!;
  return plan.kernel({
    inputs: [x],
    shape: shape.map((extent, axis) => (axis === 1 ? 2 : extent)),
    body: ([read], at) => {
      const value = (c: string): string => read!(withCoordinate(at, 1, c));
      return {
        statements: `let found = ${value('0')};
${loop('c', classes, `found = Math.max(found, ${value('c')});`)}
if (${at[1]} > 0.5) {
let sum = 0.0;
${loop('d', classes, `sum += Math.exp(${value('d')} - found);`)}
found = Math.log(sum);
}`,
        value: 'found',
      };
    },
  });
}

/** Writes the log-probability of an element, from x and its statistics. */
export function logProbability(x: Read, statistics: Read, at: readonly string[]): string {
  const maximum = statistics(withCoordinate(at, 1, '0'));
  const logSum = statistics(withCoordinate(at, 1, '1'));
  return `${x(at)} - ${maximum} - ${logSum}`;
}

const fromLogProbability = (
  context: LoweringContext,
  body: (logProbability: string) => string,
): PlannedTensor => {
  const x = context.inputs[0]!;
  return writeResult(context, [x, softmaxStatistics(context.plan, x)], ([read, statistics], at) => ({
    value: body(logProbability(read!, statistics!, at)),
  }));
};

/** y = exp(x) / sum(exp(x)). */
export const lowerSoftmax: Lowering = (context) => fromLogProbability(context, (log) => `Math.exp(${log})`);

/** y = x - log(sum(exp(x))). */
export const lowerLogSoftmax: Lowering = (context) => fromLogProbability(context, (log) => log);

/** Plans the sum of a term over the classes. */
function sumOverClasses(
  context: LoweringContext,
  term: (read: readonly Read[], at: readonly string[]) => string,
): PlannedTensor {
  return context.plan.kernel({
    inputs: context.inputs,
    shape: context.shape.map((extent, axis) => (axis === 1 ? 1 : extent)),
    body: (read, at) => ({
      statements: `let sum = 0.0;\n${loop(
        'c',
        context.shape[1]!,
        `sum += ${term(read, withCoordinate(at, 1, 'c'))};`,
      )}`,
      value: 'sum',
    }),
  });
}

/** dx = y * (dy - sum(dy * y)). Inputs: dy, y. */
export const lowerSoftmaxGrad: Lowering = (context) =>
  writeResult(
    context,
    [...context.inputs, sumOverClasses(context, ([dy, y], at) => `${dy!(at)} * ${y!(at)}`)],
    ([dy, y, sums], at) => ({ value: `${y!(at)} * (${dy!(at)} - ${sums!(withCoordinate(at, 1, '0'))})` }),
  );

/** dx = dy - exp(y) * sum(dy). Inputs: dy, y. */
export const lowerLogSoftmaxGrad: Lowering = (context) =>
  writeResult(
    context,
    [...context.inputs, sumOverClasses(context, ([dy], at) => dy!(at))],
    ([dy, y, sums], at) => ({
      value: `${dy!(at)} - Math.exp(${y!(at)}) * ${sums!(withCoordinate(at, 1, '0'))}`,
    }),
  );
