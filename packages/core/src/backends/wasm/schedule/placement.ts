/**
 * Decides which values share memory: the ops that compute the parts of a concatenation write them in place,
 * slices and reshapes are views, and elementwise ops overwrite an input that nothing reads afterwards.
 */
import { type Graph, isInput, isParameter, type Node, readersOf } from '../../../graph/graph.js';
import { lastUses } from '../../../graph/liveness.js';
import { findDefinition, isOp } from '../../../ops/index.js';
import { CHANNEL_BLOCK, FLOAT, paddedChannels } from '../codegen/kernel.js';
import { denseFloats, extents, isPixelShape, storedFloats, type Value, valueAt } from '../memory/layout.js';
import { Pointer, Region } from '../memory/region.js';
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

/**
 * True if a node is the boundary of the tiled part of the graph, which `tileBatch` adds: nodes before it run
 * once per batch tile, and its value holds the whole batch. Each tile writes its part of the value, so it is
 * allocated before the first node.
 */
export const isBatchTile = (node: Node): node is Node<{ readonly tiles: number }> => node.op === 'batchTile';

/** True if a node's result is its input, unchanged. */
const isNeutral = (node: Node): boolean => findDefinition(node)?.neutral === true;

const isLeaf = (node: Node): boolean => isInput(node) || isParameter(node);

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

/** True if a reshape keeps the order in memory: between rows and 1x1 images, or between row-major values. */
function isSameOrder(node: Node): boolean {
  const [from, to] = [node.inputs[0]!.shape, node.shape];
  if (!isPixelShape(from) || !isPixelShape(to)) return !isPixelShape(from) && !isPixelShape(to);
  const [a, b] = [extents(from), extents(to)];
  return a.n === b.n && a.c === b.c && a.h === b.h && a.w === b.w;
}

/**
 * Assigns an allocation to each value.
 * @param fusions - fusions by their last node. The values of their other nodes are never stored.
 * @param inUpdates - nodes that the update phases compute. Their values go straight to the parameters, and
 *   what they read lives to the end of the run.
 */
