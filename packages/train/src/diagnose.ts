/** Finds where a step's values stop being numbers, on the reference kernels, and says what helps. */
import {
  definitionOf,
  type Graph,
  isInput,
  isParameter,
  type Node,
  sizeOf,
  type Values,
  type Weights,
} from '@cnn/core';
import type { Feeds } from './program.js';

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
export interface Culprit {
  readonly node: Node;
  readonly value: number;
}

/** Longest stretch of work, in milliseconds, before the event loop gets a turn. */
const PATIENCE = 50;

/** Runs a graph op by op in float32 until a value is not finite; undefined when all are. */
export async function firstNonFinite(
  graph: Graph,
  state: Weights,
  feeds: Feeds,
): Promise<Culprit | undefined> {
  const lastUse = new Map<Node, number>();
  for (const [index, node] of graph.nodes.entries())
    for (const input of node.inputs) lastUse.set(input, index);
  const values = new Map<Node, Values>();
  let turn = performance.now();
  for (const [index, node] of graph.nodes.entries()) {
    if (performance.now() - turn > PATIENCE) {
      await new Promise((resolve) => setTimeout(resolve));
      turn = performance.now();
    }
    const output = valuesAt(node, values, state, feeds);
    const value = output.find((item) => !Number.isFinite(item));
    if (value !== undefined) return { node, value };
    values.set(node, output);
    for (const input of node.inputs) if (lastUse.get(input) === index) values.delete(input);
  }
  return undefined;
}

function valuesAt(
  node: Node,
  values: ReadonlyMap<Node, Values>,
  state: Weights,
  feeds: Feeds,
): Float32Array | Float64Array {
  if (isParameter(node)) return state.get(node.attrs.name)!.data;
  if (isInput(node)) return feeds.get(node.attrs.name)!.data;
  const output = new Float32Array(sizeOf(node.shape));
  definitionOf(node).reference({
    inputs: node.inputs.map((input) => values.get(input)!),
    shapes: node.inputs.map((input) => input.shape),
    attrs: node.attrs,
    output,
    shape: node.shape,
  });
  return output;
}

const advice =
  "Lower the learning rate, begin with warmUp(), or bound the gradients with 'clip'; check that the pictures are normalised.";

/** The error for a loss that is not finite at a step (from 1), with the culprit if one was found. */
export function diverged(
  step: number,
  loss: number,
  culprit: Culprit | undefined,
  at: number,
): TrainingDiverged {
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
