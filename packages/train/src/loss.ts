/** Losses as functions from nodes to a scalar node, with the constants that they read. */
import { type Node, tensor, type Weights } from '@cnn/core';
import { crossEntropyLoss, nllLoss } from '@cnn/core/graph';

/** Builds the loss of a batch, a scalar node, from logits (n x classes) and labels (n). */
export interface Loss {
  (logits: Node, labels: Node): Node;
  /** Tensors by name that the loss reads as parameters of the graph; they are not trained. */
  readonly constants?: Weights;
}

/** Options of {@link negativeLogLikelihood}. */
export interface NegativeLogLikelihoodOptions {
  /** One weight per class, which also weights the mean over the batch, as in PyTorch. Default: all 1. */
  readonly classWeights?: readonly number[];
}

/** Options of {@link crossEntropy}. */
export interface CrossEntropyLossOptions extends NegativeLogLikelihoodOptions {
  /** Fraction of each target given evenly to all classes (https://arxiv.org/abs/1512.00567). Default 0. */
  readonly labelSmoothing?: number;
}

/** Name of the class weights among the parameters of a step. */
export const CLASS_WEIGHTS = 'loss.classWeights';

/** Makes a loss whose class weights are a parameter of the graph. */
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
 * Makes the cross entropy of logits, averaged over the batch: PyTorch's `CrossEntropyLoss`.
 * @throws RangeError for a class weight that is negative or not finite.
 * @throws ShapeError, when the step is built, if there is not one weight per class.
 * @example
 * const loss = crossEntropy({ labelSmoothing: 0.1, classWeights: [1, 1, 5] });
 */
export const crossEntropy = ({ labelSmoothing = 0, classWeights }: CrossEntropyLossOptions = {}): Loss =>
  weighted(classWeights, (logits, labels, weights) =>
    crossEntropyLoss(logits, labels, { labelSmoothing, classWeights: weights }),
  );

/** Makes the loss of networks that end in log-softmax: PyTorch's `NLLLoss`. */
export const negativeLogLikelihood = ({ classWeights }: NegativeLogLikelihoodOptions = {}): Loss =>
  weighted(classWeights, (logProbabilities, labels, weights) =>
    nllLoss(logProbabilities, labels, { classWeights: weights }),
  );
