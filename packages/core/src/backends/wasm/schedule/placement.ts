/**
 * Decides which values share memory: the ops that compute the parts of a concatenation write them in place,
 * slices and reshapes are views, and elementwise ops overwrite an input that nothing reads afterwards.
 */
import { type Graph, isInput, isParameter, type Node, readersOf } from '../../../graph/graph.js';
import { lastUses } from '../../../graph/liveness.js';
import type { SliceAttrs } from '../../../ops/arrange.js';
import { findDefinition, isOp } from '../../../ops/index.js';
import type { Shape } from '../../../tensor/shape.js';
import { CHANNEL_BLOCK, FLOAT, paddedChannels } from '../codegen/kernel.js';
import { denseFloats, extents, isPixelShape, storedFloats, type Value, valueAt } from '../memory/layout.js';
import { Pointer, Region } from '../memory/region.js';
import type { BatchTiling } from './batchTile.js';
import type { Fusion } from './fusions.js';

/** Memory for one value, or for several that share it, from the first write to the last read. */
export interface Allocation {
  /** Size in float32 values. */
  readonly floats: number;
  /** Index of the first node that writes to it. */
  readonly firstWrite: number;
  /** Index of the last node that reads from it; the number of nodes if it lives to the end of a run. */
  lastRead: number;
}

/** The value of a node within an allocation. */
export interface PlacedValue {
  readonly allocation: Allocation;
  /** Returns the value for an allocation that begins at an address. */
  readonly value: (start: Pointer) => Value;
}

/** Stands for the address of any allocation. */
const ALLOCATION_START = new Pointer(new Region(), 0);

/** Allocations of all values but inputs and parameters, which lie in regions of their own. */
export interface Placement {
  readonly values: ReadonlyMap<Node, PlacedValue>;
  /**
   * Nodes that need no kernel calls of their own: their value is a view of another one or written in place by
   * its parts, or a later node of the same fusion or an update phase computes them.
   */
  readonly skipped: ReadonlySet<Node>;
}

/**
 * True if a node is a `reshape` from images to rows that only fully connected layers read. Then the rows keep
 * the order of the pixels, and the layers' weights are packed in that order instead.
 */
export const isFlattenForLinear = (node: Node, readers: readonly Node[]): boolean =>
  isOp(node, 'reshape') &&
  node.inputs[0]!.shape.length === 4 &&
  node.shape.length === 2 &&
  node.shape[0] === node.inputs[0]!.shape[0] &&
  readers.length > 0 &&
  readers.every(
    (reader) => isOp(reader, 'linear') && reader.inputs[0] === node && isParameter(reader.inputs[1]!),
  );

/** True if a node's result is its input, unchanged. */
const isNeutral = (node: Node): boolean => findDefinition(node)?.neutral === true;

/**
 * Returns the nodes whose values are row-major like parameters, whatever their shape: gradients of weights,
 * and what optimizers compute from them.
 */
export function weightNodes(graph: Graph): ReadonlySet<Node> {
  const found = new Set<Node>();
  for (const node of graph.nodes) {
    const layout = findDefinition(node)?.layout;
    const kind = typeof layout === 'function' ? layout(node.attrs) : layout;
    const ofWeights = node.inputs.every((input) => found.has(input) || isParameter(input));
    if (kind === 'weights' || (kind === 'inputs' && ofWeights)) found.add(node);
  }
  return found;
}

/** True if a node is an input of the host or a parameter: these have places of their own. */
const isLeaf = (node: Node, tiling: BatchTiling | undefined): boolean =>
  isParameter(node) || (isInput(node) && node !== tiling?.whole);

/** True if a reshape keeps the order in memory: between rows and 1x1 images, or between row-major values. */
function isSameOrder(node: Node): boolean {
  const [from, to] = [node.inputs[0]!.shape, node.shape];
  if (!isPixelShape(from) || !isPixelShape(to)) return !isPixelShape(from) && !isPixelShape(to);
  const [a, b] = [extents(from), extents(to)];
  return a.n === b.n && a.c === b.c && a.h === b.h && a.w === b.w;
}

