/**
 * What an op is: everything about it in one record, so that a new op is one new file and one line in
 * the table. The compiler then asks every back end for its kernel.
 */
import { ShapeError } from '../errors.js';
import type { Node } from '../graph/graph.js';
import { formatShape, type Shape } from '../tensor/shape.js';

/** Values as the reference back end holds them: float32, or float64 for the oracle. */
export type Values = Float32Array | Float64Array;

/** What a reference kernel gets. `output` is zero on entry. */
export interface ReferenceCall<A extends object> {
  readonly inputs: readonly Values[];
  readonly shapes: readonly Shape[];
  readonly attrs: A;
  readonly output: Values;
  readonly shape: Shape;
}

/** Everything there is to know about an op. */
export interface OpDefinition<A extends object = object> {
  /** Its key in the op table. */
  readonly op: string;
  /** The shape of the result. Throws a ShapeError that reads on from the module's path. */
  shape(inputs: readonly Shape[], attrs: A): Shape;
  /** The result by the definition, with no tricks: the oracle of every back end. */
  reference(call: ReferenceCall<A>): void;
  /**
   * Whether rows of the result, which lie along its first axis, depend on the same rows of each input alone and
   * every value is written once, never read. Then some rows can be computed without the others, to float32 at once.
   */
  readonly byRows?: true;
  /**
   * The gradients of a scalar with respect to each input, given the one with respect to the node;
   * undefined for an input that has none. A string says why the op has no gradient at all: `BACKWARD`, for
   * instance.
   */
  readonly gradient: ((node: Node<A>, upstream: Node) => readonly (Node | undefined)[]) | string;
  /** Floating-point operations of one call. */
  flops(inputs: readonly Shape[], output: Shape, attrs: A): number;
  /** Multiply-adds of one call, where they are what one counts a network by (convolution and linear). */
  macs?(inputs: readonly Shape[], output: Shape, attrs: A): number;
}

/** Why the ops that gradients are computed with have none: what marks them as a part of a backward pass. */
export const BACKWARD = 'it is a gradient itself, and gradients of gradients are not offered';

/** Gives a record its type; the place where inference of `A` happens. */
export const defineOp = <A extends object>(definition: OpDefinition<A>): OpDefinition<A> => definition;

/** Appends an op to the graph of its first input, with the shape that its rule gives. */
export function emit<A extends object>(
  definition: OpDefinition<A>,
  inputs: readonly [Node, ...Node[]],
  attrs: A,
  path?: string,
): Node<A> {
  const { graph } = inputs[0];
  try {
    const shape = definition.shape(
      inputs.map((input) => input.shape),
      attrs,
    );
    return graph.add(definition.op, inputs, attrs, shape, path);
  } catch (error) {
    if (error instanceof ShapeError && !error.message.startsWith(graph.at(path)))
      error.message = `${graph.at(path)}: ${error.message}`;
    throw error;
  }
}

/** Throws for the gradient of a node that a pass has given more to do than its rule knows of. */
export function requireUnfused({ graph, path, attrs }: Node): void {
  const { activation, residual } = attrs as { readonly activation?: object; readonly residual?: boolean };
  if (activation || residual)
    throw new Error(`${graph.at(path)}: differentiate the graph before it is fused.`);
}

/** The four extents of a picture batch, or a ShapeError that says what came instead. */
export function pictureShape(
  op: string,
  shape: Shape | undefined,
): readonly [n: number, c: number, h: number, w: number] {
  if (shape?.length !== 4)
    throw new ShapeError(
      `${op} expects a batch of pictures (n x c x h x w), got ${formatShape(shape ?? [])}`,
    );
  return shape as unknown as readonly [number, number, number, number];
}
