/** Finds the origin of a loss that is infinite or NaN, with the reference kernels, and names a remedy. */
import { type Module, type Node, parameters, sizeOf, type Weights } from '@cnn/core';
import {
  computeReference,
  type Graph,
  isInput,
  isParameter,
  lastUses,
  timeSlices,
  type Values,
} from '@cnn/core/graph';
import { CLASS_WEIGHTS } from './loss.js';
import { compileStep, type Feeds, type PlaceOptions } from './program.js';
import { stepInputs } from './step.js';

/**
 * Error of a training whose loss or parameters became infinite or NaN. The message names step, layer and remedy. The
 * run cannot be saved any more: restore a checkpoint.
 */
export class TrainingDiverged extends Error {
  override readonly name = 'TrainingDiverged';
  constructor(
    message: string,
    /** Step whose loss, or after which a parameter, is not finite, from 1. */
    readonly step: number,
    /** Loss of that step. */
    readonly loss: number,
    /** Path of the layer, or name of the parameter or input, of the first such value; empty if not found. */
    readonly path: string,
    /** Number of steps after which everything was still finite; undefined if not known. */
    readonly lastGoodStep: number | undefined,
  ) {
    super(message);
  }
}

/** First node with a value that is not finite, and that value. */
interface Culprit {
  readonly node: Node;
  readonly value: number;
}

/**
 * Checks the trained parameters of a state, before it replaces a good one on a disk: an update may overflow although
 * the loss of its step is finite.
 * @param at - the last step, and its loss.
 * @throws TrainingDiverged that names the first such parameter.
 */
export function requireFinite(
  model: Module,
  state: Weights,
  { step, lastLoss }: { readonly step: number; readonly lastLoss: number },
): void {
  for (const [name, { trainable }] of parameters(model)) {
    const value = trainable ? state.get(name)!.data.find((item) => !Number.isFinite(item)) : undefined;
    if (value !== undefined)
      throw new TrainingDiverged(
        `The parameter ${name} holds ${value} after step ${step}, so the state is not saved. ${advice}`,
        step,
        lastLoss,
        name,
        undefined,
      );
  }
}

/** Runs a graph op by op in float32 until a value is not finite; undefined when all are. */
async function firstNonFinite(
  graph: Graph,
  state: Weights,
  feeds: Feeds,
  signal: AbortSignal | undefined,
): Promise<Culprit | undefined> {
  const lastUse = lastUses(graph);
  const values = new Map<Node, Values>();
  const yieldIfDue = timeSlices(signal);
  for (const [index, node] of graph.nodes.entries()) {
    await yieldIfDue();
    const output = valuesAt(node, values, state, feeds);
    const value = output.find((item) => !Number.isFinite(item));
    if (value !== undefined) return { node, value };
    values.set(node, output);
    for (const input of node.inputs) if (lastUse.get(input) === index) values.delete(input);
  }
  return undefined;
}

function valuesAt(node: Node, values: ReadonlyMap<Node, Values>, state: Weights, feeds: Feeds): Values {
  if (isParameter(node)) return state.get(node.attrs.name)!.data;
  if (isInput(node)) return feeds.get(node.attrs.name)!.data;
  return computeReference(node, (input) => values.get(input)!, new Float32Array(sizeOf(node.shape)));
}

const advice =
  "Lower the learning rate, begin with warmUp(), or bound the gradients with 'clip'; check that the pictures are normalised.";

/**
 * Makes the error.
 * @param step - the step of the loss, from 1.
 * @param at - the step of the culprit, from 1.
 */
