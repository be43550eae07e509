/** Ops that move values: what placement could not turn into views and writing in place is copied here. */
import type { Node } from '../../../../graph/graph.js';
import type { ChannelShuffleAttrs, ConcatAttrs, PadAttrs, SliceAttrs } from '../../../../ops/arrange.js';
import type { Shape } from '../../../../tensor/shape.js';
import { FLOAT } from '../../codegen/kernel.js';
import { type Pixels, pixelRuns, storedFloats, stridesOf } from '../../memory/layout.js';
import type { Interleaving } from '../../schedule/fusions.js';
import type { Planner } from '../../schedule/planner.js';
import { copyLoops, copyPhaseOf, type Lowering, pixelsOf, spreadPixels, zeroPhase } from '../lowering.js';
import { interleaveKernel } from './shuffledConcatKernel.js';

/** A node's strides in floats. */
const strides = (p: Planner, node: Node): readonly number[] => stridesOf(p.value(node), node.shape);

/** Floats from the first value to the one at an index. */
const offset = (index: readonly number[], steps: readonly number[]): number =>
  index.reduce((sum, i, axis) => sum + i * steps[axis]!, 0);

/** Copies a box of values of this shape; offsets in floats. */
function copyBox(
  p: Planner,
  shape: Shape,
  from: { readonly node: Node; readonly at: number; readonly strides: readonly number[] },
  to: { readonly node: Node; readonly at: number; readonly strides: readonly number[] },
): void {
  p.algorithm('copy');
  copyPhaseOf(
    p,
    p.value(from.node).at.plus(from.at * FLOAT),
    p.value(to.node).at.plus(to.at * FLOAT),
    copyLoops(shape, from.strides, to.strides),
  );
}

export const lowerConcat: Lowering<ConcatAttrs> = (p, node) => {
  const { axis } = node.attrs;
  const to = strides(p, node);
  const y = p.value(node).at;
  let start = 0;
  for (const part of node.inputs) {
    const at = start * to[axis]!;
    start += part.shape[axis]!;
    const value = p.value(part);
    const inPlace = value.at.region === y.region && value.at.offset === y.offset + at * FLOAT;
    if (!inPlace)
      copyBox(p, part.shape, { node: part, at: 0, strides: strides(p, part) }, { node, at, strides: to });
  }
};

export const lowerSlice: Lowering<SliceAttrs> = (p, node) => {
  const [x] = node.inputs as [Node];
  const { axis, start, step } = node.attrs;
  const from = strides(p, x);
  copyBox(
    p,
    node.shape,
    {
      node: x,
      at: start * from[axis]!,
      strides: from.map((stride, i) => (i === axis ? stride * step : stride)),
    },
    { node, at: 0, strides: strides(p, node) },
  );
};

/** dy where the slice was taken, zero elsewhere. */
export const lowerSliceGrad: Lowering<SliceAttrs> = (p, node) => {
  const [dy] = node.inputs as [Node];
  const { axis, start, step } = node.attrs;
  const to = strides(p, node);
  p.algorithm('copy');
  zeroPhase(p, p.value(node).at, storedFloats(node.shape) * FLOAT);
  copyBox(
    p,
    dy.shape,
    { node: dy, at: 0, strides: strides(p, dy) },
    {
      node,
      at: start * to[axis]!,
      strides: to.map((stride, i) => (i === axis ? stride * step : stride)),
    },
  );
};

export const lowerPad: Lowering<PadAttrs> = (p, node) => {
  const [x] = node.inputs as [Node];
  const to = strides(p, node);
  p.algorithm('copy');
  zeroPhase(p, p.value(node).at, storedFloats(node.shape) * FLOAT);
  copyBox(
    p,
    x.shape,
    { node: x, at: 0, strides: strides(p, x) },
    { node, at: offset(node.attrs.before, to), strides: to },
  );
};

/** Channel j * groups + g of y is channel g * (c / groups) + j of x. */
export const lowerChannelShuffle: Lowering<ChannelShuffleAttrs> = (p, node) => {
  const { groups } = node.attrs;
  const [x, y] = [pixelsOf(p, node.inputs[0]!), pixelsOf(p, node)];
  const each = x.c / groups;
  if (groups === 2) {
    const half = { ...x, c: each };
    interleave(p, half, { ...half, at: x.at.plus(each * FLOAT) }, y);
    return;
  }
  const step = (bytes: number): number => bytes / FLOAT;
  p.algorithm('copy');
  copyPhaseOf(
    p,
    x.at,
    y.at,
    copyLoops(
      [x.n, x.h, x.w, each, groups],
      [step(x.image), step(x.row), step(x.pixel), 1, each],
      [step(y.image), step(y.row), step(y.pixel), groups, 1],
    ),
  );
};

/** A concatenation and the shuffle after it: channel j * groups + g of y is channel j of part g. */
export function lowerInterleaving(p: Planner, { parts }: Interleaving, node: Node): void {
  const y = pixelsOf(p, node);
  const sources = parts.map((part) => pixelsOf(p, part));
  if (parts.length === 2) {
    interleave(p, sources[0]!, sources[1]!, y);
    return;
  }
  p.algorithm('copy');
  for (const [index, x] of sources.entries()) {
    const every = { ...y, at: y.at.plus(index * FLOAT) };
    const strides = ({ image, row, pixel }: Pixels): readonly number[] =>
      [image, row, pixel].map((bytes) => bytes / FLOAT);
    copyPhaseOf(
      p,
      x.at,
      every.at,
      copyLoops([x.n, x.h, x.w, x.c], [...strides(x), 1], [...strides(every), parts.length]),
    );
  }
}

/** The channels of two values in turns. */
function interleave(p: Planner, first: Pixels, second: Pixels, y: Pixels): void {
  const runs = pixelRuns(first, second, y);
  const shape = { channels: first.c, first: first.pixel, second: second.pixel, y: y.pixel };
  const call = p.kernel(interleaveKernel, shape);
  p.algorithm('interleave');
  spreadPixels(p, runs, (run, from, pixels) =>
    call({
      first: runs.at(first, run, from),
      second: runs.at(second, run, from),
      y: runs.at(y, run, from),
      pixels,
    }),
  );
}
