/** A compiled graph as the wasm back end runs it: values by name go in and out, profiles speak of modules. */
import { type Graph, type Node, parametersOf } from '../../graph/graph.js';
import { sizeOf } from '../../tensor/shape.js';
import type { Tensor, Weights } from '../../tensor/tensor.js';
import type { ProfileStep, Program } from '../backend.js';
import { describe, flopsOf } from '../common/describe.js';
import { valuesFor } from '../common/feeds.js';
import { Lifetime } from '../common/lifetime.js';
import type { Engine } from './codegen/engine.js';
import type { PlannedGraph } from './planGraph.js';
import type { Image } from './runtime/memoryImage.js';
import type { Runner } from './runtime/runner.js';

/** A program that has its runner run the plan of a graph. */
export function wasmProgram(
  graph: Graph,
  weights: Weights,
  engine: Engine,
  { image, outputs, planner, state }: PlannedGraph & { readonly image: Image },
  runner: Runner,
): Program {
  const lifetime = new Lifetime();
  // What stays alive with the program: not the planner and the image, which know how to fill memory with
  // weights, and the weights themselves only if some of them change and the rest is asked for beside them.
  const { pages, phases, computePhaseCount } = image;
  const { groups, expected, turns, chains, checks } = planner;
  const updateFlops = chains.flatMap(({ nodes }) => nodes).reduce((sum, node) => sum + flopsOf(node), 0);
  const kept = graph.updates.size > 0 ? weights : undefined;
  const inputs = new Map(
    [...planner.inputs].map(([name, { at, shape }]) => [name, { at: at.address, shape }]),
  );
  const fetches = [...outputs.values()].map(({ node, value }) => ({
    at: value.at.address,
    floats: sizeOf(node.shape),
  }));
  const feedsOf = (feeds: ReadonlyMap<string, Tensor>) => {
    lifetime.requireAlive();
    const found = [...inputs].map(([name, { at, shape }]) => ({
      at,
      data: valuesFor(graph, name, shape, feeds),
    }));
    for (const check of checks) check(feeds);
    return found;
  };
  return {
    backend: 'wasm',
    threads: runner.threads,
    fallbackReason: runner.fallbackReason,
    get memory() {
      return lifetime.ended ? 0 : pages * 65536;
    },
    async run(feeds, signal) {
      signal?.throwIfAborted();
      const values = await lifetime.unlessEnded(runner.run(feedsOf(feeds), fetches, signal));
      return new Map(
        [...outputs].map(([name, { node }], index) => [name, { shape: node.shape, data: values[index]! }]),
      );
    },
    async parameters() {
      lifetime.requireAlive();
      if (!kept) return new Map();
      const unchanged = [...parametersOf(graph).keys()].map((name) => [name, kept.get(name)!] as const);
      const values = await runner.read(
        [...state.values()].map(({ at, shape }) => ({ at: at.address, floats: sizeOf(shape) })),
      );
      const changed = [...state].map(([name, { shape }], i) => [name, { shape, data: values[i]! }] as const);
      return new Map([...unchanged, ...changed]);
    },
    async profile(feeds) {
      const times = await lifetime.unlessEnded(runner.profile(feedsOf(feeds)));
      const steps = new Map<Node, ProfileStep>();
      for (const [index, { node, algorithm }] of phases.slice(0, computePhaseCount).entries()) {
        const together = groups.get(node)?.nodes ?? [node];
        const known = steps.get(node);
        const seconds = expected.get(node);
        steps.set(node, {
          path: commonPath(together.map(({ path }) => path)),
          op: together.map(describe).join(', '),
          // An output's copy into the host's order belongs to its node, but is not how that is computed.
          algorithm: known && algorithm === 'copy' ? known.algorithm : algorithm,
          milliseconds: (known?.milliseconds ?? 0) + times[index]!,
          ...(seconds === undefined ? {} : { expected: seconds * 1000 }),
          flops: (turns.get(node) ?? 1) * together.reduce((sum, member) => sum + flopsOf(member), 0),
        });
      }
      // The phases that take on updates belong to no node: they go through all parameters at once.
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

/** The path of the module that all of these are in; where they are entries of a list, with the first's and last's index. */
function commonPath(paths: readonly string[]): string {
  const names = paths.map((path) => path.split('.'));
  const [first, last] = [names[0]!, names.at(-1)!];
  const depth = first.findIndex((name, depth) => names.some((other) => other[depth] !== name));
  if (depth < 0) return paths[0]!;
  const shared = first.slice(0, depth);
  const listed = names.every((path) => /^\d+$/.test(path[depth] ?? ''));
  return [...shared, ...(listed ? [`${first[depth]}-${last[depth]}`] : [])].join('.');
}
