/** Ops that move values: the kernel of each is the map from an element of the result to one of the source. */
import { BackendUnavailable } from '../../../../errors.js';
import type {
  ChannelShuffleAttrs,
  ConcatAttrs,
  PadAttrs,
  ReshapeAttrs,
  SliceAttrs,
} from '../../../../ops/arrange.js';
import type { RandomMaskAttrs } from '../../../../ops/dropout.js';
import { maskKeeps, maskKey } from '../../../../ops/dropout.js';
import type { FillAttrs } from '../../../../ops/fill.js';
import { type Shape, sizeOf } from '../../../../tensor/shape.js';
import { divide } from '../../kernels/expression.js';
import { EXACT, noFrame, sameFrame } from '../../layout/planar.js';
import { type HostValues, MOST_INPUTS, type Value } from '../../plan/plan.js';
import { finish, type Lower, type Lowering } from '../lowering.js';

const replaced = (at: readonly string[], axis: number, by: string): readonly string[] =>
  at.map((coordinate, i) => (i === axis ? by : coordinate));

/** The inputs one after the other; as many at a time as a kernel can read. */
export const lowerConcat: Lower<ConcatAttrs> = (call) => {
  const { axis } = call.attrs;
  const join = (
    inputs: readonly Value[],
    request: Pick<Lowering<object>, 'plan' | 'shape' | 'frame'>,
  ): Value =>
    request.plan.kernel({
      inputs,
      shape: request.shape,
      frame: request.frame,
      body: (read, at) => {
        let start = 0;
        const parts = inputs.map(({ layout }, index) => {
          const from = start;
          start += layout.shape[axis]!;
          const value = read[index]!(replaced(at, axis, from === 0 ? at[axis]! : `(${at[axis]} - ${from})`));
          return `if (${at[axis]} >= ${from} && ${at[axis]} < ${start}) { moved = ${value}; }`;
        });
        return { statements: `let moved = 0.0;\n${parts.join('\n')}`, value: 'moved' };
      },
    });
  let parts = call.inputs;
  while (parts.length > MOST_INPUTS) {
    const joined: Value[] = [];
    for (let i = 0; i < parts.length; i += MOST_INPUTS) {
      const some = parts.slice(i, i + MOST_INPUTS);
      const extent = some.reduce((sum, { layout }) => sum + layout.shape[axis]!, 0);
      const shape = call.shape.map((size, at) => (at === axis ? extent : size));
      joined.push(some.length === 1 ? some[0]! : join(some, { plan: call.plan, shape, frame: noFrame }));
    }
    parts = joined;
  }
  return join(parts, call);
};

/** Every `step`-th index along the axis. */
export const lowerSlice: Lower<SliceAttrs> = (call) => {
  const { axis, start, step } = call.attrs;
  return finish(call, call.inputs, ([x], at) => ({
    value: x!(replaced(at, axis, `(${at[axis]} * ${step} + ${start})`)),
  }));
};

/** dy where it was taken, zero elsewhere. Inputs: dy, x (for its shape). */
export const lowerSliceGrad: Lower<SliceAttrs> = (call) => {
  const { axis, start, end, step } = call.attrs;
  return finish(call, [call.inputs[0]!], ([dy], at) => ({
    statements: `let moved = 0.0;
const from = ${at[axis]} - ${start};
const taken = Math.floor((from + 0.5) / ${step});
if (from >= 0 && from < ${end - start} && taken * ${step} === from) { moved = ${dy!(replaced(at, axis, 'taken'))}; }`,
    value: 'moved',
  }));
};

/** Zeros around. */
export const lowerPad: Lower<PadAttrs> = (call) => {
  const { before } = call.attrs;
  const source = call.node.inputs[0]!.shape;
  return finish(call, call.inputs, ([x], at) => {
    const from = at.map((coordinate, axis) =>
      before[axis] ? `(${coordinate} - ${before[axis]})` : coordinate,
    );
    const tests = from.flatMap((coordinate, axis) =>
      call.shape[axis] === source[axis] ? [] : [`${coordinate} >= 0 && ${coordinate} < ${source[axis]}`],
    );
    const value = x!(from);
    if (tests.length === 0) return { value };
    return {
      statements: `let moved = 0.0;\nif (${tests.join(' && ')}) { moved = ${value}; }`,
      value: 'moved',
    };
  });
};

