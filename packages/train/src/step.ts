/** A training step as one graph: forward, loss, backward, update. Compiled once, it trains a whole run. */
import {
  crossEntropyLoss,
  differentiate,
  forTraining,
  type Graph,
  isParameter,
  type Module,
  type Node,
  parametersOf,
  prune,
  rewrite,
  type Shape,
  sizeOf,
  trace,
  type Weights,
} from '@cnn/core';
import type { Optimizer } from './optimizers.js';

/** Builds the loss of a batch, a scalar, from logits (n x classes) and labels (n). */
export type Loss = (logits: Node, labels: Node) => Node;

/** Options of {@link crossEntropy}. */
export interface CrossEntropyLossOptions {
  /** Share of the target spread evenly over all classes. Default 0. */
  readonly labelSmoothing?: number;
}

/** Cross entropy, averaged over the batch. */
export const crossEntropy =
  ({ labelSmoothing = 0 }: CrossEntropyLossOptions = {}): Loss =>
  (logits, labels) =>
    crossEntropyLoss(logits, labels, { labelSmoothing });

/** What a step is built from. */
export interface StepOptions {
  /** Batch first. */
  readonly input: Shape;
  readonly loss: Loss;
  readonly optimizer: Optimizer;
  /** Path prefixes of parameters that stay as they are. Default: none. */
  readonly freeze?: readonly string[];
}

/** Names of the step's inputs beside the pictures `x`. */
export const stepInputs = { labels: 'labels', rate: 'rate', corrections: 'corrections' } as const;

/** Where a parameter's optimizer state is kept among the weights. */
export const slotName = (slot: string, parameter: string): string => `optimizer.${slot}.${parameter}`;

/** Whether a path lies under one of the prefixes. */
const under = (path: string, prefixes: readonly string[]): boolean =>
  prefixes.some((prefix) => path === prefix || path.startsWith(`${prefix}.`));

/**
 * The graph of one training step. Outputs: `loss` (scalar) and `logits`; updates: every trained parameter,
 * its optimizer state, and the running statistics.
 */
export function trainingStep(model: Module, { input, loss, optimizer, freeze = [] }: StepOptions): Graph {
  const traced = withFrozen(trace(model, input, { mode: 'training' }), freeze);
  const graph = forTraining(traced);
  const logits = graph.output;
  const value = loss(logits, graph.input(stepInputs.labels, [input[0]!]));
  graph.outputs.clear();
  graph.outputs.set('loss', value).set('logits', logits);

  const trained = [...parametersOf(graph).values()].filter((node) => node.attrs.trainable);
  const gradients = differentiate(value, trained);
  const rate = graph.input(stepInputs.rate, [1]);
  const corrections = graph.input(stepInputs.corrections, [2]);
  for (const [parameter, gradient] of gradients) {
    const { name } = (parameter as (typeof trained)[number]).attrs;
    const slots = Object.fromEntries(
      optimizer.slots.map((slot) => [slot, graph.parameter(slotName(slot, name), parameter.shape, false)]),
    );
    const updated = optimizer.update({ parameter, gradient, slots, rate, group: 0, corrections });
    graph.updates.set(name, updated.parameter);
    for (const slot of optimizer.slots) graph.updates.set(slotName(slot, name), updated.slots[slot]!);
  }
  return prune(graph);
}

/** The graph with the parameters under the prefixes marked as not trainable. */
const withFrozen = (graph: Graph, prefixes: readonly string[]): Graph =>
  rewrite(graph, (node, _, target, copy) =>
    isParameter(node) && under(node.attrs.name, prefixes)
      ? target.parameter(node.attrs.name, node.shape, false)
      : copy(),
  );

/** The weights with zero state added for every slot that the step needs. */
export function withOptimizerState(graph: Graph, weights: Weights): Weights {
  const result: Weights = new Map(weights);
  for (const [name, { shape }] of parametersOf(graph))
    if (!result.has(name)) result.set(name, { shape, data: new Float32Array(sizeOf(shape)) });
  return result;
}
