/** Generates random graphs from a seed, for inference and as training steps. */
import {
  add,
  logSoftmax,
  mul,
  type Node,
  type Shape,
  ShapeError,
  sizeOf,
  type Tensor,
  tensor,
} from '@cnn/core';
import {
  crossEntropyLoss,
  differentiate,
  emit,
  forTraining,
  type Graph,
  inputsOf,
  isInput,
  isParameter,
  nllLoss,
  ops,
  parametersOf,
  prune,
  SEED,
} from '@cnn/core/graph';
import type { ConformanceCase, Feeds } from '@cnn/testing/conformance';
import { pictureBlocks } from './blocks.js';
import { Draw } from './draw.js';
import { BlockMismatch, GraphBuilder } from './graphBuilder.js';
import { anyLayers, channels, pictureLayers, rowLayers } from './layers.js';

/** A random graph with its weights and inputs. */
export interface RandomCase extends ConformanceCase {
  /** True for a training step: batch statistics, gradients, updates. */
  readonly training: boolean;
}

/** Generates the case of a seed: a graph for inference or a training step. */
export function randomCase(seed: number): RandomCase {
  const draw = new Draw(seed);
  const builder = forward(draw);
  const training = draw.chance(0.35) ? trainingCase(builder, seed) : undefined;
  return training ?? inferenceCase(builder, seed);
}

/** Generates the graph for inference of a seed. */
export const forwardCase = (seed: number): RandomCase => inferenceCase(forward(new Draw(seed)), seed);

function inputShape(draw: Draw): Shape {
  const n = draw.pick([1, 1, 2, 3, draw.between(1, 5)]);
  if (draw.chance(0.1)) return [n, channels(draw)];
  const wide = draw.chance(0.25);
  const side = (): number => (wide ? draw.between(14, 40) : draw.between(1, 15));
  return [n, wide ? draw.pick([1, 3, draw.between(1, 9)]) : channels(draw), side(), side()];
}

/** Appends random blocks to each other; a block that cannot be applied is skipped. */
function forward(draw: Draw): GraphBuilder {
  const builder = new GraphBuilder(draw);
  builder.input('x', inputShape(draw));
  if (draw.chance(0.15)) builder.input('z', inputShape(draw));
  const blocks = draw.between(1, 7);
  for (let block = 0, attempts = 0; block < blocks && attempts < 40; attempts++)
    try {
      const x = builder.value();
      const layers = [
        ...anyLayers,
        ...(x.shape.length === 4 ? pictureLayers : x.shape.length === 2 ? rowLayers : []),
      ];
      const choices = x.shape.length === 4 && draw.chance(0.4) ? pictureBlocks : layers;
      builder.values.push(draw.pick(choices)(builder, x));
      block++;
    } catch (error) {
      if (!(error instanceof BlockMismatch)) throw error;
    }
  return builder;
}

/**
 * Makes the last value an output, and sometimes also other values, inputs, or the last value under a second
 * name.
 */
function inferenceCase({ draw, graph, weights, values }: GraphBuilder, seed: number): RandomCase {
  const last = values.at(-1)!;
  graph.outputs.set('output', last);
  for (const [index, value] of values.entries())
    if (draw.chance(isInput(value) ? 0.03 : 0.12)) graph.outputs.set(`value${index}`, value);
  if (draw.chance(0.05)) graph.outputs.set('again', last);
  const runs = [feedsFor(graph, draw)];
  return { name: `seed ${seed}`, graph: prune(graph), weights, runs, training: false };
}

const feedsFor = (graph: Graph, draw: Draw): Feeds =>
  new Map(
    [...inputsOf(graph)].map(([name, { shape }]): [string, Tensor] => [
      name,
      { shape, data: draw.values(shape, 2) },
    ]),
  );

/**
 * Builds a training step: forward with batch statistics and dropout masks, a loss, all gradients, and
 * optimizer steps. Some gradients are also outputs. Returns undefined if the graph cannot be trained.
 */
function trainingCase(builder: GraphBuilder, seed: number): RandomCase | undefined {
  const { draw, weights } = builder;
  builder.graph.outputs.set('output', builder.values.at(-1)!);
  const graph = trainable(builder.graph);
  const isLeaf = (node: Node): boolean =>
    isInput(node) ? node.attrs.name !== SEED : isParameter(node) && node.attrs.trainable;
  const leaves = graph?.nodes.filter(isLeaf);
  if (!graph || !leaves) return undefined;
  const labels = new Map<string, Tensor>();
  const loss = lossOf(graph, draw, labels);
  const gradients = [...differentiate(loss, leaves)];
  graph.outputs.set('loss', loss);
  for (const [leaf, gradient] of gradients)
    if (isInput(leaf) || draw.chance(0.5)) graph.outputs.set(`gradient of ${nameOf(leaf)}`, gradient);
  const states = optimizer(
    graph,
    draw,
    gradients.filter(([leaf]) => isParameter(leaf)),
  );
  for (const [name, state] of states) weights.set(name, state);
  const fixed: readonly (readonly [string, Tensor])[] = [
    ...labels,
    ['rate', tensor([0.05, 0.01], [2])],
    ['corrections', tensor([0.1, 0.002], [2])],
  ];
  const runs = [0, 1].map((step): Feeds => {
    const feeds = new Map([
      ...feedsFor(graph, draw),
      ...fixed,
      [SEED, tensor([step + (seed % 1000)], [1])] as const,
    ]);
    return new Map([...inputsOf(graph).keys()].map((name) => [name, feeds.get(name)!]));
  });
  return { name: `seed ${seed}, training`, graph: prune(graph), weights, runs, training: true };
}