/** Channels read column by column. */
export const lowerChannelShuffle: Lower<ChannelShuffleAttrs> = (call) => {
  const { groups } = call.attrs;
  const channels = call.shape[1]!;
  return finish(call, call.inputs, ([x], at) => ({
    statements: divide(at[1]!, groups, channels, 'column', 'row'),
    value: x!(replaced(at, 1, `(row * ${channels / groups} + column)`)),
  }));
};

/** How many leading axes of each shape hold the same elements, and the sizes of what is behind. */
function commonLead(a: Shape, b: Shape): readonly [axesA: number, axesB: number] {
  let best: readonly [number, number] = [0, 0];
  for (let i = 0; i <= a.length; i++)
    for (let j = 0; j <= b.length; j++)
      if (sizeOf(a.slice(0, i)) === sizeOf(b.slice(0, j)) && sizeOf(a.slice(0, i)) < EXACT) best = [i, j];
  return best;
}

/** A row-major index from the coordinates along some axes. */
const flatten = (at: readonly string[], extents: Shape): string =>
  at.reduce(
    (index, coordinate, i) => (index === '0' ? coordinate : `((${index}) * ${extents[i]} + ${coordinate})`),
    '0',
  );

/** Statements and names of the coordinates along some axes, from a row-major index. */
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

/** The same values under another shape: the axes that lead to the same block, then the place in the block. */
export const lowerReshape: Lower<ReshapeAttrs> = (call) => {
  const source = call.node.inputs[0]!.shape;
  const [from, to] = commonLead(source, call.shape);
  const behind = sizeOf(source.slice(from));
  if (behind >= EXACT)
    throw new BackendUnavailable(
      'gpu',
      `${call.node.graph.at(call.node.path)}: the gpu back end cannot reshape ${source.join('x')} to ${call.shape.join('x')}: ${behind} values in a block are more than it can count. Use the wasm back end.`,
    );
  return finish(call, call.inputs, ([x], at) => {
    const lead = unflatten(flatten(at.slice(0, to), call.shape.slice(0, to)), source.slice(0, from), 'lead');
    const block = unflatten(flatten(at.slice(to), call.shape.slice(to)), source.slice(from), 'block');
    return { statements: `${lead.statements}\n${block.statements}`, value: x!([...lead.at, ...block.at]) };
  });
};

/** What has been neutral since the graph was made ready for inference, or is so outside of training. */
export const lowerNeutral: Lower<object> = (call) =>
  sameFrame(call.inputs[0]!.layout.frame, call.plan.layout(call.shape, call.frame).frame)
    ? call.inputs[0]!
    : finish(call, call.inputs, ([x], at) => ({ value: x!(at) }));

/** A constant. */
export const lowerFill: Lower<FillAttrs> = ({ attrs: { value, shape }, frame, plan }) =>
  plan.constant(
    {
      shape,
      get data() {
        return new Float32Array(sizeOf(shape)).fill(value);
      },
    },
    frame,
  );

/** How the host gets at a value when a run starts; undefined where only the device has it. */
const onHost = ({ origin }: Value): ((host: HostValues) => Float32Array) | undefined =>
  origin.kind === 'fed' ? origin.of : origin.kind === 'constant' ? () => origin.values.data : undefined;

/** Masks are drawn on the host: the hash needs whole numbers of 32 bits, and a kernel's have 24. */
export const lowerRandomMask: Lower<RandomMaskAttrs> = ({
  attrs: { keep, stream },
  inputs,
  node,
  shape,
  frame,
  plan,
}) => {
  const seed = onHost(inputs[0]!);
  if (!seed)
    throw new BackendUnavailable(
      'gpu',
      `${node.graph.at(node.path)}: the gpu back end draws masks from a seed that is an input or a parameter, not from a computed one. Use the wasm back end.`,
    );
  return plan.fed(
    shape,
    (host) => {
      const key = maskKey(seed(host)[0]!, stream);
      return Float32Array.from({ length: sizeOf(shape) }, (_, i) => (maskKeeps(key, i, keep) ? 1 / keep : 0));
    },
    frame,
  );
};
