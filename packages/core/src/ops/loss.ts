/**
 * Classification losses. Labels are class indices as float32, one a row. Every back end rejects a run with a
 * label that is not the index of a class.
 */
import { ShapeError } from '../errors.js';
import type { Node } from '../graph/graph.js';
import { logProbabilities } from '../tensor/scores.js';
import { formatShape, type Shape, sizeOf } from '../tensor/shape.js';
import { BACKWARD, defineOp, emit, type OpDefinition, type Values } from './define.js';

/**
 * Reduction of the losses of a batch to a scalar, as in PyTorch: `'mean'` divides the sum by the sum of the
 * class weights of the labels; `'none'` keeps one loss a row.
 */
export type Reduction = 'mean' | 'sum' | 'none';

/** Attributes of the negative log likelihood. */
export interface NllLossAttrs {
  readonly reduction: Reduction;
}

/** Attributes of cross entropy. */
export interface CrossEntropyAttrs extends NllLossAttrs {
  /** Fraction of the target distributed uniformly over all classes (https://arxiv.org/abs/1512.00567). */
  readonly labelSmoothing: number;
}

function lossShape([x, labels, weights]: readonly Shape[], { reduction }: NllLossAttrs): Shape {
  if (x?.length !== 2) throw new ShapeError(`a loss expects rows (n x classes), got ${formatShape(x ?? [])}`);
  if (labels?.length !== 1 || labels[0] !== x[0])
    throw new ShapeError(`${x[0]} rows need ${x[0]} labels, got ${formatShape(labels ?? [])}`);
  if (weights && (weights.length !== 1 || weights[0] !== x[1]))
    throw new ShapeError(`${x[1]} classes need ${x[1]} class weights, got ${formatShape(weights)}`);
  return reduction === 'none' ? [x[0]!] : [];
}

/**
 * Checks labels before a run, for back ends whose kernels cannot throw.
 * @throws RangeError for a label that is not an integer from 0 to `classes - 1`.
 */
export function requireLabels(labels: Values, classes: number): void {
  for (const row of labels.keys()) labelOf(labels, row, classes);
}

function labelOf(labels: Values, row: number, classes: number): number {
  const label = labels[row]!;
  if (!Number.isInteger(label) || label < 0 || label >= classes)
    throw new RangeError(
      `The label of row ${row} is ${label}; with ${classes} classes labels go from 0 to ${classes - 1}.`,
    );
  return label;
}

/**
 * Visits the classes of one row with a positive share of the target, by which their -log p is multiplied.
 * Classes without a share are skipped, since their log p may be -Infinity.
 */
function eachShare(
  classes: number,
  label: number,
  smoothing: number,
  weights: Values | undefined,
  visit: (c: number, share: number) => void,
): void {
  for (let c = 0; c < classes; c++) {
    const share = (c === label ? 1 - smoothing : 0) + smoothing / classes;
    if (share > 0) visit(c, share * (weights ? weights[c]! : 1));
  }
}

function batchDivisor(
  labels: Values,
  classes: number,
  weights: Values | undefined,
  reduction: Reduction,
): number {
  if (reduction !== 'mean') return 1;
  let sum = 0;
  for (let row = 0; row < labels.length; row++) sum += weights ? weights[labelOf(labels, row, classes)]! : 1;
  return sum;
}

/** Cross entropy of logits, a scalar or (n). Inputs: logits (n x c), labels (n), class weights? (c). */
export const crossEntropyOp = defineOp<CrossEntropyAttrs, 'training'>({
  op: 'crossEntropy',
  role: 'training',
  layout: 'activations',
  parameters: [2],
  shape(shapes, attrs) {
    const { labelSmoothing } = attrs;
    if (!(labelSmoothing >= 0 && labelSmoothing <= 1))
      throw new ShapeError(`label smoothing is a share from 0 to 1, got ${labelSmoothing}`);
    return lossShape(shapes, attrs);
  },
  reference({ inputs: [x, labels, weights], shapes: [xs], attrs: { reduction, labelSmoothing }, output }) {
    const [n, classes] = xs as [number, number];
    const by = batchDivisor(labels!, classes, weights, reduction);
    for (let row = 0; row < n; row++) {
      const logs = logProbabilities(x!, row * classes, 1, classes);
      eachShare(classes, labelOf(labels!, row, classes), labelSmoothing, weights, (c, share) => {
        output[reduction === 'none' ? row : 0]! -= (share * logs[c]!) / by;
      });
    }
  },
  gradient: ({ inputs: [x, ...rest], attrs }, upstream) => [
    emit(crossEntropyGradOp, [upstream, x!, ...rest], attrs),
  ],
  flops: ([x]) => 5 * sizeOf(x!),
});

