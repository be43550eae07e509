/**
 * The compiled program of the wasm back end: passes values by name to and from a runner, and reports profiles
 * by module.
 */
import { type Graph, type Node, parametersOf } from '../../graph/graph.js';
import { sizeOf } from '../../tensor/shape.js';
import type { Tensor, Weights } from '../../tensor/tensor.js';
import type { ProfileStep, Program } from '../backend.js';
import { describe, flopsOf } from '../common/describe.js';
import { valuesFor } from '../common/feeds.js';
import { Lifetime } from '../common/lifetime.js';
import type { Engine } from './codegen/engine.js';
import type { Plan } from './planGraph.js';
import { type MemoryImage, PAGE_BYTES } from './runtime/memoryImage.js';
import type { Runner } from './runtime/runner.js';

/**
 * Makes the program of a planned graph.
 * @param graph - the graph as compiled, not tiled.
 * @param runner - runs the plan; the program owns it and disposes of it.
 */
export function wasmProgram(
  graph: Graph,
  weights: Weights,
  engine: Engine,
  { image, outputs, parts, state }: Plan & { readonly image: MemoryImage },
  runner: Runner,
): Program {
  const lifetime = new Lifetime();
  // The program holds on to neither the plan's parts nor the memory image, since both refer to the weights that
  // fill memory. It keeps the weights only if some of them change, as `parameters` also returns the
  // unchanged ones.
  const { pages, phases, computePhaseCount } = image;
  const { fusions, updateChains } = parts.schedule;
  const { expectedSeconds, tileCounts } = parts.recorder;
  const { hostChecks } = parts;
  const updateFlops = updateChains
    .flatMap(({ nodes }) => nodes)
    .reduce((sum, node) => sum + flopsOf(node), 0);
  const initialWeights = graph.updates.size > 0 ? weights : undefined;
  const inputs = new Map(
    [...parts.values.inputs].map(([name, { at, shape }]) => [name, { at: at.address, shape }]),
  );
  const outputRanges = [...outputs.values()].map(({ node, value }) => ({
    at: value.at.address,
    floats: sizeOf(node.shape),
  }));
  /** Checks the inputs and returns their values with their addresses. */
  const feedsOf = (feeds: ReadonlyMap<string, Tensor>) => {
    lifetime.requireAlive();
    const addressed = [...inputs].map(([name, { at, shape }]) => ({
      at,
      data: valuesFor(graph, name, shape, feeds),
    }));
    for (const check of hostChecks) check(feeds);
    return addressed;
  };
  return {
    backend: 'wasm',
    threads: runner.threads,
    fallbackReason: runner.fallbackReason,
    get memory() {
      return lifetime.ended ? 0 : pages * PAGE_BYTES;
    },
    async run(feeds, signal) {
      signal?.throwIfAborted();
      const values = await lifetime.unlessEnded(runner.run(feedsOf(feeds), outputRanges, signal));
      return new Map(
        [...outputs].map(([name, { node }], index) => [name, { shape: node.shape, data: values[index]! }]),
      );
    },
    async parameters() {
      lifetime.requireAlive();
      if (!initialWeights) return new Map();
      const all = [...parametersOf(graph).keys()].map((name) => [name, initialWeights.get(name)!] as const);
      const ranges = [...state.values()].map(({ at, shape }) => ({ at: at.address, floats: sizeOf(shape) }));
      const values = await lifetime.unlessEnded(runner.read(ranges));
      const changed = [...state].map(([name, { shape }], i) => [name, { shape, data: values[i]! }] as const);
      return new Map([...all, ...changed]);
    },
    async profile(feeds) {
      const times = await lifetime.unlessEnded(runner.profile(feedsOf(feeds)));
      const steps = new Map<Node, ProfileStep>();
      for (const [index, { node, algorithm }] of phases.slice(0, computePhaseCount).entries()) {
        const fused = fusions.get(node)?.nodes ?? [node];
        const known = steps.get(node);
        const seconds = expectedSeconds.get(node);
        steps.set(node, {
          path: commonPath(fused.map(({ path }) => path)),
          op: fused.map(describe).join(', '),
          // The copy of an output into the host's order is a phase of its node, but not the node's algorithm.
          algorithm: known && algorithm === 'copy' ? known.algorithm : algorithm,
          milliseconds: (known?.milliseconds ?? 0) + times[index]!,
          ...(seconds === undefined ? {} : { expected: seconds * 1000 }),
          flops: (tileCounts.get(node) ?? 1) * fused.reduce((sum, member) => sum + flopsOf(member), 0),
        });
      }
      // Update phases belong to no node: each covers all parameters.
      const updates = phases.slice(computePhaseCount).map(({ algorithm }, index) => ({
        path: '',
        op: 'updates',
        algorithm,
        milliseconds: times[computePhaseCount + index]!,
        flops: algorithm === 'copy' ? 0 : updateFlops,
      }));
      return {
        backend: 'wasm',
        threads: runner.threads,
        notes: [engine.wide ? '256-bit SIMD' : '128-bit SIMD', ...(engine.fma ? ['FMA'] : [])],
        steps: [...steps.values(), ...updates],
      };
    },
    dispose: () => lifetime.end(() => runner.dispose()),
  };
}

/**
 * Returns the path of the innermost module that contains all paths. If they are entries of a list in it, the
 * indices of the first and the last entry follow: `features.0-2`.
 */
function commonPath(paths: readonly string[]): string {
  const names = paths.map((path) => path.split('.'));
  const [first, last] = [names[0]!, names.at(-1)!];
  const depth = first.findIndex((name, depth) => names.some((other) => other[depth] !== name));
  if (depth < 0) return paths[0]!;
  const shared = first.slice(0, depth);
  const listed = names.every((path) => /^\d+$/.test(path[depth] ?? ''));
  return [...shared, ...(listed ? [`${first[depth]}-${last[depth]}`] : [])].join('.');
}
