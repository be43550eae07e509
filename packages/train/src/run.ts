/** Runs a training: steps, the ends of epochs, checkpoints. Its parts hold the state; trainer.ts is its public face. */
import { parameters, type Weights } from '@cnn/core';
import { checkSignal, matchParameters, requireMatch } from '@cnn/core/graph';
import {
  loadCheckpoint,
  readCheckpoint,
  requireSameRecipe,
  saveCheckpoint,
  writeCheckpoint,
} from './checkpoint.js';
import type { Dataset } from './data.js';
import { requireFinite } from './diagnose.js';
import { endEpoch } from './epochEnd.js';
import { epochOrders } from './epochOrders.js';
import type { Evaluation, EvaluationOptions } from './evaluate.js';
import { type RunEvaluation, runEvaluation } from './featureEvaluation.js';
import { stepFeeds } from './feeds.js';
import {
  type FitOptions,
  type Progress,
  type RestoreOptions,
  type RunOptions,
  requireFitting,
} from './options.js';
import { meansOf, startOf } from './position.js';
import { initialState, planStep } from './program.js';
import { ProgramState } from './programState.js';
import { RunState } from './runState.js';
import { scheduleName } from './schedules.js';
import { evaluatedOf, withBest, withoutBest } from './state.js';
import { Stepper } from './stepper.js';

/** Training run. */
export interface Run {
  readonly options: RunOptions;
  /** Names of the model's parameters, in order. */
  readonly names: readonly string[];
  readonly state: RunState;
  readonly stepper: Pick<Stepper, 'take' | 'clear'>;
  readonly evaluation: RunEvaluation;
  /** True while a `fit` is in progress. */
  busy: boolean;
}

/** Makes a run. Nothing is compiled before the first step. */
export function createRun(options: RunOptions): Run {
  const { model, weights, seed, input, schedule } = options;
  const plan = planStep(options);
  const tensors = new ProgramState(plan.graph, options, initialState(plan, weights, options));
  return {
    options,
    names: [...parameters(model)].map(([name]) => name),
    state: new RunState(tensors, startOf(seed, input[0]!, schedule.memory)),
    stepper: new Stepper(plan, options, stepFeeds(plan, options)),
    evaluation: runEvaluation(options, plan),
    busy: false,
  };
}

/** Trains, unless the run is training already. */
export async function* fit(
  run: Run,
  dataset: Dataset,
  options: FitOptions,
): AsyncGenerator<Progress, void, void> {
  if (run.busy) throw new Error('This trainer is already training; end that loop first.');
  run.busy = true;
  try {
    yield* steps(run, dataset, options);
  } finally {
    run.busy = false;
  }
}

/** Takes the steps that are left, ends the epochs, saves checkpoints, and tells the progress. */
async function* steps(run: Run, dataset: Dataset, options: FitOptions): AsyncGenerator<Progress, void, void> {
  const { state, stepper } = run;
  const { epochs, checkpoint, signal } = options;
  checkSignal(signal);
  const batch = run.options.input[0]!;
  const stepsPerEpoch = requireFitting(dataset, options, batch, state.position);
  const totalSteps = epochs * stepsPerEpoch;
  const orderAt = epochOrders(dataset.size);
  let [milliseconds, pictures] = [0, 0];
  while (state.position.epoch < epochs) {
    // A run that was stopped during the evaluation of an epoch continues with that evaluation.
    if (state.position.within < stepsPerEpoch) {
      const order = orderAt(state.position);
      const started = performance.now();
      await stepper.take(state, { dataset, order, stepsPerEpoch, totalSteps, signal });
      milliseconds += performance.now() - started;
      pictures += batch;
    }
    const { step, within, lastLoss } = state.position;
    const means = meansOf(state.position);
    const epochDone = within === stepsPerEpoch;
    const end = epochDone ? await finishEpoch(run, options) : undefined;
    if (checkpoint && (epochDone || step % (checkpoint.everySteps ?? Infinity) === 0))
      await save(run, checkpoint.path);
    yield {
      ...means,
      step,
      totalSteps,
      batchLoss: lastLoss,
      imagesPerSecond: milliseconds > 0 ? (1000 * pictures) / milliseconds : 0,
      epochDone,
      validation: end?.validation,
      stopped: end?.stopped ?? false,
    };
    if (end?.stopped) return;
  }
}

/** Evaluates the epoch whose steps are done, keeps its weights if they are the best, and enters the next epoch. */
async function finishEpoch(
  run: Run,
  { validation: dataset, earlyStopping, signal }: FitOptions,
): Promise<{ readonly validation: Evaluation | undefined; readonly stopped: boolean }> {
  const { state } = run;
  const validation = dataset && (await evaluateRun(run, dataset, { signal }));
  const { position, improved, stopped } = endEpoch(
    state.position,
    validation,
    run.options.schedule,
    earlyStopping,
  );
  state.enterEpoch(position, improved ? await evaluatedWeights(run) : state.best);
  return { validation, stopped };
}

/** Gives the weights for evaluations and for `bestWeights`: the average if `ema` is set. */
const evaluatedWeights = async ({ state, names, options }: Run): Promise<Weights> =>
  evaluatedOf(await state.tensors.current(), names, options.ema);

/** Evaluates the current weights, or their average if `ema` is set. */
export const evaluateRun = async (
  run: Run,
  dataset: Dataset,
  what: EvaluationOptions = {},
): Promise<Evaluation> => run.evaluation.evaluate(await evaluatedWeights(run), dataset, what);

/**
 * Gives the whole state as bytes.
 * @throws TrainingDiverged if a trained parameter is not finite, or Error after a step whose loss was not.
 */
export async function checkpointOf({ state, options }: Run): Promise<Uint8Array> {
  if (state.divergedAt !== undefined)
    throw new Error(
      `Training diverged at step ${state.divergedAt}, so its state is not saved; restore a checkpoint.`,
    );
  const { position, tensors, best } = await state.whole();
  requireFinite(options.model, tensors, position);
  return writeCheckpoint({
    position,
    optimizer: options.optimizer.name,
    schedule: scheduleName(options.schedule),
    description: options.description,
    state: withBest(tensors, best),
  });
}

/** Writes the whole state to a file. */
export const save = async (run: Run, path: string): Promise<void> =>
  saveCheckpoint(path, await checkpointOf(run));

/** Replaces the state by that of a checkpoint, a path or bytes, which must fit model and options. */
export async function restore(
  run: Run,
  source: string | Uint8Array,
  { limits, check }: RestoreOptions = {},
): Promise<void> {
  const { state, options } = run;
  if (run.busy) throw new Error('This trainer is training; end that loop before restoring a checkpoint.');
  state.tensors.requireAlive();
  const read =
    typeof source === 'string' ? await loadCheckpoint(source, limits) : readCheckpoint(source, limits);
  check?.(read.description);
  requireSameRecipe(read, options);
  const { state: tensors, best } = withoutBest(read.state);
  requireMatch("the trainer's model and options", matchParameters(state.tensors.host, tensors));
  await clear(run);
  await state.replace({ position: read.position, tensors, best });
}

/** Frees the program and what was computed from the state. */
export async function dispose(run: Run): Promise<void> {
  await run.state.tensors.dispose();
  await clear(run);
}

/** Drops cached features and the steps' snapshot, which a change of the state makes wrong. */
async function clear({ stepper, evaluation }: Run): Promise<void> {
  await stepper.clear();
  await evaluation.clear();
}
