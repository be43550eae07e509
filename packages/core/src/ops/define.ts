/**
 * What an op is: everything about it in one record, so that a new op is one new file and one line in
 * the table. The compiler then asks every back end for its kernel, and passes and planners ask the record for its traits.
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

/**
 * Where an op occurs. `inference`: in models; every back end loads its lowering at once. `training`: in training steps
 * alone (losses, gradients, statistics of a batch, masks); back ends may load it later. `optimizer`: in the update of a
 * parameter and its state, element by element over values of one shape, so that a back end may compute it in place
 * at the end of a step.
 */
export type OpRole = 'inference' | 'training' | 'optimizer';

/**
 * How a result lies in memory. `activations`: as suits the back end (channels together, packed by four). `weights`:
 * row-major, as parameters are given; for weights, their gradients, and what becomes weights. `inputs`: as `weights`
 * where all inputs do or are parameters, else as `activations`.
 */
export type OpLayout = 'activations' | 'weights' | 'inputs';

/** Everything there is to know about an op. */
export interface OpDefinition<A extends object = object, R extends OpRole = OpRole> {
  /** Its key in the op table. */
  readonly op: string;
  /** Decides which table of a back end must have its lowering. */
  readonly role: R;
  /** How the result lies in memory; a function where the attributes decide. */
  readonly layout: OpLayout | ((attrs: A) => OpLayout);
  /**
   * True if the op computes each picture of a batch alone, and gains nothing from having all of them at once: then a
   * back end may give it a few at a time, so that they stay in the caches. False for `linear`, whose large weights
   * had better be read once for the whole batch, and for ops on logits. Required of ops of inference.
   */
  readonly perImage?: boolean;
  /** Indices of the inputs that are parameters in a model or in a training step. Default: none. */
  readonly parameters?: readonly number[];
  /**
   * Indices of the inputs that the result may overwrite: each element is read for the same element of the result
   * alone. Default: none.
   */
  readonly inPlace?: readonly number[];
  /** True if the result is the first input, unchanged. */
  readonly neutral?: true;
  /** True if the attributes have an `activation`, applied last, which the fuse pass may set. */
  readonly fusesActivation?: true;
  /** True if the op moves or picks values, so that nothing is rounded. */
  readonly exact?: true;
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

/** What the compiler asks of a record beside {@link OpDefinition}: traits whose absence would go unnoticed. */
type RequiredTraits<A extends object, R extends OpRole> = ([R] extends ['inference']
  ? { readonly perImage: boolean }
  : { readonly perImage?: never }) &
  ('activation' extends keyof A ? { readonly fusesActivation: true } : { readonly fusesActivation?: never });

/** Why the ops that gradients are computed with have none: what marks them as a part of a backward pass. */
export const BACKWARD = 'it is a gradient itself, and gradients of gradients are not offered';

/** Gives a record its type, and checks that it has the traits that its role and attributes ask for. */
export const defineOp = <A extends object, R extends OpRole = 'inference'>(
  definition: OpDefinition<A, R> & RequiredTraits<A, R>,
): OpDefinition<A, R> => definition;

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
