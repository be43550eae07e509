/** Makes the feeds of steps: batch, learning rates and seeds. The run's seed and position determine them. */
import { tensor, type Weights } from '@cnn/core';
import { SEED } from '@cnn/core/graph';
import { type Dataset, exampleRandom, loadBatch, maskSeed, normalised } from './data.js';
import type { RunOptions } from './options.js';
import type { Position } from './position.js';
import {
  type FeatureCache,
  type Feeds,
  featureCache,
  feedsOf,
  feedsOfBatch,
  type StepPlan,
} from './program.js';
import type { Moment } from './schedules.js';
import { stepInputs, warmDecay } from './step.js';

/** Data and length of the run that a step is one of. */
export interface StepSource extends Omit<Moment, 'step'> {
  readonly dataset: Dataset;
  /** Indices of the epoch's examples, in order. */
  readonly order: Uint32Array;
  readonly signal?: AbortSignal | undefined;
}

/** Makes the feeds of steps, and holds the features of a frozen trunk if `cacheFeatures` is set. */
export interface StepFeeds {
  /**
   * Makes the feeds of the step at `position`, and its learning rate.
   * @param weights - those of the trunk, read when the cache is made.
   */
  at(
    position: Position,
    source: StepSource,
    weights: Weights,
  ): Promise<{ readonly feeds: Feeds; readonly rate: number }>;
  /** Drops the features, after a change of the trunk's weights. */
  clear(): Promise<void>;
}

/** Makes the source of a trainer's feeds. */
export function stepFeeds(plan: StepPlan, options: RunOptions): StepFeeds {
  const { input, optimizer, schedule, normalise, groups = [], ema, emaWarmUp = false } = options;
  const make = options.augment ?? options.prepare;
  const batch = input[0]!;
  let cache: FeatureCache | undefined;
  return {
    async at({ seed, epoch, within, step, memory }, source, weights) {
      const { dataset, order, stepsPerEpoch, totalSteps, signal } = source;
      const indices = [...order.subarray(within * batch, (within + 1) * batch)];
      const load = () =>
        loadBatch(
          dataset,
          indices,
          input,
          plan.classes,
          (picture, index) => {
            const made = make ? make(picture, exampleRandom(seed, epoch, index)) : picture;
            return [normalise ? normalised(made, normalise) : made];
          },
          signal,
        );
      if (plan.split) cache ??= await featureCache(plan.split, weights, options);
      const values = cache ? await cache.feeds(dataset, indices, load, signal) : feedsOfBatch(await load());
      const factor = schedule.factor({ step, stepsPerEpoch, totalSteps }, memory);
      if (!Number.isFinite(factor))
        throw new RangeError(
          `The schedule gives the learning rate of step ${step + 1} the factor ${factor}; correct the schedule, or the state of it that the checkpoint holds.`,
        );
      const rates = [...groups, optimizer].map(({ learningRate }) => learningRate * factor);
      const shares = ema !== undefined && emaWarmUp ? [1 - warmDecay(ema, step)] : [];
      const all: Feeds = new Map([
        ...values,
        [stepInputs.rate, tensor([...rates, ...shares], [rates.length + shares.length])],
        [stepInputs.corrections, tensor([...optimizer.corrections(step + 1)], [2])],
        [SEED, tensor([maskSeed(seed, step)], [1])],
      ]);
      return { rate: rates.at(-1)!, feeds: feedsOf(plan.graph, all) };
    },
    async clear() {
      await cache?.dispose();
      cache = undefined;
    },
  };
}
