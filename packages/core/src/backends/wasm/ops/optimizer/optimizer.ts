/** Optimizer steps on parameters and their state, which are stored in row-major order. */
import { type Node, parametersOf } from '../../../../graph/graph.js';
import type { OptimizerOp } from '../../../../ops/index.js';
import { type OptimizerStep, optimizerStep } from '../../../../pointwise/optimizer.js';
import { sizeOf } from '../../../../tensor/shape.js';
import { VECTOR } from '../../codegen/index.js';
import { CHANNEL_BLOCK, FLOAT } from '../../codegen/kernel.js';
import type { Pointer } from '../../memory/region.js';
import type { LoweringContext } from '../../schedule/context.js';
import type { Call } from '../../schedule/kernelCache.js';
import type { UpdateChain } from '../../schedule/updates.js';
import { denseOf, type Lowering } from '../lowering.js';
import {
  type ChainedStep,
  optimizerChain,
  PARTIAL_SUM_VALUES,
  partialSumsOfSquares,
  sumVectors,
} from './optimizerKernel.js';

/** Returns the step of a node, whose op is an optimizer's. */
const stepOf = (node: Node): OptimizerStep => optimizerStep(node.op as OptimizerOp, node.attrs);

/** Lowers a step that belongs to no chain of updates. */
export const lowerOptimizerStep: Lowering<object> = (p, node) => {
  chainsPhase(p, [{ nodes: [node], results: [{ node, to: p.value(node).at }] }]);
};

/** Steps on values of one shape, and the addresses of their results. */
interface PlacedChain {
  readonly nodes: readonly Node[];
  readonly results: readonly { readonly node: Node; readonly to: Pointer }[];
}

/** Adds a phase of independent chains. Threads share the values of all chains. */
function chainsPhase(p: LoweringContext, chains: readonly PlacedChain[]): void {
  const planned = chains.map((chain) => ({
    ...planChain(p, chain),
    groups: Math.ceil(sizeOf(chain.nodes[0]!.shape) / CHANNEL_BLOCK),
  }));
  p.parallelFor(
    'elementwise',
    planned.reduce((sum, { groups }) => sum + groups, 0),
    (first, last) => {
      const calls: Call[] = [];
      let before = 0;
      for (const { call, addresses, groups } of planned) {
        const [from, to] = [Math.max(0, first - before), Math.min(groups, last - before)];
        before += groups;
        if (from >= to) continue;
        const at = addresses.map(({ at, perValue }) =>
          perValue ? at.plus(from * CHANNEL_BLOCK * FLOAT) : at,
        );
        calls.push(call({ groups: to - from, at }));
      }
      return calls;
    },
  );
}

/**
 * Generates a chain's kernel and lists its addresses: operands first, then learning rates and corrections, then
 * results that do not overwrite an operand.
 */
function planChain(p: LoweringContext, { nodes, results }: PlacedChain) {
  const operandsOf = (node: Node): readonly Node[] => {
    const { names } = stepOf(node);
    return node.inputs.filter((_, index) => typeof names[index] === 'string');
  };
  const operands = [...new Set(nodes.flatMap(operandsOf))].filter((node) => !nodes.includes(node));
  const values = [...operands, ...nodes];
  const addresses = operands.map((node) => ({ at: denseOf(p, node), perValue: true }));
  /** The index of an address, which is added if it is new. */
  const indexOf = (at: Pointer, perValue: boolean): number => {
    const known = addresses.findIndex(
      (address) =>
        address.at.region === at.region && address.at.offset === at.offset && address.perValue === perValue,
    );
    return known >= 0 ? known : addresses.push({ at, perValue }) - 1;
  };
  const chained = nodes.map((node): ChainedStep => {
    const { result, names } = stepOf(node);
    const operands: Record<string, number> = {};
    const shared: Record<string, { readonly address: number; readonly offset: number }> = {};
    for (const [index, input] of node.inputs.entries()) {
      const name = names[index]!;
      if (typeof name === 'string') operands[name] = values.indexOf(input);
      else {
        const first = Math.min(...Object.values(name));
        const address = indexOf(p.value(input).at.plus(first * FLOAT), false);
        for (const [each, at] of Object.entries(name))
          shared[each] = { address, offset: (at - first) * FLOAT };
      }
    }
    return { result, operands, shared };
  });
  const stored = results.map(({ node, to }) => ({ step: nodes.indexOf(node), address: indexOf(to, true) }));
  const call = p.kernel(optimizerChain, {
    operands: operands.length,
    steps: chained,
    results: stored,
    addresses: addresses.length,
  });
  return { call, addresses };
}

/** Adds the phase that applies the chains of `updateChains`. It reads and writes every value once. */
export function lowerUpdateChains(p: LoweringContext, chains: readonly UpdateChain[]): void {
  const parameters = parametersOf(p.graph);
  chainsPhase(
    p,
    chains.map(({ nodes, updates }) => ({
      nodes,
      results: updates.map(([name, node]) => ({ node, to: p.value(parameters.get(name)!).at })),
    })),
  );
}

/** Computes partial sums of a fixed number of values each, then their total: the same for any number of threads. */
export const lowerSumOfSquares: Lowering<object> = (p, node) => {
  const [input] = node.inputs as [Node];
  const x = denseOf(p, input);
  const size = sizeOf(input.shape);
  const parts = Math.ceil(size / PARTIAL_SUM_VALUES);
  const full = Math.floor(size / PARTIAL_SUM_VALUES);
  const sums = p.workspace(parts * VECTOR);
  const addSquares = p.kernel(partialSumsOfSquares, { rest: size % PARTIAL_SUM_VALUES });
  p.parallelFor('sum of squares', parts, (from, to) => [
    addSquares({
      x: x.plus(from * PARTIAL_SUM_VALUES * FLOAT),
      sums: sums.plus(from * VECTOR),
      full: Math.min(to, full) - from,
      partial: to > full ? 1 : 0,
    }),
  ]);
  const addParts = p.kernel(sumVectors, {});
  p.parallelFor('sum of squares', 1, () => [
    addParts({ vectors: sums, sum: p.value(node).at, count: parts }),
  ]);
};
