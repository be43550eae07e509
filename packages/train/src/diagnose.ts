/** Finds the origin of a loss that is infinite or NaN, with the reference kernels, and names a remedy. */
import { type Node, sizeOf, type Weights } from '@cnn/core';
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

/** Error of a training whose loss became infinite or NaN. The message names step, layer and remedy. */
export class TrainingDiverged extends Error {
  override readonly name = 'TrainingDiverged';
  constructor(
    message: string,
    /** Step whose loss is not finite, from 1. */
    readonly step: number,
    /** Loss of that step. */
    readonly loss: number,
    /** Path of the layer, or name of the parameter or input, of the first such value; empty if not found. */
    readonly path: string,
  ) {
    super(message);
  }
}

/** First node with a value that is not finite, and that value. */
interface Culprit {
  readonly node: Node;
  readonly value: number;
}

/** Runs a graph op by op in float32 until a value is not finite; undefined when all are. */
async function firstNonFinite(graph: Graph, state: Weights, feeds: Feeds): Promise<Culprit | undefined> {
  const lastUse = lastUses(graph);
  const values = new Map<Node, Values>();
  const yieldIfDue = timeSlices();
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
  if (!culprit)
    return new TrainingDiverged(
      `${start} Running the step again on the reference back end gave finite values everywhere, so the rounding of the back end in use is the cause. ${advice}`,
      step,
      loss,
      '',
    );
  const { node, value } = culprit;
  if (isInput(node))
    return new TrainingDiverged(
      `${start} The input '${node.attrs.name}' already holds ${value}; check the pictures, 'augment', 'prepare' and 'normalise' (a deviation of 0 divides by zero).`,
      step,
      loss,
      node.attrs.name,
    );
  if (isParameter(node))
    return new TrainingDiverged(
      `${start} The parameter ${node.attrs.name} held ${value} before step ${at}: the initial weights are not finite, or an update overflowed. ${advice}`,
      step,
      loss,
      node.attrs.name,
    );
  const place = node.path || 'the loss';
  const where = `${value} first appeared in ${place} (${node.op})${at === step ? '' : `, at step ${at}`}.`;
  return new TrainingDiverged(`${start} ${where} ${advice}`, step, loss, node.path || node.op);
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

/**
 * Finds the cause of a loss that is not finite. Replays the steps since the snapshot and looks for the first
 * such value. If that is a parameter, an earlier step has overflowed, so the search goes back step by step.
 * @param failed - the failed step, counted from 0, and its loss.
 * @param feedsOf - makes the feeds of a step again.
 */
export async function explain(
  graph: Graph,
  place: PlaceOptions,
  { state: before, step: first }: Snapshot,
  { step: failed, loss }: { readonly step: number; readonly loss: number },
  feedsOf: (step: number) => Promise<Feeds>,
): Promise<TrainingDiverged> {
  const unweighted = await weightlessBatch(before, failed, feedsOf);
  if (unweighted)
    return new TrainingDiverged(
      `The loss of step ${failed + 1} is ${loss}: all pictures of its batch belong to classes with the weight 0 (${unweighted.join(', ')}), so their weighted mean divides 0 by 0. Give these classes a weight above 0, leave their pictures out, or give 'input' a larger batch.`,
      failed + 1,
      loss,
      CLASS_WEIGHTS,
    );
  for (let target = failed; ; target--) {
    const { program } = await compileStep(graph, before, place);
    for (let step = first; step < target; step++) await program.run(await feedsOf(step));
    const state = new Map([...before, ...(await program.parameters())]);
    await program.dispose();
    const culprit = await firstNonFinite(graph, state, await feedsOf(target));
    if (culprit?.node.op !== 'parameter' || target === first)
      return diverged(failed + 1, loss, culprit, target + 1);
  }
}
