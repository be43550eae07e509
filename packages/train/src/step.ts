/** A training step as one graph: forward, loss, backward, update. Compiled once, it trains a whole run. */
import {
  add,
  differentiate,
  emit,
  fill,
  forTraining,
  fuse,
  type Graph,
  isParameter,
  type Module,
  mul,
  type Node,
  ops,
  parametersOf,
  prune,
  rewrite,
  type Shape,
  ShapeError,
  sizeOf,
  trace,
  type Weights,
} from '@cnn/core';
import type { Loss } from './loss.js';
import type { Optimizer } from './optimizers.js';
import { isUnder, requireKnown } from './paths.js';

/** Parameters with a learning rate of their own. */
export interface ParameterGroup {
  /** Path prefixes: `['layer4', 'fc']`. */
  readonly paths: readonly string[];
  /** Their learning rate where the optimizer's is for all others; schedules scale both alike. */
  readonly learningRate: number;
}

/** What a step is built from. */
export interface StepOptions {
  /** Batch first. */
  readonly input: Shape;
  readonly loss: Loss;
  readonly optimizer: Optimizer;
  /** Path prefixes of parameters that stay as they are; batch norms there keep their statistics. Default: none. */
  readonly freeze?: readonly string[];
  /** Default: one rate for all. A parameter in several groups takes the first. */
  readonly groups?: readonly ParameterGroup[];
  /** Largest norm of all gradients together; larger ones are scaled down to it. Default: no bound. */
  readonly clip?: number;
  /** Share of the moving average of weights that each step keeps, 0.999 for instance. Default: no average. */
  readonly ema?: number;
  /** Weight of each auxiliary head's loss, as in GoogLeNet. Default 0.3. */
  readonly auxiliaryWeight?: number;
}

/** Names of the step's inputs. */
export const stepInputs = { x: 'x', labels: 'labels', rate: 'rate', corrections: 'corrections' } as const;

const OPTIMIZER = 'optimizer.';
/** What the names of averaged weights start with. */
export const AVERAGE = 'average.';

/** Where a parameter's optimizer state is kept among the weights. */
export const slotName = (slot: string, parameter: string): string => `${OPTIMIZER}${slot}.${parameter}`;

/** The forward graph with its loss, and the gradient of every parameter that is trained. */
export interface Differentiated {
  readonly graph: Graph;
  /** By parameter name. */
  readonly gradients: ReadonlyMap<string, Node>;
}

/**
 * The graph of one training step. Outputs: `loss` (scalar) and `logits`; updates: every trained parameter,
 * its optimizer state, the running statistics, and the averages if there are any. Inputs: `x`, `labels` (n),
 * `rate` (one for each group, then one for the others), `corrections` (2), and `seed` where something is random.
 * @throws RangeError for a prefix that names nothing, and when nothing is left to train.
 * @throws ShapeError when the input or the class weights do not fit the model.
 */
export const trainingStep = (model: Module, options: StepOptions): Graph =>
  stepOf(trace(model, options.input, { mode: 'training' }), options);

/** The training step of a model that has been traced. */
export function stepOf(traced: Graph, options: StepOptions): Graph {
  const { optimizer, groups = [], clip, ema } = options;
  const { graph, gradients } = differentiated(traced, options);
  const rate = graph.input(stepInputs.rate, [groups.length + 1]);
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
  if (ema !== undefined) average(graph, ema);
  return prune(fuse(graph));
}

/** The forward pass in its training form, the loss over all heads, and the gradients. */
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

/** The graph with the parameters under the prefixes marked as not trainable. */
const withFrozen = (graph: Graph, prefixes: readonly string[]): Graph =>
  rewrite(graph, (node, _, target, copy) =>
    isParameter(node) && isUnder(node.attrs.name, prefixes)
      ? target.parameter(node.attrs.name, node.shape, false)
      : copy(),
  );

/** The gradients scaled so that the norm of all of them together is at most `maxNorm`. */
export function clipped(gradients: ReadonlyMap<string, Node>, maxNorm: number): ReadonlyMap<string, Node> {
  if (!(maxNorm > 0)) throw new RangeError(`'clip' is ${maxNorm}; the largest norm must be above 0.`);
  const [first, ...rest] = [...gradients.values()].map((node) => emit(ops.sumOfSquares, [node], {}, ''));
  const total = rest.reduce(add, first!);
  return new Map(
    [...gradients].map(([name, node]) => [name, emit(ops.clipByNorm, [node, total], { maxNorm }, node.path)]),
  );
}

/** Adds a moving average of everything that the step changes in the model, running statistics included. */
function average(graph: Graph, keep: number): void {
  if (!(keep > 0 && keep < 1)) throw new RangeError(`'ema' is ${keep}; it is a share between 0 and 1.`);
  for (const [name, value] of [...graph.updates]) {
    if (name.startsWith(OPTIMIZER)) continue;
    const before = graph.parameter(AVERAGE + name, value.shape, false);
    graph.updates.set(
      AVERAGE + name,
      emit(ops.linearCombination, [before, value], { a: keep, b: 1 - keep }, ''),
    );
  }
}

/**
 * The weights with everything else that the step's graph reads: averages that start as the weights
 * themselves, the loss's constants, and optimizer state of zeros.
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
