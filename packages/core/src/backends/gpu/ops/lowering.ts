/** Interface of lowerings, and what most of them share. A lowering plans the kernels of a node. */
import type { Node } from '../../../graph/graph.js';
import type { Padding } from '../../../ops/window.js';
import type { Shape } from '../../../tensor/shape.js';
import type { Kernels } from '../assignKernels.js';
import type { KernelBody } from '../kernels/javascript.js';
import type { PlanBuilder, Reads } from '../plan/builder.js';
import type { PlannedTensor } from '../plan/plan.js';

/** Node to lower, with its inputs. */
export interface LoweringContext<A extends object = object> {
  readonly node: Node<A>;
  readonly attrs: A;
  readonly shape: Shape;
  /** Padding to store around the result, for the convolutions that read it. */
  readonly storedPadding: Padding;
  readonly inputs: readonly PlannedTensor[];
  /** Hand-written kernels of the graph. */
  readonly kernels: Kernels;
  readonly plan: PlanBuilder;
}

/** Adds the kernel calls of a node of one op to the plan. Gives the node's result. */
export type Lowering<A extends object = object> = (context: LoweringContext<A>) => PlannedTensor;

/** Padding that the kernel of a node reads around one of its inputs. */
export interface PaddedInput {
  readonly input: number;
  readonly padding: Padding;
}

/** Adds the last kernel of a node, which writes the result and its padding. */
export const writeResult = <const Inputs extends readonly PlannedTensor[]>(
  { plan, shape, storedPadding }: LoweringContext,
  inputs: Inputs,
  body: (read: Reads<Inputs>, at: readonly string[]) => KernelBody,
): PlannedTensor => plan.kernel({ inputs, shape, padding: storedPadding, body });

/** Makes the lowering of an op whose inputs all have the result's shape. */
export const elementwise =
  <A extends object>(body: (attrs: A, values: readonly string[]) => KernelBody | string): Lowering<A> =>
  (context) =>
    writeResult(context, context.inputs, (read, at) => {
      const text = body(
        context.attrs,
        read.map((readInput) => readInput(at)),
      );
      return typeof text === 'string' ? { value: text } : text;
    });

/** Replaces the coordinate along an axis. */
export const withCoordinate = (at: readonly string[], axis: number, by: string): readonly string[] =>
  at.map((coordinate, i) => (i === axis ? by : coordinate));
