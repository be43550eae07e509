/** Ops that move values, where placement could not make them views or in-place writes. */
import type { Node } from '../../../../graph/graph.js';
import type { ConcatAttrs, PadAttrs, SliceAttrs } from '../../../../ops/arrange.js';
import type { FillAttrs } from '../../../../ops/fill.js';
import { type Shape, sizeOf } from '../../../../tensor/shape.js';
import { FLOAT } from '../../codegen/kernel.js';
import { storedFloats, stridesOf } from '../../memory/layout.js';
import type { Pointer } from '../../memory/region.js';
import type { LoweringContext } from '../../schedule/context.js';
import type { Lowering } from '../lowering.js';
import { copyLoops, copyPhase, copyPhaseOf, zeroPhase } from './copy.js';

/** A node's strides in floats. */
const stridesOfNode = (p: LoweringContext, node: Node): readonly number[] =>
  stridesOf(p.value(node), node.shape);

/** Multiplies the stride of one axis by the step of a slice. */
const withStep = (strides: readonly number[], axis: number, step: number): readonly number[] =>
  strides.map((stride, i) => (i === axis ? stride * step : stride));

/** A box within a node's value: offset of its first value and strides, in floats. */
interface Box {
  readonly node: Node;
  readonly offset: number;
  readonly strides: readonly number[];
}

/** Adds a phase that copies a box of values of this shape. */
function copyBox(p: LoweringContext, shape: Shape, from: Box, to: Box): void {
  copyPhaseOf(
    p,
    p.value(from.node).at.plus(from.offset * FLOAT),
    p.value(to.node).at.plus(to.offset * FLOAT),
    copyLoops(shape, from.strides, to.strides),
  );
}

/** Copies the parts that were not written in place. */
export const lowerConcat: Lowering<ConcatAttrs> = (p, node) => {
  const { axis } = node.attrs;
  const strides = stridesOfNode(p, node);
  const y = p.value(node).at;
  let start = 0;
  for (const part of node.inputs) {
    const offset = start * strides[axis]!;
    start += part.shape[axis]!;
    const value = p.value(part);
    const inPlace = value.at.region === y.region && value.at.offset === y.offset + offset * FLOAT;
    if (inPlace) continue;
    const from = { node: part, offset: 0, strides: stridesOfNode(p, part) };
    copyBox(p, part.shape, from, { node, offset, strides });
  }
};

export const lowerSlice: Lowering<SliceAttrs> = (p, node) => {
  const [x] = node.inputs as [Node];
  const { axis, start, step } = node.attrs;
  const strides = stridesOfNode(p, x);
  copyBox(
    p,
    node.shape,
    { node: x, offset: start * strides[axis]!, strides: withStep(strides, axis, step) },
    { node, offset: 0, strides: stridesOfNode(p, node) },
  );
};

/** Writes dy where the slice was taken and zeros elsewhere. */
export const lowerSliceGrad: Lowering<SliceAttrs> = (p, node) => {
  const [dy] = node.inputs as [Node];
  const { axis, start, step } = node.attrs;
  const strides = stridesOfNode(p, node);
  zeroPhase(p, p.value(node).at, storedFloats(node.shape) * FLOAT);
  copyBox(
    p,
    dy.shape,
    { node: dy, offset: 0, strides: stridesOfNode(p, dy) },
    { node, offset: start * strides[axis]!, strides: withStep(strides, axis, step) },
  );
};

export const lowerPad: Lowering<PadAttrs> = (p, node) => {
  const [x] = node.inputs as [Node];
  const strides = stridesOfNode(p, node);
  const offset = node.attrs.before.reduce((sum, count, axis) => sum + count * strides[axis]!, 0);
  zeroPhase(p, p.value(node).at, storedFloats(node.shape) * FLOAT);
  copyBox(p, x.shape, { node: x, offset: 0, strides: stridesOfNode(p, x) }, { node, offset, strides });
};

export const lowerFill: Lowering<FillAttrs> = (p, node) => {
  const { value } = node.attrs;
  const constant = p.addConstant(1, (target) => target.fill(value));
  copyPhaseOf(p, constant, p.value(node).at, [{ count: storedFloats(node.shape), from: 0, to: 1 }]);
};

/** Copies x to another shape through row-major order, where the result cannot alias x. */
export const lowerReshape: Lowering<object> = (p, node) => {
  const [x] = node.inputs as [Node];
  const dense = (shape: Shape, at: Pointer) => ({ kind: 'dense', at, shape }) as const;
  const temporary = p.workspace(sizeOf(node.shape) * FLOAT);
  copyPhase(p, x.shape, p.value(x), dense(x.shape, temporary));
  copyPhase(p, node.shape, dense(node.shape, temporary), p.value(node));
};
