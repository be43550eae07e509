/** Shrinks a failing graph while it still fails: removes outputs, and replaces computed values by inputs. */
import type { Node, Tensor } from '@cnn/core';
import { extract, type Graph, inputsOf, isInput, isParameter, rewrite, type Values } from '@cnn/core/graph';
import type { Feeds } from '@cnn/testing/conformance';
import type { RandomCase } from './randomGraph.js';
import { valuesOf } from './rounding.js';

/** Limits on the number of attempts, and on their time in milliseconds. */
const MAX_ATTEMPTS = 1000;
const MAX_MILLISECONDS = 60_000;

/** Returns the smallest case found for which `fails` resolves to true. */
export async function shrink(
  subject: RandomCase,
  fails: (smaller: RandomCase) => Promise<boolean>,
  signal?: AbortSignal,
): Promise<RandomCase> {
  let best = subject;
  let attempts = 0;
  const started = performance.now();
  const attempt = async (smaller: RandomCase): Promise<boolean> => {
    const enough =
      attempts++ >= MAX_ATTEMPTS || performance.now() - started > MAX_MILLISECONDS || signal?.aborted;
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
  // Starts at the end, where a cut removes the most nodes; repeats while the graph shrinks.
  for (let shrunk = true; shrunk; ) {
    shrunk = false;
    for (let index = best.graph.nodes.length - 1; index >= 0; index--) {
      const node = best.graph.nodes[index];
      if (!node || isInput(node) || isParameter(node)) continue;
      shrunk = (await attempt(withFedValue(best, node))) || shrunk;
    }
  }
  return best;
}

/** Keeps what some results need, all by default, and the feeds of the remaining inputs. */
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

/** Replaces the outputs and updates of the graph. */
const withResults = (
  subject: RandomCase,
  outputs: Map<string, Node>,
  updates: Map<string, Node>,
): RandomCase => needed(subject, subject.graph, subject.runs, { outputs, updates });

/** Replaces a node by an input, which is fed the node's value. */
function withFedValue(subject: RandomCase, cut: Node): RandomCase {
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
