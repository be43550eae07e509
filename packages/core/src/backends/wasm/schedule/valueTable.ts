/** Locates the values of nodes in memory: inputs, parameters, and values that placement assigns to the arena. */
import { type Graph, isInput, isParameter, type Node } from '../../../graph/graph.js';
import { weightOf } from '../../../graph/weightOf.js';
import { sizeOf } from '../../../tensor/shape.js';
import type { Tensor, Weights } from '../../../tensor/tensor.js';
import { FLOAT } from '../codegen/kernel.js';
import type { ConstantPool } from '../memory/constantPool.js';
import { type Dense, type Pixels, type Value, valueAt } from '../memory/layout.js';
import { type Arena, type Pointer, Region } from '../memory/region.js';
import type { Allocation, Placement } from './placement.js';
import type { Schedule } from './schedule.js';

/** The values of a plan. */
export class ValueTable {
  /** I/O region: inputs and outputs in the host's order, and inputs converted from it. */
  readonly io = new Region();
  /** Inputs by name, in the I/O region. Shapes are those of the whole batch, even if the graph is tiled. */
  readonly inputs = new Map<string, Dense>();
  readonly #graph: Graph;
  readonly #placement: Placement;
  readonly #addresses = new Map<Allocation, Pointer>();
  readonly #known = new Map<Node, Value>();
  readonly #converted = new Map<Node, Pixels>();

  /**
   * @param weights - values of the parameters, read while a program is loaded.
   * @param constants - gets the parameters that are read.
   */
  constructor(
    { graph, placement, tiling }: Schedule,
    readonly weights: Weights,
    readonly constants: ConstantPool,
  ) {
    this.#graph = graph;
    this.#placement = placement;
    const tiles = tiling?.tiles ?? 1;
    for (const node of graph.nodes) {
      if (!isInput(node) || node === tiling?.whole) continue;
      const { attrs, shape } = node;
      const bytes = sizeOf(shape) * FLOAT;
      const at = this.io.reserve(tiles * bytes).withTileStride(bytes);
      this.inputs.set(attrs.name, {
        kind: 'dense',
        at,
        shape: shape.map((extent, axis) => (axis === 0 ? tiles * extent : extent)),
      });
    }
  }

  /** Acquires memory for an allocation, until `release`. */
  acquire(allocation: Allocation, arena: Arena): void {
    this.#addresses.set(allocation, arena.acquire(allocation.floats * FLOAT));
  }

  /** Releases the memory of an allocation. */
  release(allocation: Allocation, arena: Arena): void {
    arena.release(this.#addresses.get(allocation)!);
  }

  /** Returns a node's value in memory. Values in the arena have a place only while their allocation lives. */
  value(node: Node): Value {
    const known = this.#known.get(node);
    if (known) return known;
    const located = this.#locate(node);
    this.#known.set(node, located);
    return located;
  }

  #locate(node: Node): Value {
    const placed = this.#placement.values.get(node);
    if (placed) return placed.value(this.#addresses.get(placed.allocation)!);
    if (isInput(node)) return { ...this.inputs.get(node.attrs.name)!, shape: node.shape };
    if (!isParameter(node))
      throw new Error(`${node.graph.at(node.path)}: ${node.op} has no place in memory.`);
    const weight = weightOf(node, this.weights);
    const at = this.constants.add(sizeOf(node.shape), (target) => target.set(weight.data));
    return { kind: 'dense', at, shape: node.shape };
  }

  /**
   * Returns a node's value in NHWC order; it must have two or four dimensions. Of the inputs and parameters,
   * rows and images with one channel are in this order on the host. The others get memory in the I/O region,
   * into which `convert` copies them; it is called once per node.
   */
  pixels(node: Node, convert: (from: Dense, to: Pixels) => void): Pixels {
    const value = this.#converted.get(node) ?? this.value(node);
    if (value.kind === 'pixels') return value;
    const [n, c, h = 1, w = 1] = node.shape as [number, number, number?, number?];
    if (c === 1 || h * w === 1) {
      const pixelStride = c * FLOAT;
      const rowStride = w * pixelStride;
      const imageStride = h * rowStride;
      return { kind: 'pixels', at: value.at, n, c, h, w, imageStride, rowStride, pixelStride };
    }
    const stored = valueAt(this.io.reserve(0), node.shape) as Pixels;
    const converted = { ...stored, at: this.io.reserve(n * stored.imageStride) };
    convert(value, converted);
    this.#converted.set(node, converted);
    return converted;
  }

  /** Returns the value of a parameter that no run changes; undefined for all other nodes. */
  constantValue(node: Node): Tensor | undefined {
    return isParameter(node) && !this.#graph.updates.has(node.attrs.name)
      ? weightOf(node, this.weights)
      : undefined;
  }
}
