/**
 * Prepares a traced graph for a training step: batch norms normalise by the statistics of the batch and
 * update the running ones; dropout and stochastic depth multiply by random masks.
 */
import { ShapeError } from '../errors.js';
import { type Graph, isParameter, type Node } from '../graph/graph.js';
import { rewrite } from '../graph/rewrite.js';
import { mulOp } from '../ops/arithmetic.js';
import { batchNormTrainOp, channelMeanOp, channelVarianceOp } from '../ops/batchNorm.js';
import { emit } from '../ops/define.js';
import { randomMaskOp } from '../ops/dropout.js';
import { isOp } from '../ops/index.js';
import { runningAverageOp } from '../ops/optimizer.js';
import { formatShape, sizeOf } from '../tensor/shape.js';

/** Name of the input that seeds all random masks, of shape (1): an integer below 2^24, new in each step. */
export const SEED = 'seed';

/**
 * Makes the training form of a forward graph. A batch norm whose weight is not trainable (a frozen one) still
 * normalises by its running statistics, and does not update them. Adds the input `seed` if there are masks.
 * @throws ShapeError for a batch norm over a single value for each channel, which has no variance.
 */
export function forTraining(graph: Graph): Graph {
  /** Updated running statistics by name: a batch norm that is used twice averages twice, as in PyTorch. */
  const statistics = new Map<string, Node>();
  let streams = 0;
  const masked = (x: Node, rate: number, rowWise: boolean): Node => {
    if (rate === 0) return x;
    const seed = x.graph.input(SEED, [1]);
    const shape = rowWise ? x.shape.map((extent, axis) => (axis === 0 ? extent : 1)) : x.shape;
    return emit(mulOp, [x, emit(randomMaskOp, [seed], { keep: 1 - rate, shape, stream: streams++ })], {});
  };
  const result = rewrite(graph, (node, inputs, _, copy) => {
    const x = inputs[0]!;
    if (isOp(node, 'dropout')) return masked(x, node.attrs.p, false);
    if (isOp(node, 'stochasticDepth')) return masked(x, node.attrs.p, true);
    if (!isOp(node, 'batchNorm')) return copy();
    const [, weight, bias, runningMean, runningVariance] = inputs as [Node, Node, Node, Node, Node];
    if (!isParameter(weight) || !weight.attrs.trainable) return copy();
    const { eps, momentum } = node.attrs;
    const count = sizeOf(x.shape) / x.shape[1]!;
    if (count === 1)
      throw new ShapeError(
        `${graph.at(node.path)}: batch norm cannot be trained on one value for each channel, as in ${formatShape(x.shape)}; give a batch of two or more, or freeze the layer.`,
      );
    const mean = emit(channelMeanOp, [x], {}, node.path);
    const variance = emit(channelVarianceOp, [x, mean], {}, node.path);
    const track = (running: Node, value: Node, scale: number): void => {
      if (!isParameter(running)) return;
      const { name } = running.attrs;
      const before = statistics.get(name) ?? running;
      statistics.set(name, emit(runningAverageOp, [before, value], { momentum, scale }, node.path));
    };
    track(runningMean, mean, 1);
    track(runningVariance, variance, count / Math.max(1, count - 1));
    return emit(batchNormTrainOp, [x, weight, bias, mean, variance], { eps }, node.path);
  });
  for (const [name, value] of statistics) result.updates.set(name, value);
  return result;
}
