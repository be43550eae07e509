/** Builds a training step as one graph: forward pass, loss, backward pass and update. */
import {
  add,
  type Module,
  mul,
  type Node,
  type Shape,
  ShapeError,
  sizeOf,
  trace,
  type Weights,
} from '@cnn/core';
import {
  differentiate,
  emit,
  fill,
  forTraining,
  fuse,
  type Graph,
  isParameter,
  ops,
  parametersOf,
  prune,
  rewrite,
} from '@cnn/core/graph';
import type { Loss } from './loss.js';
import type { Optimizer } from './optimizers.js';
import { isUnder, requireKnown } from './paths.js';

/** Group of parameters with another learning rate than the optimizer's. */
export interface ParameterGroup {
  /** Path prefixes: `['layer4', 'fc']`. */
  readonly paths: readonly string[];
  /** Learning rate of the group. Schedules scale it like the optimizer's. */
  readonly learningRate: number;
}

/** Options of a step. */
export interface StepOptions {
  /** Shape of a batch, batch first. */
  readonly input: Shape;
  readonly loss: Loss;
  readonly optimizer: Optimizer;
  /** Path prefixes of untrained parameters; batch norms there keep their statistics. Default: none. */
  readonly freeze?: readonly string[];
  /** Default: one rate for all. A parameter in several groups has the rate of the first. */
  readonly groups?: readonly ParameterGroup[];
  /** Largest norm of all gradients together; longer gradients are scaled down. Default: no bound. */
  readonly clip?: number;
  /**
   * Decay of an exponential moving average of the weights, for example 0.999. The average starts at the initial
   * weights, which weigh 0.999^n after n steps: give `emaWarmUp` for runs of less than some 5,000 steps.
   * Default: no average.
   */
  readonly ema?: number;
  /**
   * Begins the average with a smaller decay, min(ema, (1 + n) / (10 + n)) after n steps, so that it follows the
   * weights in short runs too. Default false, as in PyTorch's `AveragedModel`.
   */
  readonly emaWarmUp?: boolean;
  /** Weight of the loss of each auxiliary head (GoogLeNet). Default 0.3. */
  readonly auxiliaryWeight?: number;
}

/** Names of the step's inputs. */
export const stepInputs = { x: 'x', labels: 'labels', rate: 'rate', corrections: 'corrections' } as const;

const OPTIMIZER = 'optimizer.';
/** Name prefix of the averaged weights. */
export const AVERAGE = 'average.';

/** Gives the name of a parameter's optimizer state among the weights. */
export const slotName = (slot: string, parameter: string): string => `${OPTIMIZER}${slot}.${parameter}`;

/** Graph of forward pass, loss and backward pass, with the gradient of every trained parameter. */
export interface Differentiated {
  readonly graph: Graph;
  /** Gradients by parameter name. */
  readonly gradients: ReadonlyMap<string, Node>;
}

/**
 * Builds the graph of a training step.
 *
 * Inputs: `x`, `labels` (n), `rate` (one per group, then one for all other parameters, and with `emaWarmUp` the
 * share of the new weights in the average), `corrections` (2), and `seed` if the model has dropout or stochastic depth. Outputs: `loss` (scalar) and `logits`. Updates:
 * the trained parameters, their optimizer state, running statistics, and the moving averages if `ema` is set.
 * @throws RangeError for a prefix that matches no parameter, and if nothing is left to train.
 * @throws ShapeError if the input or the class weights do not fit the model.
 */
export const trainingStep = (model: Module, options: StepOptions): Graph =>
  stepOf(trace(model, options.input, { mode: 'training' }), options);

/** Builds the training step of a traced model. */
export function stepOf(traced: Graph, options: StepOptions): Graph {
  const { optimizer, groups = [], clip, ema, emaWarmUp = false } = options;
  const { graph, gradients } = differentiated(traced, options);
  const warmUp = ema !== undefined && emaWarmUp;
  const rate = graph.input(stepInputs.rate, [groups.length + (warmUp ? 2 : 1)]);
  const corrections = graph.input(stepInputs.corrections, [2]);
  requireKnown(
    'groups',
    groups.flatMap(({ paths }) => paths),
    gradients.keys(),
  );
  for (const [name, gradient] of clip === undefined ? gradients : clipped(gradients, clip)) {
    const parameter = graph.parameter(name, gradient.shape, true);
    const slots = Object.fromEntries(
      optimizer.slots.map((slot) => [slot, graph.parameter(slotName(slot, name), parameter.shape, false)]),
    );
    const found = groups.findIndex(({ paths }) => isUnder(name, paths));
    const group = found === -1 ? groups.length : found;
    const updated = optimizer.update({ parameter, gradient, slots, rate, group, corrections });
    graph.updates.set(name, updated.parameter);
    for (const slot of optimizer.slots) graph.updates.set(slotName(slot, name), updated.slots[slot]!);
  }
  if (ema !== undefined) average(graph, ema, warmUp ? { rate, index: groups.length + 1 } : undefined);
  return prune(fuse(graph));
}

