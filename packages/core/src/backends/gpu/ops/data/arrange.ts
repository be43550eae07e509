/** Ops that move values. Each kernel maps the coordinates of the result to those of an input. */
import type {
  ChannelShuffleAttrs,
  ConcatAttrs,
  PadAttrs,
  ReshapeAttrs,
  SliceAttrs,
} from '../../../../ops/arrange.js';
import type { FillAttrs } from '../../../../ops/fill.js';
import { type Shape, sizeOf } from '../../../../tensor/shape.js';
import { divide } from '../../kernels/expression.js';
import { EXACT_INTEGERS, equalPadding, noPadding } from '../../layout/types.js';
import { MAX_INPUTS } from '../../plan/builder.js';
import type { PlannedTensor } from '../../plan/plan.js';
import { unavailable } from '../../unavailable.js';
import { type Lowering, type LoweringContext, withCoordinate, writeResult } from '../lowering.js';

/** Concatenates the inputs. More than a kernel can read are first concatenated in groups. */
export const lowerConcat: Lowering<ConcatAttrs> = (context) => {
  const { axis } = context.attrs;
  const concat = (
    inputs: readonly PlannedTensor[],
    { plan, shape, storedPadding }: Pick<LoweringContext, 'plan' | 'shape' | 'storedPadding'>,
  ): PlannedTensor =>
    plan.kernel({
      inputs,
      shape,
      padding: storedPadding,
      body: (read, at) => {
        let start = 0;
        const copies = inputs.map(({ layout }, index) => {
          const from = start;
          start += layout.shape[axis]!;
          const within = from === 0 ? at[axis]! : `(${at[axis]} - ${from})`;
          const value = read[index]!(withCoordinate(at, axis, within));
          return `if (${at[axis]} >= ${from} && ${at[axis]} < ${start}) { moved = ${value}; }`;
        });
        return { statements: `let moved = 0.0;\n${copies.join('\n')}`, value: 'moved' };
      },
    });
  let parts = context.inputs;
  while (parts.length > MAX_INPUTS) {
    const concatenated: PlannedTensor[] = [];
    for (let i = 0; i < parts.length; i += MAX_INPUTS) {
      const group = parts.slice(i, i + MAX_INPUTS);
      const extent = group.reduce((sum, { layout }) => sum + layout.shape[axis]!, 0);
      const shape = context.shape.map((size, at) => (at === axis ? extent : size));
      concatenated.push(
        group.length === 1
          ? group[0]!
          : concat(group, { plan: context.plan, shape, storedPadding: noPadding }),
      );
    }
    parts = concatenated;
  }
  return concat(parts, context);
};

/** Takes every `step`-th index along the axis. */
export const lowerSlice: Lowering<SliceAttrs> = (context) => {
  const { axis, start, step } = context.attrs;
  return writeResult(context, context.inputs, ([x], at) => ({
    value: x!(withCoordinate(at, axis, `(${at[axis]} * ${step} + ${start})`)),
  }));
};

/** dx = dy at the indices of the slice, zero elsewhere. Inputs: dy, x (for its shape). */
export const lowerSliceGrad: Lowering<SliceAttrs> = (context) => {
  const { axis, start, end, step } = context.attrs;
  return writeResult(context, [context.inputs[0]!], ([dy], at) => ({
    statements: `let moved = 0.0;
const from = ${at[axis]} - ${start};
const taken = Math.floor((from + 0.5) / ${step});
if (from >= 0 && from < ${end - start} && taken * ${step} === from) { moved = ${dy!(withCoordinate(at, axis, 'taken'))}; }`,
    value: 'moved',
  }));
};

/** Adds zeros around the input. */
export const lowerPad: Lowering<PadAttrs> = (context) => {
  const { before } = context.attrs;
  const source = context.node.inputs[0]!.shape;
  return writeResult(context, context.inputs, ([x], at) => {
    const from = at.map((coordinate, axis) =>
      before[axis] ? `(${coordinate} - ${before[axis]})` : coordinate,
    );
    const tests = from.flatMap((coordinate, axis) =>
      context.shape[axis] === source[axis] ? [] : [`${coordinate} >= 0 && ${coordinate} < ${source[axis]}`],
    );
    const value = x!(from);
    if (tests.length === 0) return { value };
    return {
      statements: `let moved = 0.0;\nif (${tests.join(' && ')}) { moved = ${value}; }`,
      value: 'moved',
    };
  });
};

