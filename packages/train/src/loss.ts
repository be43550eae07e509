/** Losses as functions from nodes to a scalar node; what they read beside logits and labels travels with them. */
import { crossEntropyLoss, type Node, nllLoss, tensor, type Weights } from '@cnn/core';

/** Builds the loss of a batch, a scalar, from logits (n x classes) and labels (n). */
export interface Loss {
  (logits: Node, labels: Node): Node;
  /** Tensors that the loss reads as parameters of the graph, by name; nothing trains them. */
  readonly constants?: Weights;
}

/** Options of {@link negativeLogLikelihood}. */
export interface NegativeLogLikelihoodOptions {
  /** A weight per class; the mean over the batch is then weighted too, as in PyTorch. Default: all 1. */
  readonly classWeights?: readonly number[];
}

/** Options of {@link crossEntropy}. */
export interface CrossEntropyLossOptions extends NegativeLogLikelihoodOptions {
  /** Share of the target spread evenly over all classes (https://arxiv.org/abs/1512.00567). Default 0. */
  readonly labelSmoothing?: number;
}

const CLASS_WEIGHTS = 'loss.classWeights';

/** A loss with class weights lifted into the graph. */
function weighted(
  classWeights: readonly number[] | undefined,
  build: (logits: Node, labels: Node, classWeights: Node | undefined) => Node,
): Loss {
  if (!classWeights) return (logits, labels) => build(logits, labels, undefined);
  for (const [label, weight] of classWeights.entries())
    if (!(weight >= 0 && Number.isFinite(weight)))
      throw new RangeError(`The weight of class ${label} is ${weight}; give a finite number from 0 up.`);
  const value = tensor(classWeights, [classWeights.length]);
  return Object.assign(
    (logits: Node, labels: Node) =>
      build(logits, labels, logits.graph.parameter(CLASS_WEIGHTS, value.shape, false)),
    { constants: new Map([[CLASS_WEIGHTS, value]]) },
  );
}

/**
 * Cross entropy of logits, averaged over the batch: PyTorch's `CrossEntropyLoss`.
 * @throws RangeError for a class weight that is negative or not finite.
 * @throws ShapeError, when the step is built, for class weights that are not one for each class.
 * @example
 * const loss = crossEntropy({ labelSmoothing: 0.1, classWeights: [1, 1, 5] });
 */
export const crossEntropy = ({ labelSmoothing = 0, classWeights }: CrossEntropyLossOptions = {}): Loss =>
  weighted(classWeights, (logits, labels, weights) =>
    crossEntropyLoss(logits, labels, { labelSmoothing, classWeights: weights }),
  );

/** The same for networks that end in log-softmax: PyTorch's `NLLLoss`. */
export const negativeLogLikelihood = ({ classWeights }: NegativeLogLikelihoodOptions = {}): Loss =>
  weighted(classWeights, (logProbabilities, labels, weights) =>
    nllLoss(logProbabilities, labels, { classWeights: weights }),
  );
