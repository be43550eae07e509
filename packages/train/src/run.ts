/** A training run: holds the state, steps, evaluates and saves. trainer.ts declares its interface. */
import { parameters, type Weights } from '@cnn/core';
import { matchParameters, type Program, requireMatch, type Selected } from '@cnn/core/graph';
import type { Limits } from '@cnn/core/io';
import { loadCheckpoint, readCheckpoint, saveCheckpoint, writeCheckpoint } from './checkpoint.js';
import { type Dataset, epochOrder } from './data.js';
import { explain, requireFinite, type Snapshot } from './diagnose.js';
import { watch } from './earlyStopping.js';
import { type Evaluation, type EvaluationOptions, evaluate } from './evaluate.js';
import { featureEvaluation } from './featureEvaluation.js';
import { type StepSource, stepFeeds } from './feeds.js';
import { argmax, rowsOf } from './metrics.js';
import { type FitOptions, type Progress, type RunOptions, requireFitting } from './options.js';
import type { Position } from './position.js';
import { compileStep, type Feeds, initialState, planStep, trainingBackend } from './program.js';
import { averagedOf, ownOf, withBest, withoutBest } from './state.js';
import { stepInputs } from './step.js';

/** Steps between two copies of the state, besides those at the start of each epoch; `explain` replays from them. */
const SNAPSHOT_EVERY = 50;

