/** A training run: holds the state, makes batches, steps, evaluates, saves. See trainer.ts for what it promises. */
import {
  matchParameters,
  type Program,
  parameters,
  requireMatch,
  SEED,
  type Selected,
  tensor,
  type Weights,
} from '@cnn/core';
import {
  loadCheckpoint,
  type Position,
  readCheckpoint,
  saveCheckpoint,
  writeCheckpoint,
} from './checkpoint.js';
import { type Dataset, epochOrder, exampleRandom, loadBatch, maskSeed, normalised } from './data.js';
import { explain, type Snapshot } from './diagnose.js';
import { type Evaluation, type EvaluationOptions, evaluate } from './evaluate.js';
import { argmax, rowsOf } from './metrics.js';
import { stripped } from './paths.js';
import {
  compileStep,
  type FeatureCache,
  type Feeds,
  featureCache,
  feedsOf,
  feedsOfBatch,
  initialState,
  planStep,
  trainingBackend,
} from './program.js';
import type { Moment } from './schedules.js';
import { AVERAGE, stepInputs } from './step.js';
import type { EarlyStoppingOptions, FitOptions, Progress, Trainer, TrainerOptions } from './trainer.js';

/** The options with everything that has a default filled in. */
export type RunOptions = TrainerOptions &
  Required<Pick<TrainerOptions, 'weights' | 'seed' | 'loss' | 'schedule'>>;

/** Steps between two copies of the state that are kept for finding out where a NaN came from. */
const SNAPSHOT_EVERY = 50;
/** What the names of the best weights start with in a checkpoint. */
const BEST = 'best.';

