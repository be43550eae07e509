/** Evaluates the weights of a run. The features of a frozen trunk are computed once per picture, not per epoch. */
import { type Tensor, trace, type Weights } from '@cnn/core';
import { forInference } from '@cnn/core/graph';
import type { Dataset } from './data.js';
import { type Evaluation, type EvaluationOptions, evaluate, evaluateScores } from './evaluate.js';
import type { RunOptions } from './options.js';
import { compileFixed, type FeatureCache, featureCache, type StepPlan, trainingBackend } from './program.js';
import { splitFrozen } from './split.js';
import { stepInputs } from './step.js';

/** Evaluates repeatedly, and may cache the features of the last dataset. */
export interface RunEvaluation {
  evaluate(weights: Weights, dataset: Dataset, what: EvaluationOptions): Promise<Evaluation>;
  /** Drops the features, after a change of the trunk's weights. */
  clear(): Promise<void>;
}

/** Makes the evaluation of a run's weights. */
export function runEvaluation(options: RunOptions, { split, graph }: StepPlan): RunEvaluation {
  // Features are not cached with `views`: ten crops of a picture need ten times the memory.
  if (split && !options.views) return featureEvaluation(options, (name) => graph.updates.has(name));
  const backend = trainingBackend(options.backend);
  return {
    evaluate: (weights, dataset, what) => evaluate({ ...options, ...what, weights, dataset, backend }),
    clear: async () => {},
  };
}

/**
 * Makes an evaluation for a model of which only some parameters change.
 * @param changing - true for the names of those parameters.
 */
function featureEvaluation(options: RunOptions, changing: (name: string) => boolean): RunEvaluation {
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