function diverged(step: number, loss: number, culprit: Culprit | undefined, at: number): TrainingDiverged {
  const start = `The loss of step ${step} is ${loss}.`;
  const good = at - 1;
  const lastGood = good > 0 ? ` After step ${good} all values were still finite.` : '';
  if (!culprit)
    return new TrainingDiverged(
      `${start} Running the step again on the reference back end gave finite values everywhere, so the rounding of the back end in use is the cause.${lastGood} ${advice}`,
      step,
      loss,
      '',
      good,
    );
  const { node, value } = culprit;
  if (isInput(node))
    return new TrainingDiverged(
      `${start} The input '${node.attrs.name}' already holds ${value}; check the pictures, 'augment', 'prepare' and 'normalise' (a deviation of 0 divides by zero).${lastGood}`,
      step,
      loss,
      node.attrs.name,
      good,
    );
  if (isParameter(node))
    return new TrainingDiverged(
      `${start} The parameter ${node.attrs.name} held ${value} before step ${at}: the initial weights are not finite, or an update overflowed. ${advice}`,
      step,
      loss,
      node.attrs.name,
      undefined,
    );
  const place = node.path || 'the loss';
  const where = `${value} first appeared in ${place} (${node.op})${at === step ? '' : `, at step ${at}`}.`;
  return new TrainingDiverged(
    `${start} ${where}${lastGood} ${advice}`,
    step,
    loss,
    node.path || node.op,
    good,
  );
}

/** Gives the classes of a batch if the loss gives all of them the weight 0, else undefined. */
async function weightlessBatch(
  state: Weights,
  step: number,
  feedsOf: (step: number) => Promise<Feeds>,
): Promise<readonly number[] | undefined> {
  const weights = state.get(CLASS_WEIGHTS)?.data;
  if (!weights) return undefined;
  const labels = (await feedsOf(step)).get(stepInputs.labels)?.data ?? [];
  return labels.length > 0 && labels.every((label) => weights[label] === 0)
    ? [...new Set(labels)].sort((a, b) => a - b)
    : undefined;
}

/** Copy of a run's state, and the steps done before it. */
export interface Snapshot {
  readonly state: Weights;
  readonly step: number;
}

/** A step that failed: its number from 0, and its loss. */
interface Failure {
  readonly step: number;
  readonly loss: number;
}

/**
 * Finds the cause of a loss that is not finite. Replays the steps since the snapshot and looks for the first
 * such value. If that is a parameter, an earlier step has overflowed, so the search goes back step by step.
 * @param feedsOf - makes the feeds of a step again.
 * @param signal - ends the search, which may replay 50 steps some times; the error then names no cause.
 */
export async function explain(
  graph: Graph,
  place: PlaceOptions,
  snapshot: Snapshot,
  failure: Failure,
  feedsOf: (step: number) => Promise<Feeds>,
  signal?: AbortSignal,
): Promise<TrainingDiverged> {
  try {
    return await findCause(graph, place, snapshot, failure, feedsOf, signal);
  } catch (error) {
    if (!signal?.aborted) throw error;
    const step = failure.step + 1;
    const stopped = 'The search for the layer was interrupted.';
    return new TrainingDiverged(
      `The loss of step ${step} is ${failure.loss}. ${stopped} ${advice}`,
      step,
      failure.loss,
      '',
      undefined,
    );
  }
}

async function findCause(
  graph: Graph,
  place: PlaceOptions,
  { state: before, step: first }: Snapshot,
  { step: failed, loss }: Failure,
  feedsOf: (step: number) => Promise<Feeds>,
  signal: AbortSignal | undefined,
): Promise<TrainingDiverged> {
  const unweighted = await weightlessBatch(before, failed, feedsOf);
  if (unweighted)
    return new TrainingDiverged(
      `The loss of step ${failed + 1} is ${loss}: all pictures of its batch belong to classes with the weight 0 (${unweighted.join(', ')}), so their weighted mean divides 0 by 0. Give these classes a weight above 0, leave their pictures out, or give 'input' a larger batch.`,
      failed + 1,
      loss,
      CLASS_WEIGHTS,
      failed,
    );
  for (let target = failed; ; target--) {
    const state = await stateAt(target);
    const culprit = await firstNonFinite(graph, state, await feedsOf(target), signal);
    if (culprit?.node.op !== 'parameter' || target === first)
      return diverged(failed + 1, loss, culprit, target + 1);
  }

  /** Gives the state after `target` steps. */
  async function stateAt(target: number): Promise<Weights> {
    const { program } = await compileStep(graph, before, place, signal);
    try {
      for (let step = first; step < target; step++) await program.run(await feedsOf(step), signal);
      return new Map([...before, ...(await program.parameters())]);
    } finally {
      await program.dispose();
    }
  }
}
