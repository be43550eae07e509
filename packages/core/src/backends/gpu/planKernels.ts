/** Plans a graph: decides which padding each tensor is stored with, and lowers node by node. */
import { type Graph, isInput, isParameter, type Node, parametersOf } from '../../graph/graph.js';
import { weightOf } from '../../graph/weightOf.js';
import { isOp } from '../../ops/index.js';
import type { Padding } from '../../ops/window.js';
import type { Weights } from '../../tensor/tensor.js';
import { equalPadding, noPadding } from './layout/types.js';
import type { GpuMode } from './mode.js';
import { hasGlslKernel } from './ops/conv/conv2dGlsl.js';
import { lowerNode } from './ops/index.js';
import { PlanBuilder } from './plan/builder.js';
import type { Plan, PlannedTensor } from './plan/plan.js';

/** Gives the padding that a convolution, or its weight gradient, reads around its image. */
function requestedPadding(
  graph: Graph,
  node: Node,
  mode: GpuMode,
): readonly [input: Node, padding: Padding] | undefined {
  if (isOp(node, 'conv2d')) {
    const { padding, groups } = node.attrs;
    const [x, w] = node.inputs as [Node, Node];
    const isConstant = isParameter(w) && !graph.updates.has(w.attrs.name);
    // The GLSL kernel masks the columns outside of an image instead of reading zeros.
    const rowsOnly = mode === 'webgl2' && isConstant && hasGlslKernel(w.shape, groups);
    return [x, rowsOnly ? [padding[0], 0, padding[2], 0] : padding];
  }
  if (isOp(node, 'conv2dGradWeight')) return [node.inputs[1]!, node.attrs.padding];
  return undefined;
}

const widest = (a: Padding, b: Padding): Padding => [
  Math.max(a[0], b[0]),
  Math.max(a[1], b[1]),
  Math.max(a[2], b[2]),
  Math.max(a[3], b[3]),
];

/** Gives the padding to store around each tensor: the widest that a reader requests. */
function storedPaddings(graph: Graph, mode: GpuMode): ReadonlyMap<Node, Padding> {
  const paddings = new Map<Node, Padding>();
  for (const node of graph.nodes) {
    const request = requestedPadding(graph, node, mode);
    if (!request) continue;
    const [input, padding] = request;
    paddings.set(input, widest(paddings.get(input) ?? noPadding, padding));
  }
  return paddings;
}

/** Plans the kernels of a graph for a mode. Weights are read when they are uploaded, not here. */
export function planKernels(graph: Graph, weights: Weights, mode: GpuMode): Plan {
  const paddings = storedPaddings(graph, mode);
  const tensors = new Map<Node, PlannedTensor>();
  let current = graph.nodes[0]!;
  const plan = new PlanBuilder(mode, () => current);
  for (const node of graph.nodes) {
    current = node;
    const padding = paddings.get(node) ?? noPadding;
    const inputs = node.inputs.map((input) => tensors.get(input)!);
    if (isInput(node)) {
      const { name } = node.attrs;
      tensors.set(
        node,
        plan.fed(node.shape, (host) => host(name), padding),
      );
    } else if (isParameter(node)) {
      const { name } = node.attrs;
      const weight = weightOf(node, weights);
      tensors.set(node, graph.updates.has(name) ? plan.state(name, weight) : plan.constant(weight, padding));
    } else
      tensors.set(
        node,
        lowerNode({ node, attrs: node.attrs, shape: node.shape, storedPadding: padding, inputs, plan }),
      );
  }
  return {
    calls: plan.calls,
    checks: plan.checks,
    outputs: new Map([...graph.outputs].map(([name, node]) => [name, tensors.get(node)!])),
    updates: planUpdates(graph, plan, tensors, (node) => {
      current = node;
    }),
  };
}

/**
 * Plans the new values of parameters. Each must be the result of a kernel in a buffer that nothing else uses,
 * so that it can replace the old value; others are copied.
 */
function planUpdates(
  graph: Graph,
  plan: PlanBuilder,
  tensors: ReadonlyMap<Node, PlannedTensor>,
  setCurrentNode: (node: Node) => void,
): Plan['updates'] {
  const parameters = parametersOf(graph);
  const owned = new Set<PlannedTensor>();
  return new Map(
    [...graph.updates].map(([name, node]) => {
      setCurrentNode(node);
      const tensor = tensors.get(node)!;
      const canReplace =
        tensor.origin.kind === 'call' &&
        equalPadding(tensor.layout.padding, plan.layout(node.shape).padding) &&
        !owned.has(tensor);
      const next = canReplace
        ? tensor
        : plan.kernel({ inputs: [tensor], shape: node.shape, body: ([x], at) => ({ value: x!(at) }) });
      owned.add(next);
      return [name, { state: tensors.get(parameters.get(name)!)!, next }];
    }),
  );
}
