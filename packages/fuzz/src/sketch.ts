/** A random graph under construction: the values there are, the parameters, and how large it may become. */
import {
  definitionOf,
  elementsOf,
  emit,
  Graph,
  type Node,
  type OpDefinition,
  type Shape,
  ShapeError,
  sizeOf,
  type Weights,
} from '@cnn/core';
import type { Draw } from './draw.js';

/** Most values that one node holds, and most floating-point operations of all of them: a case takes well under a second. */
const MOST_VALUES = 20_000;
const MOST_WORK = 4e6;

/** What a parameter is for; it decides its values. */
type Role = 'weight' | 'bias' | 'scale' | 'mean' | 'variance';

/** A block that does not fit the value it was tried on; another is tried. */
export class Unfit extends Error {}

/** What blocks are drawn into. */
export class Sketch {
  readonly graph = new Graph({ name: 'random' });
  readonly weights: Weights = new Map();
  /** Results of blocks and inputs, the latest last: what the next block may read. */
  readonly values: Node[] = [];
  #work = 0;

  constructor(readonly draw: Draw) {}

  /** A value from outside. */
  input(name: string, shape: Shape): Node {
    const node = this.graph.input(name, shape);
    this.values.push(node);
    return node;
  }

  /** Appends an op. @throws Unfit when the inputs do not fit, or the graph would become too large. */
  add<A extends object>(definition: OpDefinition<A>, inputs: readonly [Node, ...Node[]], attrs: A): Node {
    try {
      const node = emit(definition, inputs, attrs);
      this.#work += definitionOf(node).flops(
        inputs.map(({ shape }) => shape),
        node.shape,
        attrs,
      );
      if (elementsOf(node) > MOST_VALUES || this.#work > MOST_WORK)
        throw new Unfit('The graph is too large.');
      return node;
    } catch (error) {
      throw error instanceof ShapeError ? new Unfit(error.message) : error;
    }
  }

  /** A fresh parameter, or one of the same kind that something else reads already. */
  parameter(role: Role, shape: Shape, trainable = role !== 'mean' && role !== 'variance'): Node {
    const alike = [...this.weights].filter(
      ([name, value]) => name.endsWith(role) && String(value.shape) === String(shape),
    );
    if (alike.length > 0 && this.draw.chance(0.15))
      return this.graph.parameter(this.draw.pick(alike)[0], shape, trainable);
    const name = `${this.weights.size}.${role}`;
    this.weights.set(name, { shape, data: this.#valuesFor(role, shape) });
    return this.graph.parameter(name, shape, trainable);
  }

  /** Weights keep values in the size that they have; the scale of a norm may be negative or nothing. */
  #valuesFor(role: Role, shape: Shape): Float32Array {
    switch (role) {
      case 'weight':
        return this.draw.values(shape, Math.sqrt(3 / sizeOf(shape.slice(1))));
      case 'bias':
        return this.draw.values(shape, 0.5);
      case 'scale':
        return this.draw.values(shape, this.draw.pick([0.5, 0.5, 1.5]), 1);
      case 'mean':
        return this.draw.values(shape, 0.25);
      case 'variance':
        return this.draw.values(shape, 0.9, 1);
    }
  }

  /** One of the values of this rank, the latest more often than the others. */
  value(rank?: number): Node {
    const fitting = this.values.filter(({ shape }) => rank === undefined || shape.length === rank);
    const latest = fitting.at(-1);
    if (!latest) throw new Unfit(`There is no value of rank ${rank}.`);
    return this.draw.chance(0.75) ? latest : this.draw.pick(fitting);
  }

  /** Another value of this shape, or the same again. */
  partner(x: Node): Node {
    return this.draw.pick(this.values.filter(({ shape }) => String(shape) === String(x.shape)).concat(x));
  }
}
