/**
 * Sums over some axes. Sums over batches of images take two kernels, one within each plane and one over the
 * batch: that gives a thread to each plane, and no long sum loses its small terms.
 */
import type { SumToAttrs } from '../../../../ops/reduce.js';
import type { Shape } from '../../../../tensor/shape.js';
import { loop, type Read } from '../../kernels/javascript.js';
import type { PlanBuilder } from '../../plan/builder.js';
import type { PlannedTensor } from '../../plan/plan.js';
import { type Lowering, type LoweringContext, writeResult } from '../lowering.js';

/**
 * Writes loops that leave the sum of a term over some axes in `sum`. The innermost axis is summed up in
 * `line` first.
 * @param term - writes the term, given the loop variable (`j0` for axis 0) of each summed axis, undefined for
 * others.
 */
function sumOver(
  shape: Shape,
  axes: readonly number[],
  term: (at: (axis: number) => string | undefined) => string,
): string {
  const summed = new Set(axes);
  const added = term((axis) => (summed.has(axis) ? `j${axis}` : undefined));
  const [innermost, ...outer] = [...axes].reverse();
  if (innermost === undefined) return `let sum = ${added};`;
  const line = `let line = 0.0;\n${loop(`j${innermost}`, shape[innermost]!, `line += ${added};`)}\nsum += line;`;
  return `let sum = 0.0;\n${outer.reduce((inner, axis) => loop(`j${axis}`, shape[axis]!, inner), line)}`;
}

/** Writes a term of a sum per channel: reads inputs at an element, and vectors at its channel. */
type ChannelTerm = (read: readonly Read[], at: readonly string[], channel: string) => string;

/**
 * Plans a sum per channel of a term over all other axes.
 * @param last - writes the result from the sum, and the further inputs that this takes. Default: the sum.
 */
export function reduceChannels(
  context: LoweringContext,
  inputs: readonly PlannedTensor[],
  term: ChannelTerm,
  last: {
    readonly inputs?: readonly PlannedTensor[];
    readonly body?: (read: readonly Read[], sum: string, channel: string) => string;
  } = {},
): PlannedTensor {
  const source = inputs[0]!.layout.shape;
  const { inputs: more = [], body = (_, sum) => sum } = last;
  if (source.length === 2)
    return writeResult(context, [...inputs, ...more], (read, [channel]) => ({
      statements: sumOver(source, [0], (axis) => term(read, [axis(0)!, channel!], channel!)),
      value: body(read.slice(inputs.length), 'sum', channel!),
    }));
  const planeShape = source.slice(0, 2);
  const pixelAxes = source.map((_, axis) => axis).slice(2);
  const planes = context.plan.kernel({
    inputs,
    shape: planeShape,
    body: (read, at) => ({
      statements: sumOver(source, pixelAxes, (axis) =>
        term(
          read,
          source.map((_, i) => axis(i) ?? at[i]!),
          at[1]!,
        ),
      ),
      value: 'sum',
    }),
  });
  return writeResult(context, [planes, ...more], ([sums, ...read], [channel]) => ({
    statements: sumOver(planeShape, [0], (axis) => sums!([axis(0)!, channel!])),
    value: body(read, 'sum', channel!),
  }));
}

/** y[c] = sum of x over all axes but the channels. */
export const lowerChannelSum: Lowering = (context) =>
  reduceChannels(context, context.inputs, ([x], at) => x!(at));

/** Sums over the axes whose extent is 1 in the result. */
export const lowerSumTo: Lowering<SumToAttrs> = (context) => {
  const source = context.node.inputs[0]!.shape;
  const axes = source.map((_, axis) => axis).filter((axis) => context.shape[axis] !== source[axis]);
  return writeResult(context, context.inputs, ([x], at) => ({
    statements: sumOver(source, axes, (axis) => x!(source.map((_, i) => axis(i) ?? at[i]!))),
    value: 'sum',
  }));
};

/** Terms of a vector that one thread sums up. */
const CHUNK = 64;

/** Plans the sum of a vector: chunks become a shorter vector, until one value is left. */
function sumVector(plan: PlanBuilder, vector: PlannedTensor): PlannedTensor {
  const length = vector.layout.shape[0]!;
  if (length === 1) return vector;
  const chunks = Math.ceil(length / CHUNK);
  return sumVector(
    plan,
    plan.kernel({
      inputs: [vector],
      shape: [chunks],
      body: ([x], [chunk]) => ({
        statements: `let sum = 0.0;\n${loop(
          'j',
          Math.min(length, CHUNK),
          `const i = ${chunk} * ${CHUNK} + j;\nif (i < ${length}) { sum += ${x!(['i'])}; }`,
        )}`,
        value: 'sum',
      }),
    }),
  );
}

/** y = sum of x^2, as one value. Sums over the last axes first. */
export const lowerSumOfSquares: Lowering = ({ inputs: [x], plan }) => {
  const square = (value: string): string => `${value} * ${value}`;
  const sumLastAxes = (tensor: PlannedTensor, term: (value: string) => string): PlannedTensor => {
    const { shape } = tensor.layout;
    const kept = shape.slice(0, shape.length > 3 ? -2 : -1);
    const axes = shape.map((_, axis) => axis).slice(kept.length);
    const sums = plan.kernel({
      inputs: [tensor],
      shape: kept.length > 0 ? kept : [shape[0] ?? 1],
      body: ([read], at) =>
        kept.length > 0
          ? {
              statements: sumOver(shape, axes, (axis) => term(read!(shape.map((_, i) => axis(i) ?? at[i]!)))),
              value: 'sum',
            }
          : { value: term(read!(at)) },
    });
    return kept.length > 1 ? sumLastAxes(sums, (sum) => sum) : sumVector(plan, sums);
  };
  return sumLastAxes(x!, square);
};
