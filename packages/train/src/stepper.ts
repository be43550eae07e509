/** Takes the steps of a run: feeds, program, next position. Copies the state now and then to explain a divergence. */
import type { Tensor, Weights } from '@cnn/core';
import { explain, type Snapshot, type TrainingDiverged } from './diagnose.js';
import type { StepFeeds, StepSource } from './feeds.js';
import { argmax, rowsOf } from './metrics.js';
import { afterStep, type Position } from './position.js';
import type { Feeds, PlaceOptions, StepPlan } from './program.js';
import type { RunState } from './runState.js';
import { stepInputs } from './step.js';

/** Steps between two copies of the state, besides those at the start of each epoch; `explain` replays from them. */
const SNAPSHOT_EVERY = 50;

/** Counts the rows whose highest score is their label's. */
const rightOf = (logits: Tensor, labels: ArrayLike<number>): number =>
  [...rowsOf(logits)].filter((scores, row) => argmax(scores) === labels[row]).length;

/** Takes the steps of a run. */
export class Stepper {
  readonly #plan: StepPlan;
  readonly #place: PlaceOptions;
  readonly #feeds: StepFeeds;
  #snapshot: Snapshot | undefined;

  constructor(plan: StepPlan, place: PlaceOptions, feeds: StepFeeds) {
    this.#plan = plan;
    this.#place = place;
    this.#feeds = feeds;
  }

  /**
   * Takes one step and advances the position. An aborted step changes nothing.
   * @throws TrainingDiverged if the loss is infinite or NaN.
   */
  async take(state: RunState, source: StepSource): Promise<void> {
    const { dataset, signal } = source;
    signal?.throwIfAborted();
    const { position, tensors } = state;
    const program = await tensors.program(signal);
    const snapshot = await this.#snapshotAt(state);
    const { feeds, rate } = await this.#feeds.at(position, source, tensors.host);
    const labels = feeds.get(stepInputs.labels)!.data;
    await state.advance(async () => {
      const results = await program.run(feeds, signal);
      const loss = results.get('loss')!.data[0]!;
      if (!Number.isFinite(loss)) {
        state.diverge(position.step + 1);
        throw await this.#divergence(snapshot, position, loss, source, tensors.host);
      }
      const right = rightOf(results.get('logits')!, labels);
      return afterStep(position, { size: dataset.size, batch: labels.length, loss, rate, right });
    });
  }

  /** Gives the last copy of the state, after making another one if it is due. */
  async #snapshotAt({ position: { within, step }, tensors }: RunState): Promise<Snapshot> {
    if (!this.#snapshot || within === 0 || step % SNAPSHOT_EVERY === 0)
      this.#snapshot = { state: await tensors.current(), step };
    return this.#snapshot;
  }

  /** Finds the cause of a loss that is not finite, by taking the steps since the snapshot again. */
  #divergence(
    snapshot: Snapshot,
    position: Position,
    loss: number,
    source: StepSource,
    weights: Weights,
  ): Promise<TrainingDiverged> {
    const feedsOf = async (step: number): Promise<Feeds> => {
      // A snapshot is never older than the epoch.
      const within = position.within - (position.step - step);
      return (await this.#feeds.at({ ...position, step, within }, source, weights)).feeds;
    };
    const failure = { step: position.step, loss };
    return explain(this.#plan.graph, this.#place, snapshot, failure, feedsOf, source.signal);
  }

  /** Drops the snapshot and cached features, after a change of the state. */
  async clear(): Promise<void> {
    this.#snapshot = undefined;
    await this.#feeds.clear();
  }
}