const nameOf = (leaf: Node): string => (isInput(leaf) || isParameter(leaf) ? leaf.attrs.name : '');

/**
 * Returns the training form of the graph; undefined if a batch norm has one value per channel, or if no
 * parameter is trainable.
 */
function trainable(graph: Graph): Graph | undefined {
  try {
    const form = forTraining(prune(graph));
    return [...parametersOf(form).values()].some(({ attrs }) => attrs.trainable) ? form : undefined;
  } catch (error) {
    if (error instanceof ShapeError) return undefined;
    throw error;
  }
}

/**
 * Appends a loss: cross entropy or negative log-likelihood of the output as rows, or a weighted sum of its
 * squares.
 */
function lossOf(graph: Graph, draw: Draw, labels: Map<string, Tensor>): Node {
  const { output } = graph;
  const [n, features] = [output.shape[0]!, sizeOf(output.shape.slice(1))];
  const rows = emit(ops.reshape, [output], { shape: [n, features] });
  const target = graph.input('labels', [n]);
  labels.set(
    'labels',
    tensor(
      Float32Array.from({ length: n }, () => draw.between(0, features - 1)),
      [n],
    ),
  );
  const classWeights = draw.chance(0.3) ? graph.input('class weights', [features]) : undefined;
  if (classWeights)
    labels.set('class weights', { shape: classWeights.shape, data: draw.values(classWeights.shape, 0.4, 1) });
  const options = {
    reduction: draw.pick(['mean', 'sum'] as const),
    ...(classWeights ? { classWeights } : {}),
  };
  if (draw.chance(0.4))
    return crossEntropyLoss(rows, target, { ...options, labelSmoothing: draw.pick([0, 0.1]) });
  if (draw.chance(0.4)) return nllLoss(logSoftmax(rows), target, options);
  // Squares, so that the gradient depends on the values; a matrix product computes their weighted sum.
  const all = emit(ops.reshape, [mul(output, output)], { shape: [1, n * features] });
  const shares = graph.input('shares', [1, n * features]);
  labels.set('shares', { shape: shares.shape, data: draw.values(shares.shape, 1, 0.5) });
  return emit(ops.reshape, [emit(ops.linear, [all, shares], {})], { shape: [] });
}

/**
 * Appends optimizer steps for most parameters: gradient descent with momentum, or Adam, with or without
 * clipping.
 */
function optimizer(
  graph: Graph,
  draw: Draw,
  gradients: readonly (readonly [Node, Node])[],
): ReadonlyMap<string, Tensor> {
  const states = new Map<string, Tensor>();
  const state = (name: string, { shape }: Node): Node => {
    states.set(name, { shape, data: new Float32Array(sizeOf(shape)) });
    return graph.parameter(name, shape, false);
  };
  const rate = graph.input('rate', [2]);
  const adam = draw.chance(0.4);
  const total = draw.chance(0.4)
    ? gradients.map(([, gradient]) => emit(ops.sumOfSquares, [gradient], {})).reduce(add)
    : undefined;
  for (const [parameter, raw] of gradients) {
    if (draw.chance(0.1)) continue;
    const name = nameOf(parameter);
    const index = draw.between(0, 1);
    const gradient = total ? emit(ops.clipByNorm, [raw, total], { maxNorm: 2 }) : raw;
    const momentum = state(`momentum.${name}`, parameter);
    const direction = emit(ops.linearCombination, [momentum, gradient], { a: 0.9, b: adam ? 0.1 : 1 });
    graph.updates.set(`momentum.${name}`, direction);
    if (adam) {
      const squares = emit(ops.squareAverage, [state(`squares.${name}`, parameter), gradient], {
        a: 0.99,
        b: 0.01,
      });
      graph.updates.set(`squares.${name}`, squares);
      const corrections = graph.input('corrections', [2]);
      const attrs = { index, eps: 1e-3, decay: draw.pick([0, 0.1]) };
      graph.updates.set(
        name,
        emit(ops.adaptiveDescend, [parameter, direction, squares, rate, corrections], attrs),
      );
    } else graph.updates.set(name, emit(ops.descend, [parameter, direction, rate], { index }));
  }
  return states;
}
