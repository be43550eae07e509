/**
 * The definition of an op: one record with everything about it, so that a new op is one record and one line
 * in the op table. The compiler then requires a kernel of every back end; passes and schedules read its
 * traits.
 */
import { ShapeError } from '../errors.js';
import type { Node } from '../graph/graph.js';
import { formatShape, type Shape } from '../tensor/shape.js';

/** Values of the reference back end, row-major: float32, or float64 to test other back ends. */
export type Values = Float32Array | Float64Array;

/** Arguments of a reference kernel. */
export interface ReferenceCall<A extends object> {
  readonly inputs: readonly Values[];
  /** Shapes of the inputs. */
  readonly shapes: readonly Shape[];
  readonly attrs: A;
  /** The result, which the kernel writes; zero on entry. */
  readonly output: Values;
  /** Shape of the output. */
  readonly shape: Shape;
}

/**
 * Use of an op. `inference`: in models; every back end loads its lowering at once. `training`: only in
 * training steps (losses, gradients, batch statistics, masks); back ends may load its lowering later.
 * `optimizer`: in updates of parameters and optimizer state, element by element over values of one shape, so
 * that a back end may compute it in place at the end of a step.
 */
export type OpRole = 'inference' | 'training' | 'optimizer';

/**
 * Memory layout of a result. `activations`: the back end's choice (NHWC, channels packed by four). `weights`:
 * row-major, as weights are given; for weights, their gradients, and values that become weights. `inputs`:
 * `weights` if all inputs have that layout or are parameters, else `activations`.
 */
export type OpLayout = 'activations' | 'weights' | 'inputs';

/** The definition of an op. */
export interface OpDefinition<A extends object = object, R extends OpRole = OpRole> {
  /** Its key in the op table. */
  readonly op: string;
  /** Determines the table of lowerings, in a back end, that must contain the op. */
  readonly role: R;
  /** Memory layout of the result; a function if it depends on the attributes. */
  readonly layout: OpLayout | ((attrs: A) => OpLayout);
  /**
   * True if the op computes each image of a batch alone, and is no faster on the whole batch: a back end may
   * then run it on a few images at a time, which stay in the caches. False for `linear`, whose large weights
   * are better read once for the whole batch, and for ops on logits. Required for ops of inference.
   */
  readonly perImage?: boolean;
  /** Indices of the inputs that are parameters in a model or in a training step. Default: none. */
  readonly parameters?: readonly number[];
  /**
   * Indices of the inputs that the result may overwrite: each of their elements is read only for the same
   * element of the result. Default: none.
   */
  readonly inPlace?: readonly number[];
  /** True if the result is the first input, unchanged. */
  readonly neutral?: true;
  /** True if the attributes have an `activation`, applied last, which the fuse pass may set. */
  readonly fusesActivation?: true;
  /** True if the op only moves or selects values, so that nothing is rounded. */
  readonly exact?: true;
  /** Computes the shape of the result. Throws a ShapeError, whose message follows the module's path. */
  shape(inputs: readonly Shape[], attrs: A): Shape;
  /** Computes the result by the definition, without optimisation: back ends are tested against it. */
  reference(call: ReferenceCall<A>): void;
  /**
   * True if each row of the result (along the first axis) depends only on the same row of each input, and
   * `reference` writes every value once and reads none. Rows can then be computed alone, and in float32.
   */
  readonly byRows?: true;
  /**
   * Emits the gradients of a scalar with respect to each input, given that with respect to the node
   * (`upstream`); undefined for an input without gradient. If the op has no gradient, a string gives the
   * reason: `BACKWARD`, for instance.
   */
  readonly gradient: ((node: Node<A>, upstream: Node) => readonly (Node | undefined)[]) | string;
  /** Counts the floating-point operations of one call. */
  flops(inputs: readonly Shape[], output: Shape, attrs: A): number;
  /**
   * Counts the multiply-adds of one call; defined for convolution and linear only, as is usual for networks.
   */
  macs?(inputs: readonly Shape[], output: Shape, attrs: A): number;
}

/** Traits that the compiler requires besides {@link OpDefinition}: their absence would go unnoticed. */
type RequiredTraits<A extends object, R extends OpRole> = ([R] extends ['inference']
  ? { readonly perImage: boolean }
  : { readonly perImage?: never }) &
  ('activation' extends keyof A ? { readonly fusesActivation: true } : { readonly fusesActivation?: never });

/** Reason why gradient ops have no gradient. It marks them as ops of a backward pass. */
export const BACKWARD = 'it is a gradient itself, and gradients of gradients are not offered';

/** The ops whose modules are loaded, by name. */
const definitions = new Map<string, unknown>();

/**
 * Gives a record its type, checks that it has the traits that its role and attributes require, and makes it known by its
 * name. Programs thus contain the ops that they use, and those that the gradients of these use: a page without training
 * loads no optimizer.
 */
export function defineOp<A extends object, R extends OpRole = 'inference'>(
  definition: OpDefinition<A, R> & RequiredTraits<A, R>,
): OpDefinition<A, R> {
  definitions.set(definition.op, definition);
  return definition;
}

/**
 * Looks up the definition of a node's op; undefined for inputs, parameters and unknown ops. The cast loses
 * the type of the attributes, here only: `emit` has checked that a node's attributes are those of its op.
 */
export const findDefinition = (node: Node): OpDefinition | undefined =>
  definitions.get(node.op) as OpDefinition | undefined;

/**
 * Looks up the definition of a node's op.
 * @throws Error for an op that is unknown.
 */
export function definitionOf(node: Node): OpDefinition {
  const definition = findDefinition(node);
  if (!definition) throw new Error(`${node.graph.at(node.path)}: there is no op called '${node.op}'.`);
  return definition;
}

/**
 * Computes the value of a node by its op's definition.
 * @param valuesAt - gives the values of an input.
 * @param output - written; must be zero on entry.
 * @returns `output`.
 */
export function computeReference(node: Node, valuesAt: (input: Node) => Values, output: Values): Values {
  definitionOf(node).reference({
    inputs: node.inputs.map(valuesAt),
    shapes: node.inputs.map((input) => input.shape),
    attrs: node.attrs,
    output,
    shape: node.shape,
  });
  return output;
}

/**
 * Appends an op to the graph of its first input, with the shape that its rule gives.
 * @param path - path of the module. Default: that of the module being traced.
 * @throws ShapeError with the module's path for inputs that do not fit.
 */
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

/**
 * Throws an Error for a fused node: gradient rules do not know the activation and residual that `fuse` adds.
 */
export function requireUnfused({ graph, path, attrs }: Node): void {
  const { activation, residual } = attrs as { readonly activation?: object; readonly residual?: boolean };
  if (activation || residual)
    throw new Error(`${graph.at(path)}: differentiate the graph before it is fused.`);
}

/** Gives the four extents of a batch of images (n x c x h x w); throws a ShapeError for any other shape. */
export function pictureShape(
  op: string,
  shape: Shape | undefined,
): readonly [n: number, c: number, h: number, w: number] {
  if (shape?.length !== 4)
    throw new ShapeError(
      `${op} expects a batch of pictures (n x c x h x w), got ${formatShape(shape ?? [])}`,
    );
  const [n, c, h, w] = shape;
  return [n!, c!, h!, w!];
}