export function placeValues(
  graph: Graph,
  fusions: ReadonlyMap<Node, Fusion> = new Map(),
  inUpdates: ReadonlySet<Node> = new Set(),
): Placement {
  const readers = readersOf(graph);
  const lastOfFusion = new Map(
    [...fusions].flatMap(([last, { nodes }]) => nodes.map((node) => [node, last])),
  );
  const isInner = (node: Node): boolean => lastOfFusion.has(node) && lastOfFusion.get(node) !== node;
  const readByUpdates = [...inUpdates].flatMap(({ inputs }) => inputs);
  // Outputs are read after the compute phases, and updates are applied after them.
  const readAtEnd = new Set([...graph.outputs.values(), ...graph.updates.values(), ...readByUpdates]);
  const weights = weightNodes(graph);
  const { targets, leading } = findInPlaceConcats(graph, weights, isInner);
  const values = new Map<Node, PlacedValue>();
  const skipped = new Set<Node>();
  const index = new Map(graph.nodes.map((node, i) => [node, i]));
  const lastUse = lastUses(graph, {
    computedAt: (node) => lastOfFusion.get(node) ?? node,
    kept: readByUpdates,
  });
  /** Returns the index of the first node that writes a value; it may be the first part of a concatenation. */
  const firstWrite = (node: Node): number =>
    isBatchTile(node)
      ? 0
      : Math.min(
          index.get(node)!,
          ...node.inputs.filter((part) => targets.get(part)?.whole === node).map(firstWrite),
        );
  /** Places a node's value in the allocation of another node and extends the allocation's lifetime. */
  const alias = (node: Node, of: Node, value: (start: Pointer) => Value): void => {
    const { allocation } = values.get(of)!;
    allocation.lastRead = Math.max(allocation.lastRead, lastUse.get(node)!);
    values.set(node, { allocation, value });
  };

  /** Places a value. Parts of a concatenation come before it, so the first part also places the whole. */
  const place = (node: Node): PlacedValue => {
    const known = values.get(node);
    if (known) return known;
    const target = targets.get(node) ?? leading.get(node);
    if (target) {
      const { whole, channel } = target;
      const outer = place(whole);
      alias(node, whole, (start) => {
        const outerValue = outer.value(start);
        if (outerValue.kind !== 'pixels') return outerValue;
        const { at, imageStride, pixelStride } = outerValue;
        const first = isBatchTile(whole) ? at.withTileStride(node.shape[0]! * imageStride) : at;
        return valueAt(first.plus(channel * FLOAT), node.shape, pixelStride);
      });
    } else {
      const rowMajor = weights.has(node);
      const allocation: Allocation = {
        floats: rowMajor ? denseFloats(node.shape) : storedFloats(node.shape),
        firstWrite: firstWrite(node),
        lastRead: lastUse.get(node)!,
      };
      values.set(node, {
        allocation,
        value: (at) => (rowMajor ? { kind: 'dense', at, shape: node.shape } : valueAt(at, node.shape)),
      });
    }
    return values.get(node)!;
  };

  for (const node of graph.nodes) {
    if (isLeaf(node)) continue;
    if (isInner(node) || inUpdates.has(node)) {
      skipped.add(node);
      continue;
    }
    const [input] = node.inputs;
    const source = input && !isLeaf(input) && !weights.has(input) ? values.get(input) : undefined;
    const hasTarget = targets.has(node);
    const flattened = isFlattenForLinear(node, readAtEnd.has(node) ? [] : readers.get(node)!);
    const keepsOrder = isNeutral(node) || flattened || (isOp(node, 'reshape') && isSameOrder(node));
    if (source && !hasTarget && keepsOrder) {
      alias(node, input!, (start) => {
        const value = source.value(start);
        if (flattened || isNeutral(node)) return value;
        return value.kind === 'pixels' ? value : { ...value, shape: node.shape };
      });
      skipped.add(node);
    } else if (source && !hasTarget && isOp(node, 'slice') && isPixelShape(node.shape)) {
      const { axis, start, step } = node.attrs;
      if (axis === 1 && step !== 1) place(node);
      else {
        alias(node, input!, (at) => {
          const value = source.value(at);
          if (value.kind !== 'pixels') return value;
          const strides = [value.imageStride, FLOAT, value.rowStride, value.pixelStride];
          const { n, c, h, w } = extents(node.shape);
          const scale = (stride: number, of: number): number => (of === axis ? stride * step : stride);
          return {
            ...value,
            at: value.at.plus(start * strides[axis]!),
            n,
            c,
            h,
            w,
            imageStride: scale(value.imageStride, 0),
            rowStride: scale(value.rowStride, 2),
            pixelStride: scale(value.pixelStride, 3),
          };
        });
        skipped.add(node);
      }
    } else {
      const overwritten = hasTarget || leading.has(node) ? undefined : overwrittenInput(node);
      if (overwritten) alias(node, overwritten, values.get(overwritten)!.value);
      else place(node);
      if (leading.has(node) || isBatchTile(node)) skipped.add(node);
    }
  }
  return { values, skipped };

  /**
   * Returns an input whose buffer the result may overwrite: same layout, last use here, and no element is read
   * after it is overwritten.
   */
  function overwrittenInput(node: Node): Node | undefined {
    if (!isPixelShape(node.shape) || weights.has(node)) return undefined;
    const inPlace = findDefinition(node)?.inPlace ?? [];
    // Inputs read in another order than the result is written: in fusions, all inputs of the first node.
    const first = fusions.get(node)?.nodes[0] ?? node;
    const others = first.inputs.filter((_, i) => first !== node || !inPlace.includes(i));
    return node.inputs.find((candidate, i) => {
      const found = inPlace.includes(i) ? values.get(candidate) : undefined;
      if (!found) return false;
      const { allocation } = found;
      if (allocation.lastRead !== index.get(node) || allocation.floats !== storedFloats(node.shape))
        return false;
      // A slice of later channels begins inside a pixel: whole channel blocks written there would end beyond
      // the allocation.
      if (found.value(ALLOCATION_START).at !== ALLOCATION_START) return false;
      return others.every((other) => values.get(other)?.allocation !== allocation);
    });
  }
}

/** The channels of a larger value in which a node's value lies. */
interface ConcatTarget {
  /** A concatenation, or the batch-tile boundary. */
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

/** Finds the values that can be written straight into a concatenation or a batch-tile boundary. */
function findInPlaceConcats(
  graph: Graph,
  weights: ReadonlySet<Node>,
  isInner: (node: Node) => boolean,
): InPlaceConcats {
  const targets = new Map<Node, ConcatTarget>();
  const leading = new Map<Node, ConcatTarget>();
  /** True if a node's kernels write its value, so that they can write it elsewhere. */
  const computes = (node: Node): boolean =>
    !isLeaf(node) &&
    !weights.has(node) &&
    !isNeutral(node) &&
    !isOp(node, 'reshape') &&
    !isOp(node, 'slice') &&
    !isOp(node, 'fill');
  for (const node of [...graph.nodes].reverse()) {
    if (isBatchTile(node)) targets.set(node.inputs[0]!, { whole: node, channel: 0 });
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