/** dlogits of cross entropy. Inputs: dloss, logits, labels, class weights?. */
export const crossEntropyGradOp = defineOp<CrossEntropyAttrs, 'training'>({
  op: 'crossEntropyGrad',
  role: 'training',
  layout: 'activations',
  shape: ([, x]) => x!,
  reference({ inputs: [dy, x, labels, weights], attrs: { reduction, labelSmoothing }, output, shape }) {
    const [n, classes] = shape as [number, number];
    const by = batchDivisor(labels!, classes, weights, reduction);
    for (let row = 0; row < n; row++) {
      const logs = logProbabilities(x!, row * classes, 1, classes);
      const upstream = dy![reduction === 'none' ? row : 0]! / by;
      let total = 0;
      eachShare(classes, labelOf(labels!, row, classes), labelSmoothing, weights, (c, share) => {
        total += share;
        output[row * classes + c]! -= upstream * share;
      });
      for (let c = 0; c < classes; c++) output[row * classes + c]! += upstream * total * Math.exp(logs[c]!);
    }
  },
  gradient: BACKWARD,
  flops: ([, x]) => 6 * sizeOf(x!),
});

/** Negative log likelihood, a scalar or (n). Inputs: log-probabilities (n x c), labels (n), weights? (c). */
export const nllLossOp: OpDefinition<NllLossAttrs, 'training'> = defineOp<NllLossAttrs, 'training'>({
  op: 'nllLoss',
  role: 'training',
  layout: 'activations',
  parameters: [2],
  shape: lossShape,
  reference({ inputs: [x, labels, weights], shapes: [xs], attrs: { reduction }, output }) {
    const [n, classes] = xs as [number, number];
    const by = batchDivisor(labels!, classes, weights, reduction);
    for (let row = 0; row < n; row++) {
      const label = labelOf(labels!, row, classes);
      output[reduction === 'none' ? row : 0]! -=
        (x![row * classes + label]! * (weights ? weights[label]! : 1)) / by;
    }
  },
  gradient: ({ inputs: [x, ...rest], attrs }, upstream) => [
    emit(nllLossGradOp, [upstream, x!, ...rest], attrs),
  ],
  flops: ([x]) => x![0]!,
});

/**
 * Gradient of the negative log likelihood. Inputs: dloss, log-probabilities (for their shape), labels (n),
 * class weights? (c).
 */
export const nllLossGradOp: OpDefinition<NllLossAttrs, 'training'> = defineOp<NllLossAttrs, 'training'>({
  op: 'nllLossGrad',
  role: 'training',
  layout: 'activations',
  shape: ([, x]) => x!,
  reference({ inputs: [dy, , labels, weights], attrs: { reduction }, output, shape }) {
    const [n, classes] = shape as [number, number];
    const by = batchDivisor(labels!, classes, weights, reduction);
    for (let row = 0; row < n; row++) {
      const label = labelOf(labels!, row, classes);
      output[row * classes + label] =
        (-dy![reduction === 'none' ? row : 0]! * (weights ? weights[label]! : 1)) / by;
    }
  },
  gradient: BACKWARD,
  flops: ([, x]) => x![0]!,
});

/** Options of {@link crossEntropyLoss}. */
export interface CrossEntropyOptions {
  /** Fraction of the target distributed uniformly over all classes, from 0 to 1. Default 0. */
  readonly labelSmoothing?: number;
  /** A weight for each class, of shape (classes). Default: all 1. */
  readonly classWeights?: Node;
  /** Default `'mean'`. */
  readonly reduction?: Reduction;
}

/**
 * Computes the cross entropy of logits and labels (PyTorch's CrossEntropyLoss): a scalar, or (n) with the
 * reduction `'none'`.
 * @param logits - n x classes.
 * @param labels - class indices as float32, of shape (n).
 * @throws ShapeError for other shapes, and for a label smoothing outside 0 to 1.
 */
export const crossEntropyLoss = (
  logits: Node,
  labels: Node,
  { labelSmoothing = 0, classWeights, reduction = 'mean' }: CrossEntropyOptions = {},
): Node =>
  emit(crossEntropyOp, classWeights ? [logits, labels, classWeights] : [logits, labels], {
    labelSmoothing,
    reduction,
  });

/**
 * Computes the negative log likelihood of labels (PyTorch's NLLLoss), for networks that end in a log-softmax:
 * a scalar, or (n) if the reduction is `'none'`.
 * @param logProbabilities - n x classes.
 * @param labels - class indices as float32, of shape (n).
 * @throws ShapeError for other shapes.
 */
export const nllLoss = (
  logProbabilities: Node,
  labels: Node,
  { classWeights, reduction = 'mean' }: Omit<CrossEntropyOptions, 'labelSmoothing'> = {},
): Node =>
  emit(nllLossOp, classWeights ? [logProbabilities, labels, classWeights] : [logProbabilities, labels], {
    reduction,
  });