/** Makes a run. Nothing is compiled before the first step. */
export function createRun(options: RunOptions) {
  const { model, input, optimizer, schedule } = options;
  const batch = input[0]!;
  const plan = planStep(options);
  const feeds = stepFeeds(plan, options);
  // Features are not cached with `views`: ten crops of a picture need ten times the memory.
  const cachedEvaluation =
    plan.split && !options.views
      ? featureEvaluation(options, (name) => plan.graph.updates.has(name))
      : undefined;
  const names = [...parameters(model)].map(([name]) => name);

  /** State in host memory; a compiled program holds newer values of what it trains. */
  let hostState = initialState(plan, options.weights, options);
  let selected: Selected | undefined;
  let best: Weights | undefined;
  let snapshot: Snapshot | undefined;
  /** Step whose loss was not finite, from 1. */
  let diverged: number | undefined;
  let busy = false;
  let disposed = false;
  let position: Position = {
    seed: options.seed,
    step: 0,
    epoch: 0,
    within: 0,
    size: 0,
    batch,
    lossSum: 0,
    right: 0,
    lastLoss: 0,
    lastRate: 0,
    history: [],
    memory: schedule.memory ?? [],
    best: undefined,
  };

  const requireAlive = (): void => {
    if (disposed) throw new Error('This trainer has been disposed of; make another one.');
  };
  const currentState = async (): Promise<Weights> => {
    requireAlive();
    return selected ? new Map([...hostState, ...(await selected.program.parameters())]) : hostState;
  };
  const compiledProgram = async (signal?: AbortSignal): Promise<Program> => {
    requireAlive();
    selected ??= await compileStep(plan.graph, hostState, options, signal);
    return selected.program;
  };
  /** Weights for evaluations and for `bestWeights`: the average if `ema` is set. */
  const evaluationWeights = async (): Promise<Weights> =>
    (options.ema === undefined ? ownOf : averagedOf)(await currentState(), names);

  async function* fit(dataset: Dataset, fitOptions: FitOptions): AsyncGenerator<Progress, void, void> {
    if (busy) throw new Error('This trainer is already training; end that loop first.');
    busy = true;
    try {
      yield* steps(dataset, fitOptions);
    } finally {
      busy = false;
    }
  }

  async function* steps(dataset: Dataset, fitOptions: FitOptions): AsyncGenerator<Progress, void, void> {
    const { epochs, checkpoint, signal } = fitOptions;
    const stepsPerEpoch = requireFitting(dataset, fitOptions, batch, position);
    const totalSteps = epochs * stepsPerEpoch;
    let milliseconds = 0;
    let seen = 0;
    let shuffle: { readonly epoch: number; readonly order: Uint32Array } | undefined;
    while (position.epoch < epochs) {
      // Once an epoch: shuffling for every step makes an epoch cost the square of its size.
      if (shuffle?.epoch !== position.epoch)
        shuffle = {
          epoch: position.epoch,
          order: epochOrder(position.seed, position.epoch, dataset.size),
        };
      const { order } = shuffle;
      const source = (step: number): StepSource => ({
        dataset,
        order,
        signal,
        moment: { step, stepsPerEpoch, totalSteps },
      });
      // A run that was stopped during the evaluation of an epoch continues with that evaluation.
      if (position.within < stepsPerEpoch) {
        const started = performance.now();
        await step(source, dataset.size, signal);
        seen += batch;
        milliseconds += performance.now() - started;
      }
      const { lossSum, right, within, lastLoss, lastRate } = position;
      const epochDone = within === stepsPerEpoch;
      const epoch = position.epoch + 1;
      const means = {
        epoch,
        loss: lossSum / within,
        accuracy: right / (within * batch),
        learningRate: lastRate,
      };
      const end = epochDone ? await endEpoch(means, fitOptions) : undefined;
      if (checkpoint && (epochDone || position.step % (checkpoint.everySteps ?? Infinity) === 0))
        await save(checkpoint.path);
      yield {
        ...means,
        step: position.step,
        totalSteps,
        batchLoss: lastLoss,
        imagesPerSecond: milliseconds > 0 ? (1000 * seen) / milliseconds : 0,
        epochDone,
        validation: end?.validation,
        stopped: end?.stopped ?? false,
      };
      if (end?.stopped) return;
    }
  }

  /** Runs one step and advances the position. */
  async function step(
    source: (step: number) => StepSource,
    size: number,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    signal?.throwIfAborted();
    const program = await compiledProgram(signal);
    if (!snapshot || position.within === 0 || position.step % SNAPSHOT_EVERY === 0)
      snapshot = { state: await currentState(), step: position.step };
    const { feeds: given, rate } = await feeds.at(position, source(position.step), hostState);
    const results = await program.run(given, signal);
    const lastLoss = results.get('loss')!.data[0]!;
    if (!Number.isFinite(lastLoss)) {
      const failed = position;
      diverged = failed.step + 1;
      const replayed = async (at: number): Promise<Feeds> => {
        const within = failed.within - (failed.step - at);
        return (await feeds.at({ ...failed, step: at, within }, source(at), hostState)).feeds;
      };
      const failure = { step: failed.step, loss: lastLoss };
      throw await explain(plan.graph, options, snapshot, failure, replayed, signal);
    }
    const labels = given.get(stepInputs.labels)!.data;
    const rows = [...rowsOf(results.get('logits')!)];
    position = {
      ...position,
      size,
      batch,
      lastLoss,
      lastRate: rate,
      step: position.step + 1,
      within: position.within + 1,
      lossSum: position.lossSum + lastLoss,
      right: position.right + rows.filter((scores, row) => argmax(scores) === labels[row]).length,
    };
  }

  /** Ends an epoch: evaluates, updates schedule and early stopping, and advances the position. */
  async function endEpoch(
    means: Pick<Progress, 'epoch' | 'loss' | 'accuracy' | 'learningRate'>,
    { validation: dataset, earlyStopping, signal }: FitOptions,
  ): Promise<{ readonly validation: Evaluation | undefined; readonly stopped: boolean }> {
    const validation = dataset && (await evaluateCurrent(dataset, { signal }));
    const verdict = earlyStopping && validation && watch(earlyStopping, position.best, validation);
    if (verdict?.improved) best = await evaluationWeights();
    position = {
      ...position,
      epoch: means.epoch,
      within: 0,
      lossSum: 0,
      right: 0,
      memory: schedule.observe?.(position.memory, validation?.loss ?? means.loss) ?? position.memory,
      best: verdict ? verdict.best : position.best,
      history: [
        ...position.history,
        {
          ...means,
          validation: validation && { loss: validation.loss, accuracy: validation.accuracy },
        },
      ],
    };
    return { validation, stopped: verdict?.stopped ?? false };
  }

  const evaluateCurrent = async (dataset: Dataset, what: EvaluationOptions = {}): Promise<Evaluation> => {
    const weights = await evaluationWeights();
    if (cachedEvaluation) return cachedEvaluation.evaluate(weights, dataset, what);
    return evaluate({ ...options, ...what, weights, dataset, backend: trainingBackend(options.backend) });
  };

  const checkpointBytes = async (): Promise<Uint8Array> => {
    if (diverged !== undefined)
      throw new Error(
        `Training diverged at step ${diverged}, so its state is not saved; restore a checkpoint.`,
      );
    const state = await currentState();
    requireFinite(model, state, position);
    return writeCheckpoint({ position, optimizer: optimizer.name, state: withBest(state, best) });
  };
  const save = async (path: string): Promise<void> => saveCheckpoint(path, await checkpointBytes());

  async function restore(
    source: string | Uint8Array,
    { limits }: { readonly limits?: Partial<Limits> } = {},
  ): Promise<void> {
    if (busy) throw new Error('This trainer is training; end that loop before restoring a checkpoint.');
    requireAlive();
    const read =
      typeof source === 'string' ? await loadCheckpoint(source, limits) : readCheckpoint(source, limits);
    if (read.optimizer !== optimizer.name)
      throw new Error(
        `The checkpoint was written by a run with the optimizer ${read.optimizer}, but this trainer has ${optimizer.name}; use the same.`,
      );
    const { memory } = read.position;
    if (memory.length !== (schedule.memory ?? []).length)
      throw new Error(
        `The checkpoint was written by a run with another schedule: it holds ${memory.length} numbers of the schedule's state, but the schedule of this trainer has ${(schedule.memory ?? []).length}; use the same.`,
      );
    const parts = withoutBest(read.state);
    requireMatch("the trainer's model and options", matchParameters(hostState, parts.state));
    await release();
    [hostState, best, position, diverged] = [parts.state, parts.best, read.position, undefined];
  }

  /** Frees what was made from the state: program, cached features and snapshot. */
  async function release(): Promise<void> {
    await selected?.program.dispose();
    await feeds.clear();
    await cachedEvaluation?.clear();
    [selected, snapshot] = [undefined, undefined];
  }

  async function dispose(): Promise<void> {
    disposed = true;
    await release();
  }

  return {
    get backend() {
      return selected?.program.backend;
    },
    get threads() {
      return selected?.program.threads;
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
    get history() {
      return position.history;
    },
    fit,
    evaluate: evaluateCurrent,
    weights: async () => ownOf(await currentState(), names),
    async averagedWeights() {
      if (options.ema === undefined)
        throw new Error("There is no average of the weights; give trainer the option 'ema'.");
      return averagedOf(await currentState(), names);
    },
    async bestWeights() {
      if (!best)
        throw new Error(
          "There are no best weights yet; fit keeps them from its first epoch on if 'earlyStopping' is given.",
        );
      return best;
    },
    checkpoint: checkpointBytes,
    save,
    restore,
    dispose,
    [Symbol.asyncDispose]: dispose,
  };
}
