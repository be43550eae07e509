/** Finds where a step's values stop being numbers, on the reference kernels, and says what helps. */
import {
  computeReference,
  type Graph,
  isInput,
  isParameter,
  lastUses,
  type Node,
  sizeOf,
  timeSlices,
  type Values,
  type Weights,
} from '@cnn/core';
import { compileStep, type Feeds, type PlaceOptions } from './program.js';

/** Training that has run into infinity or NaN; the message names step and layer and says what helps. */
export class TrainingDiverged extends Error {
  override readonly name = 'TrainingDiverged';
  constructor(
    message: string,
    /** The step whose loss is not finite, from 1. */
    readonly step: number,
    /** That loss. */
    readonly loss: number,
    /** Path of the layer (or name of the parameter or input) where it first appeared; empty where it is not known. */
    readonly path: string,
  ) {
    super(message);
  }
}

/** Where a value that is not finite first appears. */
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

/** The error for a loss that is not finite at a step (from 1), with the culprit if one was found. */
function diverged(step: number, loss: number, culprit: Culprit | undefined, at: number): TrainingDiverged {
  const start = `The loss of step ${step} is ${loss}.`;
  if (!culprit)
    return new TrainingDiverged(
      `${start} Running the step again on the reference back end gave finite values everywhere, so that the back end's own rounding is to blame. ${advice}`,
      step,
      loss,
      '',
    );
  const { node, value } = culprit;
  if (isInput(node))
    return new TrainingDiverged(
      `${start} The input '${node.attrs.name}' already holds ${value}: check the pictures, 'augment', 'prepare' and 'normalise' (a deviation of 0 divides by zero).`,
      step,
      loss,
      node.attrs.name,
    );
  if (isParameter(node))
    return new TrainingDiverged(
      `${start} The parameter ${node.attrs.name} held ${value} before step ${at}: the weights that training began with are not finite, or an update overflowed. ${advice}`,
      step,
      loss,
      node.attrs.name,
    );
  const place = node.path || 'the loss';
  const where = `${value} first appeared in ${place} (${node.op})${at === step ? '' : `, at step ${at}`}.`;
  return new TrainingDiverged(`${start} ${where} ${advice}`, step, loss, node.path || node.op);
}

/** A copy of a run's state, and the steps that were done by then. */
export interface Snapshot {
  readonly state: Weights;
  readonly step: number;
}

/**
 * Why the loss of a step (steps done before it: `failed`) is not finite: replays from the last copy of the
 * state and looks for the first such value. Where that is a parameter, a step before has spoilt it: looks there.
 */
export async function explain(
  graph: Graph,
  place: PlaceOptions,
  { state: before, step: first }: Snapshot,
  { step: failed, loss }: { readonly step: number; readonly loss: number },
  feedsOf: (step: number) => Promise<Feeds>,
): Promise<TrainingDiverged> {
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
