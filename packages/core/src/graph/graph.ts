/**
 * Graphs: lists of nodes in execution order, append-only while they are built. A model is traced into a
 * graph, a pass makes a new graph from an old one, and a back end compiles a graph.
 */
import { ShapeError } from '../errors.js';
import type { Random } from '../tensor/random.js';
import { formatShape, requireShape, type Shape, sizeOf } from '../tensor/shape.js';

/** An operation of a graph. Its value is one tensor of `shape`. */
export interface Node<A extends object = object> {
  /** A key of the op table, such as `'conv2d'`. */
  readonly op: string;
  readonly inputs: readonly Node[];
  /** Attributes: plain data, that is numbers, strings, booleans, and arrays and objects of them. */
  readonly attrs: A;
  readonly shape: Shape;
  /** Path of the module that emitted the node, `'layer1.0.conv1'`; `''` for the model itself. */
  readonly path: string;
  readonly graph: Graph;
}

/** A parameter of a model, without values: a weight, or a buffer such as batch norm's running mean. */
export interface Param {
  readonly kind: 'param';
  readonly shape: Shape;
  /** False for buffers, which optimizers do not update. */
  readonly trainable: boolean;
  /** Draws initial values, row-major. */
  readonly initialise: (shape: Shape, random: Random) => Float32Array;
}

/** Attributes of an `input` node. */
export interface InputAttrs {
  readonly name: string;
}

/** Attributes of a `parameter` node. */
export interface ParameterAttrs {
  /** The state-dict name. */
  readonly name: string;
  readonly trainable: boolean;
}

/** Mode of a trace: `'training'` includes parts for training only, such as GoogLeNet's auxiliary heads. */
export type Mode = 'inference' | 'training';

/** Options of {@link Graph}. */
export interface GraphOptions {
  /** Name of the model, which starts the path in error messages. Default: none. */
  readonly name?: string;
  /** Default `'inference'`. */
  readonly mode?: Mode;
  /** State-dict names of the parameters that `lift` is called with. */
  readonly names?: ReadonlyMap<Param, string>;
  /** Paths of the modules that `enter` is called with. */
  readonly paths?: ReadonlyMap<object, string>;
}

/** A graph, under construction or finished. */
export class Graph {
  readonly name: string;
  readonly mode: Mode;
  /** All nodes in execution order: inputs precede their readers. */
  readonly nodes: Node[] = [];
  /** Results of a run, by name. The first is the main output. */
  readonly outputs = new Map<string, Node>();
  /** New values of parameters by name, applied at the end of a run: updated weights, running statistics. */
  readonly updates = new Map<string, Node>();
  /** Outputs of all modules entered, by path. */
  readonly modules = new Map<string, Node>();

  readonly #names: ReadonlyMap<Param, string>;
  readonly #paths: ReadonlyMap<object, string>;
  readonly #leaves = new Map<string, Node>();
  #path = '';

  constructor({ name = '', mode = 'inference', names = new Map(), paths = new Map() }: GraphOptions = {}) {
    this.name = name;
    this.mode = mode;
    this.#names = names;
    this.#paths = paths;
  }

  /** Appends a node. Prefer `emit` of the op table, which computes the shape. */
  add<A extends object>(
    op: string,
    inputs: readonly Node[],
    attrs: A,
    shape: Shape,
    path = this.#path,
  ): Node<A> {
    for (const input of inputs)
      if (input.graph !== this)
        throw new ShapeError(
          `${this.at(path)}: ${op} was given a node of another graph. Trace the model as one.`,
        );
    // Results and sessions give the shapes of nodes to users.
    const node: Node<A> = { op, inputs, attrs, shape: requireShape(shape), path, graph: this };
    this.nodes.push(node);
    return node;
  }

  /**
   * Gives the input node of a name; appends it on the first call.
   * @throws ShapeError for a shape without values, such as an empty batch, or another shape than before.
   */
  input(name: string, shape: Shape): Node {
    if (shape.some((extent) => !Number.isInteger(extent) || extent < 1))
      throw new ShapeError(
        `${this.at('')}: the input ${name} must hold whole numbers from 1 up in its shape, got ${formatShape(shape)}`,
      );
    return this.#leaf(`input ${name}`, shape, () => this.add<InputAttrs>('input', [], { name }, shape, ''));
  }

  /** Gives the parameter node of a state-dict name; appends it on the first call. */
  parameter(name: string, shape: Shape, trainable: boolean): Node {
    return this.#leaf(`parameter ${name}`, shape, () =>
      this.add<ParameterAttrs>('parameter', [], { name, trainable }, shape, ''),
    );
  }

  /** Gives the parameter node of a model's parameter. */
  lift(param: Param): Node {
    const name = this.#names.get(param);
    if (name === undefined)
      throw new ShapeError(
        `${this.at(this.#path)}: a ${formatShape(param.shape)} parameter is used that is not among the model's children.`,
      );
    return this.parameter(name, param.shape, param.trainable);
  }

  /** Runs a module's forward function under the module's path, and records its output in `modules`. */
  enter(module: object, forward: () => Node): Node {
    const outer = this.#path;
    const path = this.#paths.get(module) ?? outer;
    this.#path = path;
    try {
      const output = forward();
      if (path !== outer) this.modules.set(path, output);
      return output;
    } finally {
      this.#path = outer;
    }
  }

  /** Writes a path, by default the current one, for error messages: `resnet50/layer2.0.conv1`. */
  at(path = this.#path): string {
    return [this.name, path].filter(Boolean).join('/') || 'model';
  }

  /** The main output. */
  get output(): Node {
    const [first] = this.outputs.values();
    if (!first) throw new ShapeError(`${this.at('')}: the graph has no output.`);
    return first;
  }

  #leaf(key: string, shape: Shape, make: () => Node): Node {
    const known = this.#leaves.get(key);
    if (known && String(known.shape) !== String(shape))
      throw new ShapeError(
        `${this.at('')}: ${key} is used as ${formatShape(known.shape)} and as ${formatShape(shape)}.`,
      );
    const leaf = known ?? make();
    this.#leaves.set(key, leaf);
    return leaf;
  }
}

/** True if a node is an `input`. */
export const isInput = (node: Node): node is Node<InputAttrs> => node.op === 'input';

/** True if a node is a `parameter`. */
export const isParameter = (node: Node): node is Node<ParameterAttrs> => node.op === 'parameter';

/** Lists the inputs of a graph by name, in order. */
export const inputsOf = (graph: Graph): ReadonlyMap<string, Node> =>
  new Map(graph.nodes.filter(isInput).map((node) => [node.attrs.name, node]));

/** Lists the parameters of a graph by state-dict name, in order of first use. */
export const parametersOf = (graph: Graph): ReadonlyMap<string, Node<ParameterAttrs>> =>
  new Map(graph.nodes.filter(isParameter).map((node) => [node.attrs.name, node]));

/** Counts the values of a node. */
export const elementsOf = (node: Node): number => sizeOf(node.shape);

/** Lists the readers of each node, once per read. Outputs and updates of the graph are not readers. */
export function readersOf(graph: Graph): ReadonlyMap<Node, readonly Node[]> {
  const readers = new Map<Node, Node[]>(graph.nodes.map((node) => [node, []]));
  for (const node of graph.nodes) for (const input of node.inputs) readers.get(input)?.push(node);
  return readers;
}
