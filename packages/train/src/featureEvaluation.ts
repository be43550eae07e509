/**
 * Evaluates a model with a frozen trunk, whose features are computed once per picture, not once per epoch.
 */
import { type Tensor, trace, type Weights } from '@cnn/core';
import { forInference } from '@cnn/core/graph';
import type { Dataset } from './data.js';
import { type Evaluation, type EvaluationOptions, evaluateScores } from './evaluate.js';
import type { RunOptions } from './options.js';
import { compileFixed, type FeatureCache, featureCache } from './program.js';
import { splitFrozen } from './split.js';
import { stepInputs } from './step.js';

/** Evaluates repeatedly, and caches the features of the last dataset. */
export interface FeatureEvaluation {
  evaluate(weights: Weights, dataset: Dataset, what: EvaluationOptions): Promise<Evaluation>;
  /** Drops the features, after a change of the trunk's weights. */
  clear(): Promise<void>;
}

/**
 * Makes an evaluation for a model of which only some parameters change.
 * @param changing - true for the names of those parameters.
 */
export function featureEvaluation(
  options: RunOptions,
  changing: (name: string) => boolean,
): FeatureEvaluation {
  const graph = forInference(trace(options.model, options.input));
  const split = splitFrozen(graph, changing);
  const { shape } = graph.output;
  let cache: FeatureCache | undefined;
  return {
    async evaluate(weights, dataset, what) {
      cache ??= await featureCache(split, weights, options);
      const { feeds } = cache;
      const head = await compileFixed(split.head, weights, options, what.signal);
      try {
        return await evaluateScores({ ...options, ...what, dataset }, shape, async (indices, load) => {
          const features = new Map(await feeds(dataset, indices, load, what.signal));
          const labels = features.get(stepInputs.labels) as Tensor;
          const results = await head.run(features, what.signal);
          return { logits: results.get('output')!.data, labels: labels.data };
        });
      } finally {
        await head.dispose();
      }
    },
    async clear() {
      await cache?.dispose();
      cache = undefined;
    },
  };
}
