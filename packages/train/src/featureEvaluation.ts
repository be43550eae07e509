/** Evaluation behind a frozen trunk: what the trunk makes of a picture is computed once, not in every epoch. */
import { forInference, type Tensor, trace, type Weights } from '@cnn/core';
import type { Dataset } from './data.js';
import { count, type Evaluation, type EvaluationOptions } from './evaluate.js';
import type { RunOptions } from './options.js';
import { compileFixed, type FeatureCache, featureCache } from './program.js';
import { splitFrozen } from './split.js';
import { stepInputs } from './step.js';

/** Evaluates again and again, and holds the features of the last dataset. */
export interface FeatureEvaluation {
  evaluate(weights: Weights, dataset: Dataset, what: EvaluationOptions): Promise<Evaluation>;
  /** Forgets the features, whose weights may have changed. */
  clear(): Promise<void>;
}

/** Evaluation of a model of which only some parameters change. */
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
        return await count({ ...options, ...what, dataset }, shape, async (indices, load) => {
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
