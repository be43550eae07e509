/** Classification losses and their gradients. */
import type { Node } from '../../../../graph/graph.js';
import { type CrossEntropyAttrs, type NllLossAttrs, requireLabels } from '../../../../ops/loss.js';
import { FLOAT } from '../../codegen/kernel.js';
import type { Pixels } from '../../memory/layout.js';
import type { Pointer } from '../../memory/region.js';
import type { Planner } from '../../schedule/planner.js';
import { type Lowering, pixelsOf } from '../lowering.js';
import {
  classNumbers,
  type LossShape,
  labelWeights,
  lossGradient,
  rowLosses,
  sumNumbers,
} from './lossKernel.js';

export const lowerCrossEntropy: Lowering<CrossEntropyAttrs> = (p, node) => loss(p, node, true, node.attrs);

export const lowerNllLoss: Lowering<NllLossAttrs> = (p, node) =>
  loss(p, node, false, { ...node.attrs, labelSmoothing: 0 });

export const lowerCrossEntropyGrad: Lowering<CrossEntropyAttrs> = (p, node) =>
  gradient(p, node, true, node.attrs);

export const lowerNllLossGrad: Lowering<NllLossAttrs> = (p, node) =>
  gradient(p, node, false, { ...node.attrs, labelSmoothing: 0 });

/** What a loss and its gradient read, with the phases that prepare it. */
interface Prepared {
  readonly shape: LossShape;
  readonly rows: number;
  readonly x: Pixels;
  readonly labels: Pointer;
  /** Class weights, if there are any. */
  readonly weights?: Pointer;
  readonly numbers: Pointer;
  /** The weight of each row's label. */
  readonly labelWeights: Pointer;
  /** What every loss is divided by: the sum of the labels' weights for a mean, else 1. */
  readonly divisor: Pointer;
}

function prepare(
  p: Planner,
  inputs: readonly Node[],
  logits: boolean,
  { reduction, labelSmoothing }: CrossEntropyAttrs,
): Prepared {
  const [input, labelsNode, weightsNode] = inputs as [Node, Node, Node | undefined];
  const [rows, classes] = input.shape as [number, number];
  p.check(labelsNode, (data) => requireLabels(data, classes));
  const x = pixelsOf(p, input);
  const labels = p.value(labelsNode).at;
  const weights = weightsNode ? p.value(weightsNode).at : undefined;
  const numbers = p.keep(classes, classNumbers);
  const weighted = weightsNode !== undefined;
  const each = p.scratch(rows * FLOAT);
  p.algorithm('loss');
  const call = p.kernel(labelWeights, { classes, weighted });
  p.spread(rows, (from, to) => [
    call({
      labels: labels.plus(from * FLOAT),
      weights,
      numbers,
      results: each.plus(from * FLOAT),
      rows: to - from,
    }),
  ]);
  let divisor = p.keep(1, (target) => target.fill(1));
  if (reduction === 'mean') {
    divisor = p.scratch(FLOAT);
    const add = p.kernel(sumNumbers, { count: rows });
    p.spread(1, () => [add({ numbers: each, sum: divisor })]);
  }
  const shape = { classes, logits, labelSmoothing, weighted, row: x.image };
  return { shape, rows, x, labels, weights, numbers, labelWeights: each, divisor };
}

function loss(p: Planner, node: Node, logits: boolean, attrs: CrossEntropyAttrs): void {
  const { shape, rows, x, labels, weights, numbers, ...made } = prepare(p, node.inputs, logits, attrs);
  const y = p.value(node).at;
  const losses = attrs.reduction === 'none' ? y : p.scratch(rows * FLOAT);
  const call = p.kernel(rowLosses, shape);
  p.spread(rows, (from, to) => {
    const row = (pointer: Pointer) => pointer.plus(from * FLOAT);
    return [
      call({
        x: x.at.plus(from * x.image),
        labels: row(labels),
        weights,
        numbers,
        labelWeights: row(made.labelWeights),
        divisor: made.divisor,
        losses: row(losses),
        rows: to - from,
      }),
    ];
  });
  if (attrs.reduction === 'none') return;
  const add = p.kernel(sumNumbers, { count: rows });
  p.spread(1, () => [add({ numbers: losses, sum: y })]);
}

function gradient(p: Planner, node: Node, logits: boolean, attrs: CrossEntropyAttrs): void {
  const [upstream, ...inputs] = node.inputs as [Node, ...Node[]];
  const { shape, rows, x, labels, weights, numbers, ...made } = prepare(p, inputs, logits, attrs);
  const dx = pixelsOf(p, node);
  const dloss = p.value(upstream).at;
  const step = attrs.reduction === 'none' ? FLOAT : 0;
  const call = p.kernel(lossGradient, { ...shape, dx: dx.image });
  p.spread(rows, (from, to) => {
    const row = (pointer: Pointer) => pointer.plus(from * FLOAT);
    return [
      call({
        dloss: dloss.plus(from * step),
        x: x.at.plus(from * x.image),
        labels: row(labels),
        weights,
        numbers,
        labelWeights: row(made.labelWeights),
        divisor: made.divisor,
        dx: dx.at.plus(from * dx.image),
        rows: to - from,
        step,
      }),
    ];
  });
}
