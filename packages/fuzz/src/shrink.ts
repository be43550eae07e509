/** Makes a graph that fails smaller, as long as it goes on to fail: fewer outputs, and values fed where they were computed. */
import {
  extract,
  type Graph,
  inputsOf,
  isInput,
  isParameter,
  type Node,
  rewrite,
  type Tensor,
  type Values,
} from '@cnn/core';
import type { Feeds } from '@cnn/testing/conformance';
import type { RandomCase } from './randomGraph.js';
import { valuesOf } from './rounding.js';

/** Most cases that are tried, and for how long in milliseconds. */
const ATTEMPTS = 1000;
const PATIENCE = 60_000;

/** The smallest case found for which `fails` says so. */
export async function shrink(
  subject: RandomCase,
  fails: (smaller: RandomCase) => Promise<boolean>,
  signal?: AbortSignal,
): Promise<RandomCase> {
  let best = subject;
  let attempts = 0;
  const started = performance.now();
  const attempt = async (smaller: RandomCase): Promise<boolean> => {
    const enough = attempts++ >= ATTEMPTS || performance.now() - started > PATIENCE || signal?.aborted;
    if (enough || !(await fails(smaller))) return false;
    best = smaller;
    return true;
  };
  if (best.runs.length > 1) await attempt({ ...best, runs: best.runs.slice(0, 1) });
  for (const [name, node] of subject.graph.outputs)
    if (await attempt(withResults(best, new Map([[name, node]]), new Map()))) break;
  if (best.graph.outputs.size > 1)
    for (const name of subject.graph.outputs.keys()) {
      const outputs = new Map(best.graph.outputs);
      if (outputs.delete(name) && outputs.size > 0)
        await attempt(withResults(best, outputs, best.graph.updates));
    }
  for (const name of subject.graph.updates.keys()) {
    const updates = new Map(best.graph.updates);
    if (updates.delete(name)) await attempt(withResults(best, best.graph.outputs, updates));
  }
  if (best.runs.length > 1) return best;
  // From the end, where one cut leaves out the most; again as long as it helps.
  for (let helped = true; helped; ) {
    helped = false;
    for (let index = best.graph.nodes.length - 1; index >= 0; index--) {
      const node = best.graph.nodes[index];
      if (!node || isInput(node) || isParameter(node)) continue;
      helped = (await attempt(withValue(best, node))) || helped;
    }
  }
  return best;
}

/** The graph with what some of its results need alone, and the feeds that are left. */
function needed(
  subject: RandomCase,
  graph: Graph,
  feeds: readonly Feeds[],
  { outputs, updates }: Pick<Graph, 'outputs' | 'updates'> = graph,
): RandomCase {
  const updated = graph.nodes.filter((node) => isParameter(node) && updates.has(node.attrs.name));
  const target = extract(graph, { outputs, updates, kept: updated });
  const inputs = [...inputsOf(target).keys()];
  const runs = feeds.map((run) => new Map(inputs.map((name) => [name, run.get(name)!])));
  return { ...subject, graph: target, runs };
}

const withResults = (
  subject: RandomCase,
  outputs: Map<string, Node>,
  updates: Map<string, Node>,
): RandomCase => needed(subject, subject.graph, subject.runs, { outputs, updates });

/** The same with the value of a node fed from outside. */
function withValue(subject: RandomCase, cut: Node): RandomCase {
  const { graph, weights, runs } = subject;
  const parameters = new Map<string, Values>([...weights].map(([name, { data }]) => [name, data]));
  const names = inputsOf(graph);
  let number = 0;
  while (names.has(`fed${number}`)) number++;
  const name = `fed${number}`;
  const feeds = runs.map((run): Feeds => {
    const data = Float32Array.from(valuesOf(graph, parameters, run).get(cut)!);
    return new Map<string, Tensor>([...run, [name, { shape: cut.shape, data }]]);
  });
  const rewritten = rewrite(graph, (node, _inputs, target, copy) =>
    node === cut ? target.input(name, cut.shape) : copy(),
  );
  return needed(subject, rewritten, feeds);
}
