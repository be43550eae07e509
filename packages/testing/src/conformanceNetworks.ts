/**
 * Conformance cases of whole graphs: small networks as traced, as simplified for inference, and as training
 * steps.
 */
import { add, type Tensor, tensor, trace, type Weights } from '@cnn/core';
import {
  crossEntropyLoss,
  differentiate,
  emit,
  forInference,
  forTraining,
  type Graph,
  nllLoss,
  ops,
  parametersOf,
  prepareForInference,
  prune,
  SEED,
} from '@cnn/core/graph';
import { type ConformanceCase, type Feeds, once } from './conformance.js';
import { CLASSES, type Network, networks } from './networks.js';
import { schemeInput, schemeLabels, schemeWeights } from './scheme.js';

/** Returns weights for every parameter of a graph; the optimizer's state is zero. */
const weightsFor = (graph: Graph): Weights =>
  new Map(
    [
      ...schemeWeights(
        [...parametersOf(graph)].map(([name, { shape }]) => [name, shape] as const),
        1,
      ),
    ].map(([name, value]) => [
      name,
      name.startsWith('velocity.') ? { ...value, data: new Float32Array(value.data.length) } : value,
    ]),
  );

function inferenceCases(name: string, { model, picture }: Network): readonly ConformanceCase[] {
  return [1, 3].flatMap((n) => {
    const traced = trace(model, [n, ...picture], { name });
    const weights = weightsFor(traced);
    const runs = [new Map([['x', schemeInput([n, ...picture], `${name}/x`)]])];
    return [
      { name: `${name}, batch ${n}, as traced`, graph: prune(forInference(traced)), weights, runs },
      { name: `${name}, batch ${n}, simplified`, ...prepareForInference(traced, weights), runs },
    ];
  });
}

/**
 * Three steps of stochastic gradient descent with momentum and clipping, with dropout masks and running
 * statistics.
 */
function trainingCase(name: string, { model, picture, logProbabilities }: Network): ConformanceCase {
  const n = 3;
  const graph = forTraining(trace(model, [n, ...picture], { name, mode: 'training' }));
  const labels = graph.input('labels', [n]);
  const loss = logProbabilities
    ? nllLoss(graph.output, labels)
    : crossEntropyLoss(graph.output, labels, { labelSmoothing: 0.1 });
  graph.outputs.set('loss', loss);
  const rate = graph.input('rate', [1]);
  const trained = [...parametersOf(graph)].filter(([, { attrs }]) => attrs.trainable);
  const gradients = differentiate(
    loss,
    trained.map(([, node]) => node),
  );
  const total = [...gradients.values()].map((gradient) => emit(ops.sumOfSquares, [gradient], {})).reduce(add);
  for (const [parameter, node] of trained) {
    const gradient = emit(ops.clipByNorm, [gradients.get(node)!, total], { maxNorm: 2 });
    const state = `velocity.${parameter}`;
    const velocity = emit(ops.linearCombination, [graph.parameter(state, node.shape, false), gradient], {
      a: 0.9,
      b: 1,
    });
    graph.updates.set(state, velocity);
    graph.updates.set(parameter, emit(ops.descend, [node, velocity, rate], { index: 0 }));
  }
  const seeded = graph.nodes.some((node) => node.op === 'randomMask');
  const runs = [0, 1, 2].map(
    (step): Feeds =>
      new Map<string, Tensor>([
        ['x', schemeInput([n, ...picture], `${name}/x/${step}`)],
        ['labels', tensor(schemeLabels(`${name}/y/${step}`, n, CLASSES), [n])],
        ['rate', tensor([0.05 / (step + 1)], [1])],
        ...(seeded ? [[SEED, tensor([step], [1])] as const] : []),
      ]),
  );
  return { name: `${name}, three training steps`, graph: prune(graph), weights: weightsFor(graph), runs };
}

/** Returns the cases of all networks, for inference and training; the same objects at each call. */
export const networkConformance = once((): readonly ConformanceCase[] =>
  Object.entries(networks).flatMap(([name, network]) => [
    ...inferenceCases(name, network),
    ...(network.trains === false ? [] : [trainingCase(name, network)]),
  ]),
);

/** Cases in which one pixel of the second of three pictures is NaN: only that picture's result may be NaN. */
export const poisonedConformance = once((): readonly ConformanceCase[] =>
  ['residual blocks', 'a LeNet'].flatMap((name) =>
    inferenceCases(name, networks[name]!)
      .filter(({ runs: [feeds] }) => feeds!.get('x')!.shape[0] === 3)
      .map((subject) => {
        const { shape, data } = subject.runs[0]!.get('x')!;
        const poisoned = data.slice();
        poisoned[Math.floor(data.length / 2)] = Number.NaN;
        return { ...subject, runs: [new Map([['x', { shape, data: poisoned }]])] };
      }),
  ),
);
