/**
 * Sums over some of the axes. A sum over pictures goes in two steps, within each plane and then over the
 * batch, so that there is a thread for each plane and no long sum loses its small terms.
 */
import type { SumToAttrs } from '../../../ops/reduce.js';
import type { Shape } from '../../../tensor/shape.js';
import type { PlanBuilder, Read, Value } from '../plan/plan.js';
import { finish, type Lower, type Lowering, loop } from './lowering.js';

/** Loops over the given axes of a shape, as `j0`, `j1` and so on; `inner` adds to `line`, and lines to `sum`. */
function over(
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

/** A term of a sum per channel: reads its inputs at an element, and vectors at the channel. */
export type ChannelTerm = (read: readonly Read[], at: readonly string[], channel: string) => string;

/** The sum per channel of a term over everything else, and what is made of it at the end. */
export function channelReduce(
  call: Lowering<object>,
  inputs: readonly Value[],
  term: ChannelTerm,
  last: {
    readonly inputs?: readonly Value[];
    readonly body?: (read: readonly Read[], sum: string, at: string) => string;
  } = {},
): Value {
  const source = inputs[0]!.layout.shape;
  const { inputs: more = [], body = (_, sum) => sum } = last;
  const [n, c] = source as unknown as readonly [number, number];
  if (source.length === 2)
    return finish(call, [...inputs, ...more], (read, [channel]) => ({
      statements: over(source, [0], (axis) => term(read, [axis(0)!, channel!], channel!)),
      value: body(read.slice(inputs.length), 'sum', channel!),
    }));
  const rest = source.map((_, axis) => axis).slice(2);
  const planes = call.plan.kernel({
    inputs,
    shape: [n, c],
    body: (read, at) => ({
      statements: over(source, rest, (axis) =>
        term(
          read,
          source.map((_, i) => axis(i) ?? at[i]!),
          at[1]!,
        ),
      ),
      value: 'sum',
    }),
  });
  return finish(call, [planes, ...more], ([sums, ...read], [channel]) => ({
    statements: over([n, c], [0], (axis) => sums!([axis(0)!, channel!])),
    value: body(read, 'sum', channel!),
  }));
}

/** y[c] = sum of x over everything but the channel. */
export const lowerChannelSum: Lower<object> = (call) => channelReduce(call, call.inputs, ([x], at) => x!(at));

/** Sums over the axes that are 1 in the result. */
export const lowerSumTo: Lower<SumToAttrs> = (call) => {
  const source = call.node.inputs[0]!.shape;
  const axes = source.map((_, axis) => axis).filter((axis) => call.shape[axis] !== source[axis]);
  return finish(call, call.inputs, ([x], at) => ({
    statements: over(source, axes, (axis) => x!(source.map((_, i) => axis(i) ?? at[i]!))),
    value: 'sum',
  }));
};

/** Terms that one thread adds up of a long row. */
const CHUNK = 64;

/** The sum of a row: chunk by chunk, until one is left. */
function sumRow(plan: PlanBuilder, row: Value): Value {
  const length = row.layout.shape[0]!;
  if (length === 1) return row;
  const chunks = Math.ceil(length / CHUNK);
  return sumRow(
    plan,
    plan.kernel({
      inputs: [row],
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

/** y = sum of x^2, as one value: over the last axes first. */
export const lowerSumOfSquares: Lower<object> = ({ inputs: [x], plan }) => {
  const square = (value: string): string => `${value} * ${value}`;
  const collapse = (value: Value, term: (value: string) => string): Value => {
    const { shape } = value.layout;
    const kept = shape.slice(0, shape.length > 3 ? -2 : -1);
    const axes = shape.map((_, axis) => axis).slice(kept.length);
    const sums = plan.kernel({
      inputs: [value],
      shape: kept.length > 0 ? kept : [shape[0] ?? 1],
      body: ([read], at) =>
        kept.length > 0
          ? {
              statements: over(shape, axes, (axis) => term(read!(shape.map((_, i) => axis(i) ?? at[i]!)))),
              value: 'sum',
            }
          : { value: term(read!(at)) },
    });
    return kept.length > 1 ? collapse(sums, (sum) => sum) : sumRow(plan, sums);
  };
  return collapse(x!, square);
};