/** Transposes the channels, as a matrix of `groups` rows. */
export const lowerChannelShuffle: Lowering<ChannelShuffleAttrs> = (context) => {
  const { groups } = context.attrs;
  const channels = context.shape[1]!;
  return writeResult(context, context.inputs, ([x], at) => ({
    statements: divide(at[1]!, groups, channels, 'column', 'row'),
    value: x!(withCoordinate(at, 1, `(row * ${channels / groups} + column)`)),
  }));
};

/** Gives the largest numbers of leading axes of two shapes that hold equally many elements. */
function commonLeadingAxes(a: Shape, b: Shape): readonly [axesA: number, axesB: number] {
  let best: readonly [number, number] = [0, 0];
  for (let i = 0; i <= a.length; i++)
    for (let j = 0; j <= b.length; j++)
      if (sizeOf(a.slice(0, i)) === sizeOf(b.slice(0, j)) && sizeOf(a.slice(0, i)) < EXACT_INTEGERS)
        best = [i, j];
  return best;
}

/** Writes the row-major index of coordinates. */
const flatten = (at: readonly string[], extents: Shape): string =>
  at.reduce(
    (index, coordinate, i) => (index === '0' ? coordinate : `((${index}) * ${extents[i]} + ${coordinate})`),
    '0',
  );

/** Writes statements that declare the coordinates of a row-major index; the variables begin with `prefix`. */
function unflatten(
  index: string,
  extents: Shape,
  prefix: string,
): { readonly statements: string; readonly at: readonly string[] } {
  const statements: string[] = [`const ${prefix}Index = ${index};`];
  const at: string[] = [];
  let rest = `${prefix}Index`;
  let bound = sizeOf(extents);
  for (const [axis] of extents.entries()) {
    const inner = sizeOf(extents.slice(axis + 1));
    if (axis === extents.length - 1) at.push(rest);
    else if (extents[axis] === 1) at.push('0');
    else {
      statements.push(divide(rest, inner, bound, `${prefix}${axis}`, `${prefix}Rest${axis}`));
      at.push(`${prefix}${axis}`);
      rest = `${prefix}Rest${axis}`;
      bound = inner;
    }
  }
  return { statements: statements.join('\n'), at };
}

/**
 * Gives the values another shape. The index is split into that of the leading axes and that of the rest, so
 * that neither exceeds the integers that float32 holds.
 */
export const lowerReshape: Lowering<ReshapeAttrs> = (context) => {
  const source = context.node.inputs[0]!.shape;
  const [from, to] = commonLeadingAxes(source, context.shape);
  const blockSize = sizeOf(source.slice(from));
  if (blockSize >= EXACT_INTEGERS)
    throw unavailable(
      `${context.node.graph.at(context.node.path)}: the gpu back end cannot reshape ${source.join('x')} to ${context.shape.join('x')}: that takes indices of ${blockSize} values, and it has indices up to ${EXACT_INTEGERS - 1}.`,
    );
  return writeResult(context, context.inputs, ([x], at) => {
    const leadIndex = flatten(at.slice(0, to), context.shape.slice(0, to));
    const lead = unflatten(leadIndex, source.slice(0, from), 'lead');
    const blockIndex = flatten(at.slice(to), context.shape.slice(to));
    const block = unflatten(blockIndex, source.slice(from), 'block');
    return { statements: `${lead.statements}\n${block.statements}`, value: x!([...lead.at, ...block.at]) };
  });
};

/** Dropout and stochastic depth at inference: the input itself, or a copy if its padding differs. */
export const lowerNeutral: Lowering = (context) =>
  equalPadding(
    context.inputs[0]!.layout.padding,
    context.plan.layout(context.shape, context.storedPadding).padding,
  )
    ? context.inputs[0]!
    : writeResult(context, context.inputs, ([x], at) => ({ value: x!(at) }));

/** Constant of one value. */
export const lowerFill: Lowering<FillAttrs> = ({ attrs: { value, shape }, storedPadding, plan }) =>
  plan.constant(
    {
      shape,
      get data() {
        return new Float32Array(sizeOf(shape)).fill(value);
      },
    },
    storedPadding,
  );