/** Makes the run; nothing is compiled before the first step. */
export function createRun(options: RunOptions): Trainer {
  const { model, input, optimizer, schedule, groups = [] } = options;
  const batch = input[0]!;
  const plan = planStep(options);
  const names = new Set([...parameters(model)].map(([name]) => name));

  /** The state as it was when nothing was compiled; a program, once there is one, has the newer. */
  let held = initialState(plan, options.weights, options);
  let selected: Selected | undefined;
  let cache: FeatureCache | undefined;
  let best: Weights | undefined;
  let snapshot: Snapshot | undefined;
  let busy = false;
  let disposed = false;
  let position: Position = {
    ...{ seed: options.seed, step: 0, epoch: 0, within: 0, size: 0, batch, lossSum: 0, right: 0 },
    memory: schedule.memory ?? [],
    best: undefined,
  };

  const stateNow = async (): Promise<Weights> => {
    if (disposed) throw new Error('This trainer has been disposed of; make another one.');
    return selected ? new Map([...held, ...(await selected.program.parameters())]) : held;
  };
  const programNow = async (signal?: AbortSignal): Promise<Program> => {
    if (disposed) throw new Error('This trainer has been disposed of; make another one.');
    selected ??= await compileStep(plan.graph, held, options, signal);
    return selected.program;
  };
  const own = (state: Weights): Weights => new Map([...names].map((name) => [name, state.get(name)!]));
  const averagedOf = (state: Weights): Weights => new Map([...own(state), ...stripped(state, AVERAGE)]);
  const usable = (state: Weights): Weights => (options.ema === undefined ? own(state) : averagedOf(state));

  /** The feeds of one step; they follow from seed and place alone. */
  async function feedsAt(
    dataset: Dataset,
    order: readonly number[],
    { seed, epoch, within, step, memory }: Position,
    moment: Moment,
    signal?: AbortSignal,
  ): Promise<{ readonly feeds: Feeds; readonly rate: number }> {
    const indices = order.slice(within * batch, (within + 1) * batch);
    const load = () =>
      loadBatch(dataset, indices, input, plan.classes, (picture, index) => {
        const make = options.augment ?? options.prepare;
        const made = make ? make(picture, exampleRandom(seed, epoch, index)) : picture;
        return [options.normalise ? normalised(made, options.normalise) : made];
      });
    if (plan.split) cache ??= await featureCache(plan.split, held, options);
    const factor = schedule.factor(moment, memory);
    const rates = [...groups.map(({ learningRate }) => learningRate), optimizer.learningRate].map(
      (rate) => rate * factor,
    );
    const values = cache ? await cache.feeds(indices, load, signal) : feedsOfBatch(await load());
    return {
      rate: rates.at(-1)!,
      feeds: feedsOf(
        plan.graph,
        new Map([
          ...values,
          [stepInputs.rate, tensor(rates, [rates.length])],
          [stepInputs.corrections, tensor([...optimizer.corrections(step + 1)], [2])],
          [SEED, tensor([maskSeed(seed, step)], [1])],
        ]),
      ),
    };
  }

  async function* fit(dataset: Dataset, fitOptions: FitOptions): AsyncGenerator<Progress, void, void> {
    if (busy) throw new Error('This trainer is already training; end that loop first.');
    busy = true;
    try {
      yield* steps(dataset, fitOptions);
    } finally {
      busy = false;
    }
  }

  async function* steps(
    dataset: Dataset,
    { epochs, validation, earlyStopping, checkpoint, signal }: FitOptions,
  ): AsyncGenerator<Progress, void, void> {
    const stepsPerEpoch = Math.floor(dataset.size / batch);
    if (stepsPerEpoch === 0)
      throw new RangeError(
        `The dataset has ${dataset.size} examples, fewer than a batch of ${batch}; give 'input' a smaller batch.`,
      );
    if (earlyStopping && !validation)
      throw new RangeError("'earlyStopping' watches the validation set; give 'validation' too.");
    if (position.within > 0 && (position.size !== dataset.size || position.batch !== batch))
      throw new RangeError(
        `The run stopped within an epoch over ${position.size} examples in batches of ${position.batch}, but now there are ${dataset.size} in batches of ${batch}; go on with the same data and batch.`,
      );
    const totalSteps = epochs * stepsPerEpoch;
    let milliseconds = 0;
    let seen = 0;
    while (position.epoch < epochs) {
      const order = epochOrder(position.seed, position.epoch, dataset.size);
      while (position.within < stepsPerEpoch) {
        signal?.throwIfAborted();
        const started = performance.now();
        const program = await programNow(signal);
        if (!snapshot || position.within === 0 || position.step % SNAPSHOT_EVERY === 0)
          snapshot = { state: await stateNow(), step: position.step };
        const feedsOfStep = (at: Position) =>
          feedsAt(dataset, order, at, { step: at.step, stepsPerEpoch, totalSteps }, signal);
        const { feeds, rate } = await feedsOfStep(position);
        const results = await program.run(feeds, signal);
        const batchLoss = results.get('loss')!.data[0]!;
        if (!Number.isFinite(batchLoss)) {
          const failed = position;
          const replayed = async (step: number): Promise<Feeds> =>
            (await feedsOfStep({ ...failed, step, within: failed.within - (failed.step - step) })).feeds;
          throw await explain(
            plan.graph,
            options,
            snapshot,
            { step: failed.step, loss: batchLoss },
            replayed,
          );
        }
        const labels = feeds.get(stepInputs.labels)!.data;
        let right = 0;
        let row = 0;
        for (const scores of rowsOf(results.get('logits')!)) if (argmax(scores) === labels[row++]) right++;
        position = {
          ...position,
          ...{ size: dataset.size, batch },
          step: position.step + 1,
          within: position.within + 1,
          lossSum: position.lossSum + batchLoss,
          right: position.right + right,
        };
        seen += batch;
        milliseconds += performance.now() - started;
        const { within } = position;
        const loss = position.lossSum / within;
        const accuracy = position.right / (within * batch);
        const epochDone = within === stepsPerEpoch;
        let evaluation: Evaluation | undefined;
        let stopped = false;
        if (epochDone) {
          if (validation) evaluation = await evaluateNow(validation, { signal });
          const memory = schedule.observe?.(position.memory, evaluation?.loss ?? loss) ?? position.memory;
          const epoch = position.epoch + 1;
          position = { ...position, memory, epoch, within: 0, lossSum: 0, right: 0 };
          if (earlyStopping && evaluation) stopped = await watch(earlyStopping, evaluation);
        }
        if (checkpoint && (epochDone || position.step % (checkpoint.everySteps ?? Infinity) === 0))
          await save(checkpoint.path);
        yield {
          epoch: epochDone ? position.epoch : position.epoch + 1,
          step: position.step,
          totalSteps,
          ...{ loss, accuracy, batchLoss },
          learningRate: rate,
          imagesPerSecond: (1000 * seen) / milliseconds,
          epochDone,
          validation: evaluation,
          stopped,
        };
        if (stopped) return;
        if (epochDone) break;
      }
    }
  }

  /** Remembers the best epoch; whether patience has run out. */
  async function watch(
    { monitor = 'loss', minDelta = 0, patience }: EarlyStoppingOptions,
    evaluation: Evaluation,
  ): Promise<boolean> {
    const value = evaluation[monitor];
    const known = position.best;
    const gain = known && (monitor === 'loss' ? known.value - value : value - known.value);
    if (gain === undefined ? Number.isFinite(value) : gain > minDelta) {
      position = { ...position, best: { value, waited: 0 } };
      best = usable(await stateNow());
      return false;
    }
    if (!known) return false;
    position = { ...position, best: { value: known.value, waited: known.waited + 1 } };
    return known.waited + 1 >= patience;
  }

  const evaluateNow = async (dataset: Dataset, what: EvaluationOptions = {}): Promise<Evaluation> =>
    evaluate({
      ...options,
      ...what,
      weights: usable(await stateNow()),
      dataset,
      backend: trainingBackend(options.backend),
    });

  const checkpointNow = async (): Promise<Uint8Array> => {
    const kept = [...(best ?? [])].map(([name, value]) => [BEST + name, value] as const);
    const state = new Map([...(await stateNow()), ...kept]);
    return writeCheckpoint({ position, optimizer: optimizer.name, state });
  };
  const save = async (path: string): Promise<void> => saveCheckpoint(path, await checkpointNow());

  async function restore(source: string | Uint8Array): Promise<void> {
    if (busy) throw new Error('This trainer is training; end that loop before restoring a checkpoint.');
    const read = typeof source === 'string' ? await loadCheckpoint(source) : readCheckpoint(source);
    if (read.optimizer !== optimizer.name)
      throw new Error(
        `The checkpoint was written by a run with the optimizer ${read.optimizer}, but this trainer has ${optimizer.name}; use the same.`,
      );
    const isBest = ([name]: readonly [string, unknown]) => name.startsWith(BEST);
    const state: Weights = new Map([...read.state].filter((entry) => !isBest(entry)));
    requireMatch("the trainer's model and options", matchParameters(held, state));
    const kept = stripped(read.state, BEST);
    await selected?.program.dispose();
    await cache?.dispose();
    [selected, cache, snapshot] = [undefined, undefined, undefined];
    [held, position, best] = [state, read.position, kept.size > 0 ? kept : undefined];
  }

  async function dispose(): Promise<void> {
    disposed = true;
    await selected?.program.dispose();
    await cache?.dispose();
    [selected, cache, snapshot] = [undefined, undefined, undefined];
  }

  return {
    get backend() {
      return selected?.program.backend;
    },
    get fallbackReason() {
      return selected?.fallbackReason;
    },
    get step() {
      return position.step;
    },
    get epoch() {
      return position.epoch;
    },
    fit,
    evaluate: evaluateNow,
    weights: async () => own(await stateNow()),
    async averagedWeights() {
      if (options.ema === undefined)
        throw new Error("There is no average of the weights; give trainer the option 'ema'.");
      return averagedOf(await stateNow());
    },
    async bestWeights() {
      if (!best)
        throw new Error(
          "There are no best weights yet; they are kept by fit with 'earlyStopping' after its first epoch.",
        );
      return best;
    },
    checkpoint: checkpointNow,
    save,
    restore,
    dispose,
    [Symbol.asyncDispose]: dispose,
  };
}