/** Decisions of earlier steps that placement depends on. */
export interface PlacementOptions {
  /** Fusions by their last node. The values of their other nodes are never stored. Default: none. */
  readonly fusions?: ReadonlyMap<Node, Fusion>;
  /**
   * Nodes that the update phases compute. Their values go straight to the parameters, and what they read
   * lives to the end of the run. Default: none.
   */
  readonly inUpdates?: ReadonlySet<Node>;
  /** The boundary of a tiled graph. Default: the graph runs once, for the whole batch. */
  readonly tiling?: BatchTiling;
}

/** Assigns an allocation to each value but inputs and parameters. */
export function placeValues(graph: Graph, options: PlacementOptions = {}): Placement {
  const placer = new Placer(graph, options);
  for (const node of graph.nodes) placer.visit(node);
  return placer;
}

/** Places the nodes in order; each rule is a method. */
class Placer implements Placement {
  readonly values = new Map<Node, PlacedValue>();
  readonly skipped = new Set<Node>();
  readonly #fusions: ReadonlyMap<Node, Fusion>;
  readonly #lastOfFusion: ReadonlyMap<Node, Node>;
  readonly #inUpdates: ReadonlySet<Node>;
  readonly #tiling: BatchTiling | undefined;
  readonly #readers: ReadonlyMap<Node, readonly Node[]>;
  /** Values that are read after the compute phases: outputs, updates, and what update phases read. */
  readonly #readAtEnd: ReadonlySet<Node>;
  /** Values in row-major order. */
  readonly #weights: ReadonlySet<Node>;
  readonly #concats: InPlaceConcats;
  readonly #index: ReadonlyMap<Node, number>;
  readonly #lastUse: ReadonlyMap<Node, number>;

