/** From a graph to a plan: gives every value a place and a frame, and lowers node by node. */
import { type Graph, isInput, isParameter, type Node, parametersOf } from '../../graph/graph.js';
import { weightOf } from '../../graph/weightOf.js';
import { isOp } from '../../ops/index.js';
import type { Weights } from '../../tensor/tensor.js';
import { type Frame, noFrame, sameFrame } from './layout.js';
import { hasShader } from './lower/conv2dGlsl.js';
import { lowerNode } from './lower/index.js';
import { type Mode, type Plan, PlanBuilder, type Value } from './plan.js';

/** The frame that a node reads its first (or, for a weight's gradient, second) input with. */
function framesRead(graph: Graph, node: Node, mode: Mode): readonly [input: Node, frame: Frame] | undefined {
  if (isOp(node, 'conv2d')) {
    const { padding, groups } = node.attrs;
    const [x, w] = node.inputs as [Node, Node];
    const fixed = isParameter(w) && !graph.updates.has(w.attrs.name);
    // This shader wants no zeros beside the rows.
    const tall = mode === 'webgl2' && fixed && hasShader(w.shape, groups);
    return [x, tall ? [padding[0], 0, padding[2], 0] : padding];
  }
  if (isOp(node, 'conv2dGradWeight')) return [node.inputs[1]!, node.attrs.padding];
  return undefined;
}

/** The frame around each value: the widest that a reader wants. */
function framesOf(graph: Graph, mode: Mode): ReadonlyMap<Node, Frame> {
  const frames = new Map<Node, Frame>();
  for (const node of graph.nodes) {
    const read = framesRead(graph, node, mode);
    if (!read) continue;
    const [input, wanted] = read;
    const present = frames.get(input) ?? noFrame;
    frames.set(input, present.map((pixels, edge) => Math.max(pixels, wanted[edge]!)) as unknown as Frame);
  }
  return frames;
}

/** Plans a graph for a mode. Weights are read when they are uploaded, not here. */
export function planGraph(graph: Graph, weights: Weights, mode: Mode): Plan {
  const frames = framesOf(graph, mode);
  const values = new Map<Node, Value>();
  let current = graph.nodes[0]!;
  const plan = new PlanBuilder(mode, () => current);
  for (const node of graph.nodes) {
    current = node;
    const frame = frames.get(node) ?? noFrame;
    const inputs = node.inputs.map((input) => values.get(input)!);
    if (isInput(node)) {
      const { name } = node.attrs;
      values.set(
        node,
        plan.fed(node.shape, (host) => host(name), frame),
      );
    } else if (isParameter(node)) {
      const { name } = node.attrs;
      const weight = weightOf(node, weights);
      values.set(node, graph.updates.has(name) ? plan.state(name, weight) : plan.constant(weight, frame));
    } else values.set(node, lowerNode({ node, attrs: node.attrs, shape: node.shape, frame, inputs, plan }));
  }
  return {
    calls: plan.calls,
    checks: plan.checks,
    outputs: new Map([...graph.outputs].map(([name, node]) => [name, values.get(node)!])),
    updates: planUpdates(graph, plan, values, (node) => {
      current = node;
    }),
  };
}

/** New values of parameters are results of kernels that nothing else owns, so that they can take the old one's place. */
function planUpdates(
  graph: Graph,
  plan: PlanBuilder,
  values: ReadonlyMap<Node, Value>,
  visit: (node: Node) => void,
): Plan['updates'] {
  const parameters = parametersOf(graph);
  const owned = new Set<Value>();
  return new Map(
    [...graph.updates].map(([name, node]) => {
      visit(node);
      const value = values.get(node)!;
      const free =
        value.origin.kind === 'call' &&
        sameFrame(value.layout.frame, plan.layout(node.shape).frame) &&
        !owned.has(value);
      const next = free
        ? value
        : plan.kernel({ inputs: [value], shape: node.shape, body: ([x], at) => ({ value: x!(at) }) });
      owned.add(next);
      return [name, { state: values.get(parameters.get(name)!)!, next }];
    }),
  );
}
