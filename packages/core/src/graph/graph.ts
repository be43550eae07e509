/**
 * The one data structure everything works on: a list of nodes in execution order, append-only while it
 * is built. A model is traced into a graph, a pass makes a new graph from an old one, a back end runs it.
 */
import { ShapeError } from '../errors.js';
import type { Random } from '../tensor/random.js';
import { formatShape, type Shape, sizeOf } from '../tensor/shape.js';

/** One operation with its place in the model. Its value is a tensor of `shape`. */
export interface Node<A extends object = object> {
  /** A key of the op table, `'conv2d'` for instance. */
  readonly op: string;
  readonly inputs: readonly Node[];
  /** Plain data: numbers, strings, booleans and arrays of them. */
  readonly attrs: A;
  readonly shape: Shape;
  /** Path of the module that emitted the node, `'layer1.0.conv1'`; empty at the top. */
  readonly path: string;
  readonly graph: Graph;
}

/** A tensor that a model owns by name: a weight, or a buffer such as batch norm's running mean. */
export interface Param {
  readonly kind: 'param';
  readonly shape: Shape;
  /** False for buffers, which no optimizer touches. */
  readonly trainable: boolean;
  /** Fresh values for this parameter, as PyTorch would draw them. */
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

/** `'training'` traces the parts that exist for training only, such as GoogLeNet's auxiliary heads. */
export type Mode = 'inference' | 'training';

/** How a graph is made: see {@link Graph}. */
export interface GraphOptions {
  /** Starts the path in error messages; the model's name, when it has one. */
  readonly name?: string;
  readonly mode?: Mode;
  /** State-dict names of the parameters that will be lifted. */
  readonly names?: ReadonlyMap<Param, string>;
  /** Paths of the modules that will be entered. */
  readonly paths?: ReadonlyMap<object, string>;
}

/** A graph under construction, or a finished one. */
export class Graph {
  readonly name: string;
  readonly mode: Mode;
  /** All nodes; a node's inputs stand before it. */
  readonly nodes: Node[] = [];
  /** What a run returns, by name. The first is the main output. */
  readonly outputs = new Map<string, Node>();
  /** New values of parameters, taken on at the end of a run: updated weights, running statistics. */
  readonly updates = new Map<string, Node>();
  /** The output of every module that was entered, by path. */
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

  /** Appends a node. Shapes are the op's business: use `emit` of the op table, which works them out. */
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
    const node: Node<A> = { op, inputs, attrs, shape, path, graph: this };
    this.nodes.push(node);
    return node;
  }

  /**
   * The input of that name, made when it is asked for first.
   * @throws ShapeError for one without values, such as a batch of no pictures.
   */
  input(name: string, shape: Shape): Node {
    if (shape.some((extent) => !Number.isInteger(extent) || extent < 1))
      throw new ShapeError(
        `${this.at('')}: the input ${name} must hold whole numbers from 1 up in its shape, got ${formatShape(shape)}`,
      );
    return this.#leaf(`input ${name}`, shape, () => this.add<InputAttrs>('input', [], { name }, shape, ''));
  }

  /** The parameter of that state-dict name, made when it is asked for first. */
  parameter(name: string, shape: Shape, trainable: boolean): Node {
    return this.#leaf(`parameter ${name}`, shape, () =>
      this.add<ParameterAttrs>('parameter', [], { name, trainable }, shape, ''),
    );
  }

  /** The node of a model's parameter. */
  lift(param: Param): Node {
    const name = this.#names.get(param);
    if (name === undefined)
      throw new ShapeError(
        `${this.at(this.#path)}: a ${formatShape(param.shape)} parameter is used that is not among the model's children.`,
      );
    return this.parameter(name, param.shape, param.trainable);
  }

  /** Runs a module's forward function under the module's path, and remembers its output by that path. */
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

  /** Where in the model, as messages say it: `resnet50/layer2.0.conv1`. */
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

/** Whether a node is an `input`. */
export const isInput = (node: Node): node is Node<InputAttrs> => node.op === 'input';

/** Whether a node is a `parameter`. */
export const isParameter = (node: Node): node is Node<ParameterAttrs> => node.op === 'parameter';

/** The inputs of a graph by name, in order. */
export const inputsOf = (graph: Graph): ReadonlyMap<string, Node> =>
  new Map(graph.nodes.filter(isInput).map((node) => [node.attrs.name, node]));

/** The parameters of a graph by state-dict name, in order of first use. */
export const parametersOf = (graph: Graph): ReadonlyMap<string, Node<ParameterAttrs>> =>
  new Map(graph.nodes.filter(isParameter).map((node) => [node.attrs.name, node]));

/** How many values a node holds. */
export const elementsOf = (node: Node): number => sizeOf(node.shape);

/** Which nodes read each node; a graph output or update counts as no reader. */
export function readersOf(graph: Graph): ReadonlyMap<Node, readonly Node[]> {
  const readers = new Map<Node, Node[]>(graph.nodes.map((node) => [node, []]));
  for (const node of graph.nodes) for (const input of node.inputs) readers.get(input)?.push(node);
  return readers;
}