/** Builds the forward pass for training, the loss over all heads, and the gradients. */
export function differentiated(
  traced: Graph,
  { loss, freeze = [], auxiliaryWeight = 0.3 }: StepOptions,
): Differentiated {
  requireKnown('freeze', freeze, parametersOf(traced).keys());
  const graph = forTraining(withFrozen(traced, freeze));
  const [logits, ...auxiliary] = [...graph.outputs.values()] as [Node, ...Node[]];
  if (logits.shape.length !== 2)
    throw new ShapeError(
      `${graph.at('')}: training needs logits of n x classes, but the output is [${logits.shape.join(', ')}].`,
    );
  const labels = graph.input(stepInputs.labels, [logits.shape[0]!]);
  const value = auxiliary.reduce(
    (sum, head) => add(sum, mul(loss(head, labels), fill(graph, auxiliaryWeight, []))),
    loss(logits, labels),
  );
  graph.outputs.clear();
  graph.outputs.set('loss', value).set('logits', logits);
  const trained = new Map([...parametersOf(graph)].filter(([, node]) => node.attrs.trainable));
  if (trained.size === 0)
    throw new RangeError(`${graph.at('')}: 'freeze' covers every parameter; nothing is left to train.`);
  const byNode = differentiate(value, [...trained.values()]);
  return {
    graph,
    gradients: new Map(
      [...trained].flatMap(([name, node]) => (byNode.has(node) ? [[name, byNode.get(node)!]] : [])),
    ),
  };
}

/** Marks the parameters under the prefixes as not trainable. */
const withFrozen = (graph: Graph, prefixes: readonly string[]): Graph =>
  rewrite(graph, (node, _, target, copy) =>
    isParameter(node) && isUnder(node.attrs.name, prefixes)
      ? target.parameter(node.attrs.name, node.shape, false)
      : copy(),
  );

/** Scales the gradients so that the norm of all of them together is at most `maxNorm`. */
export function clipped(gradients: ReadonlyMap<string, Node>, maxNorm: number): ReadonlyMap<string, Node> {
  if (!(typeof maxNorm === 'number' && maxNorm > 0))
    throw new RangeError(`'clip' is ${maxNorm}; the largest norm must be above 0.`);
  const [first, ...rest] = [...gradients.values()].map((node) => emit(ops.sumOfSquares, [node], {}, ''));
  const total = rest.reduce(add, first!);
  return new Map(
    [...gradients].map(([name, node]) => [name, emit(ops.clipByNorm, [node, total], { maxNorm }, node.path)]),
  );
}

/** Gives the decay of a warmed-up average after `step` steps. */
export const warmDecay = (decay: number, step: number): number => Math.min(decay, (1 + step) / (10 + step));

/**
 * Adds moving averages of all weights that the step changes, running statistics included.
 * @param share - input with the share of the new weights, if it changes from step to step.
 */
function average(
  graph: Graph,
  decay: number,
  share: { readonly rate: Node; readonly index: number } | undefined,
): void {
  if (!(decay > 0 && decay < 1))
    throw new RangeError(`'ema' is ${decay}; give a number above 0 and below 1.`);
  for (const [name, value] of [...graph.updates]) {
    if (name.startsWith(OPTIMIZER)) continue;
    const before = graph.parameter(AVERAGE + name, value.shape, false);
    const combine = (a: number, b: number): Node =>
      emit(ops.linearCombination, [before, value], { a, b }, '');
    graph.updates.set(
      AVERAGE + name,
      share
        ? emit(ops.descend, [before, combine(1, -1), share.rate], { index: share.index }, '')
        : combine(decay, 1 - decay),
    );
  }
}

/**
 * Adds to the weights what else the step's graph reads: averages with the weights as initial values, the
 * constants of the loss, and optimizer state of zeros.
 */
export function withOptimizerState(graph: Graph, weights: Weights, constants: Weights = new Map()): Weights {
  const result: Weights = new Map([...weights, ...constants]);
  for (const [name, { shape }] of parametersOf(graph)) {
    if (result.has(name)) continue;
    const start = name.startsWith(AVERAGE) ? weights.get(name.slice(AVERAGE.length)) : undefined;
    result.set(name, start ?? { shape, data: new Float32Array(sizeOf(shape)) });
  }
  return result;
}
