/** Builds a random graph: its values, its parameters, and limits on its size. */
import { type Node, type Shape, ShapeError, sizeOf, type Weights } from '@cnn/core';
import { definitionOf, elementsOf, emit, Graph, type OpDefinition } from '@cnn/core/graph';
import type { Draw } from './draw.js';

/** Limits on the values of a node and the FLOPs of a graph, so that a case takes well under a second. */
const MAX_VALUES = 20_000;
const MAX_FLOPS = 4e6;

/** Kind of a parameter, which determines the distribution of its values. */
type Role = 'weight' | 'bias' | 'scale' | 'mean' | 'variance';

/** Thrown if a block cannot be applied to a value; the generator then tries another block. */
export class BlockMismatch extends Error {}

/** The graph under construction, to which blocks append ops. */
export class GraphBuilder {
  readonly graph = new Graph({ name: 'random' });
  readonly weights: Weights = new Map();
  /** Inputs and results of blocks in order of creation; the next block may read them. */
  readonly values: Node[] = [];
  #flops = 0;

  constructor(readonly draw: Draw) {}

  /** Adds an input. */
  input(name: string, shape: Shape): Node {
    const node = this.graph.input(name, shape);
    this.values.push(node);
    return node;
  }

  /**
   * Appends an op.
   * @throws BlockMismatch if the inputs do not fit the op, or if the graph becomes too large.
   */
  add<A extends object>(definition: OpDefinition<A>, inputs: readonly [Node, ...Node[]], attrs: A): Node {
    try {
      const node = emit(definition, inputs, attrs);
      this.#flops += definitionOf(node).flops(
        inputs.map(({ shape }) => shape),
        node.shape,
        attrs,
      );
      if (elementsOf(node) > MAX_VALUES || this.#flops > MAX_FLOPS)
        throw new BlockMismatch('The graph is too large.');
      return node;
    } catch (error) {
      throw error instanceof ShapeError ? new BlockMismatch(error.message) : error;
    }
  }

  /** Returns a new parameter or, with probability 0.15, an existing one of the same role and shape. */
  parameter(role: Role, shape: Shape, trainable = role !== 'mean' && role !== 'variance'): Node {
    const similar = [...this.weights].filter(
      ([name, value]) => name.endsWith(role) && String(value.shape) === String(shape),
    );
    if (similar.length > 0 && this.draw.chance(0.15))
      return this.graph.parameter(this.draw.pick(similar)[0], shape, trainable);
    const name = `${this.weights.size}.${role}`;
    this.weights.set(name, { shape, data: this.#valuesFor(role, shape) });
    return this.graph.parameter(name, shape, trainable);
  }

  /**
   * Draws values by role: weights preserve the variance of their input; a norm's scale may be negative or
   * zero.
   */
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

  /** Draws a value of the given rank, the latest with probability of at least 0.75. */
  value(rank?: number): Node {
    const fitting = this.values.filter(({ shape }) => rank === undefined || shape.length === rank);
    const latest = fitting.at(-1);
    if (!latest) throw new BlockMismatch(`There is no value of rank ${rank}.`);
    return this.draw.chance(0.75) ? latest : this.draw.pick(fitting);
  }

  /** Draws a value of the same shape, possibly `x` itself. */
  partner(x: Node): Node {
    return this.draw.pick(this.values.filter(({ shape }) => String(shape) === String(x.shape)).concat(x));
  }
}