  constructor(graph: Graph, { fusions = new Map(), inUpdates = new Set(), tiling }: PlacementOptions) {
    this.#fusions = fusions;
    this.#lastOfFusion = new Map(
      [...fusions].flatMap(([last, { nodes }]) => nodes.map((node) => [node, last])),
    );
    this.#inUpdates = inUpdates;
    this.#tiling = tiling;
    this.#readers = readersOf(graph);
    const readByUpdates = [...inUpdates].flatMap(({ inputs }) => inputs);
    this.#readAtEnd = new Set([...graph.outputs.values(), ...graph.updates.values(), ...readByUpdates]);
    this.#weights = weightNodes(graph);
    this.#concats = findInPlaceConcats(graph, this.#weights, (node) => this.#isInner(node), tiling);
    this.#index = new Map(graph.nodes.map((node, i) => [node, i]));
    this.#lastUse = lastUses(graph, {
      computedAt: (node) => this.#lastOfFusion.get(node) ?? node,
      kept: readByUpdates,
    });
  }

  /** Places a node's value, if it has one of its own. */
  visit(node: Node): void {
    if (isLeaf(node, this.#tiling)) return;
    if (this.#isInner(node) || this.#inUpdates.has(node)) {
      this.skipped.add(node);
      return;
    }
    if (this.#placeAsView(node)) {
      this.skipped.add(node);
      return;
    }
    const { targets, leading } = this.#concats;
    const overwritten = targets.has(node) || leading.has(node) ? undefined : this.#overwrittenInput(node);
    if (overwritten) this.#alias(node, overwritten, this.values.get(overwritten)!.value);
    else this.#place(node);
    // The parts of a concatenation, or the nodes before the boundary, have written the value.
    if (leading.has(node) || node === this.#tiling?.whole) this.skipped.add(node);
  }

  /** True if a node is fused with a later one, so that its value is never stored. */
  #isInner(node: Node): boolean {
    return this.#lastOfFusion.has(node) && this.#lastOfFusion.get(node) !== node;
  }

  /** Places a value that is its input in other words, or a slice of it. Returns false if it is neither. */
  #placeAsView(node: Node): boolean {
    const [input] = node.inputs;
    const source =
      input && !isLeaf(input, this.#tiling) && !this.#weights.has(input) ? this.values.get(input) : undefined;
    if (!source || this.#concats.targets.has(node)) return false;
    const flattened = isFlattenForLinear(node, this.#readAtEnd.has(node) ? [] : this.#readers.get(node)!);
    if (isNeutral(node) || flattened || (isOp(node, 'reshape') && isSameOrder(node))) {
      this.#alias(node, input!, (start) => {
        const value = source.value(start);
        if (flattened || isNeutral(node)) return value;
        return value.kind === 'pixels' ? value : { ...value, shape: node.shape };
      });
      return true;
    }
    if (!isOp(node, 'slice') || !isPixelShape(node.shape)) return false;
    // Values with gaps between their channels have no layout.
    if (node.attrs.axis === 1 && node.attrs.step !== 1) return false;
    this.#alias(node, input!, (start) => sliced(source.value(start), node.attrs, node.shape));
    return true;
  }

  /** Places a value in the allocation of another node and extends the allocation's lifetime. */
  #alias(node: Node, of: Node, value: (start: Pointer) => Value): void {
    const { allocation } = this.values.get(of)!;
    allocation.lastRead = Math.max(allocation.lastRead, this.#lastUse.get(node)!);
    this.values.set(node, { allocation, value });
  }

  /**
   * Places a value in the larger one that holds it, or in an allocation of its own. Parts come before the
   * whole, so the first part also places the whole.
   */
  #place(node: Node): PlacedValue {
    const known = this.values.get(node);
    if (known) return known;
    const { targets, leading } = this.#concats;
    const target = targets.get(node) ?? leading.get(node);
    if (target) this.#placeInside(node, target);
    else {
      const rowMajor = this.#weights.has(node);
      const allocation: Allocation = {
        floats: rowMajor ? denseFloats(node.shape) : storedFloats(node.shape),
        firstWrite: this.#firstWrite(node),
        lastRead: this.#lastUse.get(node)!,
      };
      this.values.set(node, {
        allocation,
        value: (at) => (rowMajor ? { kind: 'dense', at, shape: node.shape } : valueAt(at, node.shape)),
      });
    }
    return this.values.get(node)!;
  }

  #placeInside(node: Node, { whole, channel }: ConcatTarget): void {
    const outer = this.#place(whole);
    const isTile = node === this.#tiling?.part;
    this.#alias(node, whole, (start) => {
      const outerValue = outer.value(start);
      if (outerValue.kind !== 'pixels') return outerValue;
      const { at, imageStride, pixelStride } = outerValue;
      const first = isTile ? at.withTileStride(node.shape[0]! * imageStride) : at;
      return valueAt(first.plus(channel * FLOAT), node.shape, pixelStride);
    });
  }

  /**
   * Returns the index of the first node that writes a value; it may be the first part of a concatenation. The
   * first tile is written before the whole, and phases that are repeated may not share its memory.
   */
  #firstWrite(node: Node): number {
    if (node === this.#tiling?.whole) return 0;
    const parts = node.inputs.filter((part) => this.#concats.targets.get(part)?.whole === node);
    return Math.min(this.#index.get(node)!, ...parts.map((part) => this.#firstWrite(part)));
  }

  /**
   * Returns an input whose buffer the result may overwrite: same layout, last use here, and no element is read
   * after it is overwritten.
   */
  #overwrittenInput(node: Node): Node | undefined {
    if (!isPixelShape(node.shape) || this.#weights.has(node)) return undefined;
    const inPlace = findDefinition(node)?.inPlace ?? [];
    // Inputs read in another order than the result is written: in fusions, all inputs of the first node.
    const first = this.#fusions.get(node)?.nodes[0] ?? node;
    const others = first.inputs.filter((_, i) => first !== node || !inPlace.includes(i));
    return node.inputs.find((candidate, i) => {
      const found = inPlace.includes(i) ? this.values.get(candidate) : undefined;
      if (!found) return false;
      const { allocation } = found;
      if (allocation.lastRead !== this.#index.get(node) || allocation.floats !== storedFloats(node.shape))
        return false;
      // A slice of later channels begins inside a pixel: whole channel blocks written there would end beyond
      // the allocation.
      if (found.value(ALLOCATION_START).at !== ALLOCATION_START) return false;
      return others.every((other) => this.values.get(other)?.allocation !== allocation);
    });
  }
}

/** Returns the part of a value that a slice selects. */
function sliced(value: Value, { axis, start, step }: SliceAttrs, shape: Shape): Value {
  if (value.kind !== 'pixels') return value;
  const strides = [value.imageStride, FLOAT, value.rowStride, value.pixelStride];
  const scale = (stride: number, of: number): number => (of === axis ? stride * step : stride);
  return {
    ...value,
    ...extents(shape),
    at: value.at.plus(start * strides[axis]!),
    imageStride: scale(value.imageStride, 0),
    rowStride: scale(value.rowStride, 2),
    pixelStride: scale(value.pixelStride, 3),
  };
}

/** The channels of a larger value in which a node's value lies. */
interface ConcatTarget {
  /** A concatenation, or the whole of a batch tile. */
  readonly whole: Node;
  /** First channel of the node's value in the whole. */
  readonly channel: number;
}

/** Concatenations along the channels that need no copy, or only of some parts. */
interface InPlaceConcats {
  /** Slots of the parts of a concatenation, by the node that computes the part. */
  readonly targets: ReadonlyMap<Node, ConcatTarget>;
  /**
   * Concatenations whose parts all lie in a larger one, contiguous and in order: they are views of it. Thus
   * the growing list of features of a dense block is one tensor.
   */
  readonly leading: ReadonlyMap<Node, ConcatTarget>;
}

/** Finds the values that can be written straight into a concatenation or the whole of a batch tile. */
function findInPlaceConcats(
  graph: Graph,
  weights: ReadonlySet<Node>,
  isInner: (node: Node) => boolean,
  tiling: BatchTiling | undefined,
): InPlaceConcats {
  const targets = new Map<Node, ConcatTarget>();
  const leading = new Map<Node, ConcatTarget>();
  /** True if a node's kernels write its value, so that they can write it elsewhere. */
  const computes = (node: Node): boolean =>
    !isLeaf(node, tiling) &&
    !weights.has(node) &&
    !isNeutral(node) &&
    !isOp(node, 'reshape') &&
    !isOp(node, 'slice') &&
    !isOp(node, 'fill');
  for (const node of [...graph.nodes].reverse()) {
    if (node === tiling?.whole) targets.set(tiling.part, { whole: node, channel: 0 });
    if (!isOp(node, 'concat') || isInner(node) || node.attrs.axis !== 1 || !isPixelShape(node.shape))
      continue;
    let channels = 0;
    const parts = node.inputs.map((part) => {
      const first = channels;
      channels += part.shape[1]!;
      return { part, first };
    });
    const target = targets.get(node.inputs[0]!);
    if (
      target &&
      !targets.has(node) &&
      parts.every(({ part, first }) => {
        const other = targets.get(part);
        return other?.whole === target.whole && other.channel === target.channel + first;
      })
    ) {
      leading.set(node, target);
      continue;
    }
    // Kernels write whole blocks of channels, so no part may end inside a block that the next part begins.
    const ownsLastBlock = !targets.has(node) || node.shape[1]! % CHANNEL_BLOCK === 0;
    for (const [i, { part, first }] of parts.entries()) {
      const fillsBlocks =
        first % CHANNEL_BLOCK === 0 &&
        (part.shape[1]! % CHANNEL_BLOCK === 0 ||
          (i === parts.length - 1 &&
            ownsLastBlock &&
            paddedChannels(channels) === first + paddedChannels(part.shape[1]!)));
      const isUnique = node.inputs.filter((input) => input === part).length === 1;
      if (computes(part) && !targets.has(part) && !leading.has(part) && fillsBlocks && isUnique)
        targets.set(part, { whole: node, channel: first });
    }
  }
  return { targets, leading };
}
