/** Plans a graph: assigns kernels, decides which padding each tensor is stored with, and lowers node by node. */
import { type Graph, isInput, isParameter, type Node, parametersOf } from '../../graph/graph.js';
import { weightOf } from '../../graph/weightOf.js';
import type { Padding } from '../../ops/window.js';
import type { Weights } from '../../tensor/tensor.js';
import { assignKernels, type Kernels } from './assignKernels.js';
import { equalPadding, noPadding } from './layout/types.js';
import type { GpuMode } from './mode.js';
import { lowerNode, paddedInputOf } from './ops/index.js';
import { PlanBuilder } from './plan/builder.js';
import type { KernelCall, Plan, PlannedTensor } from './plan/plan.js';

/** Plans the kernels of a graph for a mode. Weights are read when they are uploaded, not here. */
export function planKernels(graph: Graph, weights: Weights, mode: GpuMode): Plan {
  const kernels = assignKernels(graph, mode);
  const paddings = storedPaddings(graph, kernels);
  const calls: KernelCall[] = [];
  const checks: Plan['checks'][number][] = [];
  const planOf = (node: Node): PlanBuilder => new PlanBuilder(mode, node, calls, checks);
  const tensors = new Map<Node, PlannedTensor>();
  const planNode = (node: Node): PlannedTensor => {
    const plan = planOf(node);
    const { attrs, shape } = node;
    const storedPadding = paddings.get(node) ?? noPadding;
    if (isInput(node)) return plan.fed(shape, (host) => host(node.attrs.name), storedPadding);
    if (isParameter(node)) {
      const weight = weightOf(node, weights);
      const { name } = node.attrs;
      return graph.updates.has(name) ? plan.state(name, weight) : plan.constant(weight, storedPadding);
    }
    const inputs = node.inputs.map((input) => tensors.get(input)!);
    return lowerNode({ node, attrs, shape, storedPadding, inputs, kernels, plan });
  };
  for (const node of graph.nodes) tensors.set(node, planNode(node));
  const outputs = new Map([...graph.outputs].map(([name, node]) => [name, tensors.get(node)!]));
  return { calls, checks, outputs, updates: planUpdates(graph, planOf, tensors) };
}

const widest = (a: Padding, b: Padding): Padding => [
  Math.max(a[0], b[0]),
  Math.max(a[1], b[1]),
  Math.max(a[2], b[2]),
  Math.max(a[3], b[3]),
];

/** Gives the padding to store around each tensor: the widest that a reader wants. */
function storedPaddings(graph: Graph, kernels: Kernels): ReadonlyMap<Node, Padding> {
  const paddings = new Map<Node, Padding>();
  for (const node of graph.nodes) {
    const wanted = paddedInputOf(node, kernels);
    if (!wanted) continue;
    const input = node.inputs[wanted.input]!;
    paddings.set(input, widest(paddings.get(input) ?? noPadding, wanted.padding));
  }
  return paddings;
}

/**
 * Plans the new values of parameters. Each must be the result of a kernel in a buffer that nothing else uses,
 * so that it can replace the old value; others are copied.
 */
function planUpdates(
  graph: Graph,
  planOf: (node: Node) => PlanBuilder,
  tensors: ReadonlyMap<Node, PlannedTensor>,
): Plan['updates'] {
  const parameters = parametersOf(graph);
  const owned = new Set<PlannedTensor>();
  return new Map(
    [...graph.updates].map(([name, node]) => {
      const plan = planOf(node);
      const tensor = tensors.get(node)!;
      const canReplace =
        tensor.origin.kind === 'call' &&
        equalPadding(tensor.layout.padding, plan.layout(node.shape).padding) &&
        !owned.has(tensor);
      const next = canReplace
        ? tensor
        : plan.kernel({ inputs: [tensor], shape: node.shape, body: ([x], at) => ({ value: x(at) }) });
      owned.add(next);
      return [name, { state: tensors.get(parameters.get(name)!)!, next }];
    }),
  );
}
