/** The steps of optimizers, over values in the host's order. */
import { type Node, parametersOf } from '../../../../graph/graph.js';
import type { RunningAverageAttrs } from '../../../../ops/batchNorm.js';
import type { OptimizerOp } from '../../../../ops/index.js';
import type {
  AdaptiveStepAttrs,
  ClipAttrs,
  LinearCombinationAttrs,
  StepAttrs,
} from '../../../../ops/optimizer.js';
import { sizeOf } from '../../../../tensor/shape.js';
import { CHANNEL_BLOCK, FLOAT, VECTOR } from '../../codegen/kernel.js';
import type { Pointer } from '../../memory/region.js';
import type { Call, Planner } from '../../schedule/planner.js';
import type { UpdateChain } from '../../schedule/updates.js';
import { denseOf, type Lowering } from '../lowering.js';
import { type OptimizerStep, optimizerChain, SQUARES, squareParts, sumVectors } from './optimizerKernel.js';

/** What a node computes of how many of its inputs; behind those stand the rate and the corrections, if it has them. */
interface Step {
  readonly step: OptimizerStep;
  readonly operands: number;
  /** Which of the rates. */
  readonly index?: number;
}

/** How each op is a step. */
const steps = {
  adaptiveDescend: ({ eps, decay, index }: AdaptiveStepAttrs): Step => ({
    step: { fn: 'adaptiveDescend', eps, decay },
    operands: 3,
    index,
  }),
  clipByNorm: ({ maxNorm }: ClipAttrs): Step => ({ step: { fn: 'clip', maxNorm }, operands: 1 }),
  descend: ({ index }: StepAttrs): Step => ({ step: { fn: 'descend' }, operands: 2, index }),
  linearCombination: ({ a, b }: LinearCombinationAttrs): Step => ({
    step: { fn: 'combine', a, b },
    operands: 2,
  }),
  runningAverage: ({ momentum, scale }: RunningAverageAttrs): Step => ({
    step: { fn: 'combine', a: 1 - momentum, b: momentum * scale },
    operands: 2,
  }),
  squareAverage: ({ a, b }: LinearCombinationAttrs): Step => ({
    step: { fn: 'combineSquare', a, b },
    operands: 2,
  }),
} as const satisfies Readonly<Record<OptimizerOp, unknown>>;

const stepOf = (node: Node): Step => (steps[node.op as OptimizerOp] as (attrs: object) => Step)(node.attrs);

/** A step by itself. */
export const lowerOptimizerStep: Lowering<object> = (p, node) => {
  p.algorithm('elementwise');
  chainsPhase(p, [{ nodes: [node], results: [{ node, to: p.value(node).at }] }]);
};

/** Steps on values of one shape, and where results go. */
interface PlacedChain {
  readonly nodes: readonly Node[];
  readonly results: readonly { readonly node: Node; readonly to: Pointer }[];
}

/** A phase of chains that do not touch each other; threads share the values of all of them. */
function chainsPhase(p: Planner, chains: readonly PlacedChain[]): void {
  const planned = chains.map((chain) => ({
    ...plannedChain(p, chain),
    groups: Math.ceil(sizeOf(chain.nodes[0]!.shape) / CHANNEL_BLOCK),
  }));
  p.spread(
    planned.reduce((sum, { groups }) => sum + groups, 0),
    (first, last) => {
      const calls: Call[] = [];
      let before = 0;
      for (const { call, addresses, groups } of planned) {
        const [from, to] = [Math.max(0, first - before), Math.min(groups, last - before)];
        before += groups;
        if (from >= to) continue;
        const at = addresses.map(({ at, moving }) => (moving ? at.plus(from * CHANNEL_BLOCK * FLOAT) : at));
        calls.push(call({ groups: to - from, at }));
      }
      return calls;
    },
  );
}

/** A chain's kernel and addresses: operands first, then what is the same for all values, then results elsewhere. */
function plannedChain(p: Planner, { nodes, results }: PlacedChain) {
  const operandsOf = (node: Node): readonly Node[] => node.inputs.slice(0, stepOf(node).operands);
  const operands = [...new Set(nodes.flatMap(operandsOf))].filter((node) => !nodes.includes(node));
  const values = [...operands, ...nodes];
  const addresses = operands.map((node) => ({ at: denseOf(p, node), moving: true }));
  const addressOf = (at: Pointer, moving: boolean): number => {
    const known = addresses.findIndex(
      (address) =>
        address.at.region === at.region && address.at.offset === at.offset && address.moving === moving,
    );
    return known >= 0 ? known : addresses.push({ at, moving }) - 1;
  };
  const chained = nodes.map((node) => {
    const { step, operands: count, index = 0 } = stepOf(node);
    const [rate, corrections] = node.inputs.slice(count).map((input) => p.value(input).at);
    return {
      step,
      operands: operandsOf(node).map((input) => values.indexOf(input)),
      rate: rate && addressOf(rate.plus(index * FLOAT), false),
      corrections: corrections && addressOf(corrections, false),
    };
  });
  const kept = results.map(({ node, to }) => ({ step: nodes.indexOf(node), address: addressOf(to, true) }));
  const call = p.kernel(optimizerChain, {
    operands: operands.length,
    steps: chained,
    results: kept,
    addresses: addresses.length,
  });
  return { call, addresses };
}

/** The phase that takes on what `updateChains` has found: every value is read and written once. */
export function lowerUpdateChains(p: Planner, chains: readonly UpdateChain[]): void {
  const parameters = parametersOf(p.graph);
  p.algorithm('elementwise');
  chainsPhase(
    p,
    chains.map(({ nodes, updates }) => ({
      nodes,
      results: updates.map(([name, node]) => ({ node, to: p.value(parameters.get(name)!).at })),
    })),
  );
}

/** Partial sums of a fixed number of values each, then their sum: the same for any number of threads. */
export const lowerSumOfSquares: Lowering<object> = (p, node) => {
  const [input] = node.inputs as [Node];
  const x = denseOf(p, input);
  const size = sizeOf(input.shape);
  const parts = Math.ceil(size / SQUARES);
  const whole = Math.floor(size / SQUARES);
  const sums = p.scratch(parts * VECTOR);
  const addSquares = p.kernel(squareParts, { rest: size % SQUARES });
  p.algorithm('sum of squares');
  p.spread(parts, (from, to) => [
    addSquares({
      x: x.plus(from * SQUARES * FLOAT),
      sums: sums.plus(from * VECTOR),
      whole: Math.min(to, whole) - from,
      last: to > whole ? 1 : 0,
    }),
  ]);
  const addParts = p.kernel(sumVectors, {});
  p.spread(1, () => [addParts({ vectors: sums, sum: p.value(node).at, count: parts })]);
};
