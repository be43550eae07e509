/**
 * Decides which values share a place: concatenations are written in place by the ops that make their
 * parts, slices and reshapes are views, sums overwrite a summand that nothing reads any more.
 */
import { type Graph, isInput, isParameter, type Node, readersOf } from '../../../graph/graph.js';
import { lastUses } from '../../../graph/liveness.js';
import { findDefinition, isOp } from '../../../ops/index.js';
import { CHANNEL_BLOCK, FLOAT, paddedChannels } from '../codegen/kernel.js';
import { denseFloats, extents, isPixelShape, storedFloats, type Value, valueAt } from '../memory/layout.js';
import { Pointer, Region } from '../memory/region.js';
import type { Group } from './fusions.js';

/** A place for one value or several, from the first write to the last read. */
export interface Place {
  readonly floats: number;
  /** Index of the first node that writes there, and of the last one that reads. */
  readonly start: number;
  end: number;
}

/** Where a node's value is. */
export interface Placed {
  readonly place: Place;
  /** The value, once the place has an address. */
  readonly value: (at: Pointer) => Value;
}

/** Stands for the address of any place. */
const BEGINNING = new Pointer(new Region(), 0);

/** What is known of where values go. Inputs and parameters have places of their own and are not among them. */
export interface Placement {
  readonly placed: ReadonlyMap<Node, Placed>;
  /** Nodes for which nothing is to be done: their value is there already, or is computed together with a later node. */
  readonly free: ReadonlySet<Node>;
}

/** Values of `reshape` that only fully connected layers read: their weights are brought into the pixels' order instead. */
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
 * A node that says: everything before it is computed in so many turns, and it has the pictures of all of them. It has a
 * place of its own, to which its input moves on from turn to turn. `inTurns` makes it.
 */
export const isTurns = (node: Node): node is Node<{ readonly count: number }> => node.op === 'turns';

/** True if a node's result is its input, unchanged. */
const isNeutral = (node: Node): boolean => findDefinition(node)?.neutral === true;

const isLeaf = (node: Node): boolean => isInput(node) || isParameter(node);

/**
 * Nodes whose values lie row-major as parameters do, whatever their shape: gradients of weights and what
 * optimizers make of them.
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

/** Reshapes that keep the order in memory: between rows and 1x1 pictures. */
function isSameOrder(node: Node): boolean {
  const [from, to] = [node.inputs[0]!.shape, node.shape];
  if (!isPixelShape(from) || !isPixelShape(to)) return !isPixelShape(from) && !isPixelShape(to);
  const [a, b] = [extents(from), extents(to)];
  return a.n === b.n && a.c === b.c && a.h === b.h && a.w === b.w;
}

/**
 * Where each value goes.
 * @param groups nodes that are computed together, by the last of them: the others' values go nowhere.
 * @param last nodes that are computed where updates are taken on: their values go there, and what they read lives so long.
 */
export function placeValues(
  graph: Graph,
  groups: ReadonlyMap<Node, Group> = new Map(),
  last: ReadonlySet<Node> = new Set(),
): Placement {
  const readers = readersOf(graph);
  const lastOf = new Map([...groups].flatMap(([last, { nodes }]) => nodes.map((node) => [node, last])));
  const isInner = (node: Node): boolean => lastOf.has(node) && lastOf.get(node) !== node;
  // Outputs are read after a run, and updates taken on: both live to its end.
  const readLast = [...last].flatMap(({ inputs }) => inputs);
  const outputs = new Set([...graph.outputs.values(), ...graph.updates.values(), ...readLast]);
  const weights = weightNodes(graph);
  const { hosts, prefixes } = concatenateInPlace(graph, weights, isInner);
  const placed = new Map<Node, Placed>();
  const free = new Set<Node>();
  const index = new Map(graph.nodes.map((node, i) => [node, i]));
  const lastUse = lastUses(graph, { computedAt: (node) => lastOf.get(node) ?? node, kept: readLast });
  /** Parts of a concatenation are placed before it. */
  const firstWrite = (node: Node): number =>
    isTurns(node)
      ? 0
      : Math.min(
          index.get(node)!,
          ...node.inputs.filter((part) => hosts.get(part)?.into === node).map(firstWrite),
        );
  const alias = (node: Node, of: Node, value: (at: Pointer) => Value): void => {
    const { place } = placed.get(of)!;
    place.end = Math.max(place.end, lastUse.get(node)!);
    placed.set(node, { place, value });
  };

  /** Places of concatenations are made when their first part is. */
  const place = (node: Node): Placed => {
    const known = placed.get(node);
    if (known) return known;
    const host = hosts.get(node);
    const prefix = prefixes.get(node);
    if (host || prefix) {
      const { into, channel } = (host ?? prefix)!;
      const outer = place(into);
      alias(node, into, (at) => {
        const whole = outer.value(at);
        if (whole.kind !== 'pixels') return whole;
        const start = isTurns(into) ? whole.at.moving(node.shape[0]! * whole.image) : whole.at;
        return valueAt(start.plus(channel * FLOAT), node.shape, whole.pixel);
      });
    } else {
      const dense = weights.has(node);
      const own: Place = {
        floats: dense ? denseFloats(node.shape) : storedFloats(node.shape),
        start: firstWrite(node),
        end: lastUse.get(node)!,
      };
      placed.set(node, {
        place: own,
        value: (at) => (dense ? { kind: 'dense', at, shape: node.shape } : valueAt(at, node.shape)),
      });
    }
    return placed.get(node)!;
  };

  for (const node of graph.nodes) {
    if (isLeaf(node)) continue;
    if (isInner(node) || last.has(node)) {
      free.add(node);
      continue;
    }
    const [input] = node.inputs;
    const inner = input && !isLeaf(input) && !weights.has(input) ? placed.get(input) : undefined;
    const unhosted = !hosts.has(node);
    const flattened = isFlattenForLinear(node, outputs.has(node) ? [] : readers.get(node)!);
    if (inner && unhosted && (isNeutral(node) || flattened || (isOp(node, 'reshape') && isSameOrder(node)))) {
      alias(node, input!, (at) => {
        const value = inner.value(at);
        if (flattened || isNeutral(node)) return value;
        return value.kind === 'pixels' ? value : { ...value, shape: node.shape };
      });
      free.add(node);
    } else if (inner && unhosted && isOp(node, 'slice') && isPixelShape(node.shape)) {
      const { axis, start, step } = node.attrs;
      if (axis === 1 && step !== 1) place(node);
      else {
        alias(node, input!, (at) => {
          const value = inner.value(at);
          if (value.kind !== 'pixels') return value;
          const strides = [value.image, FLOAT, value.row, value.pixel];
          const { n, c, h, w } = extents(node.shape);
          const scale = (stride: number, of: number): number => (of === axis ? stride * step : stride);
          return {
            ...value,
            at: value.at.plus(start * strides[axis]!),
            n,
            c,
            h,
            w,
            image: scale(value.image, 0),
            row: scale(value.row, 2),
            pixel: scale(value.pixel, 3),
          };
        });
        free.add(node);
      }
    } else {
      const summand = unhosted && !prefixes.has(node) ? overwritten(node, index.get(node)!) : undefined;
      if (summand) alias(node, summand, placed.get(summand)!.value);
      else place(node);
      if (prefixes.has(node) || isTurns(node)) free.add(node);
    }
  }
  return { placed, free };

  /** An input of the same layout that dies here and that the op reads no further than it has written. */
  function overwritten(node: Node, at: number): Node | undefined {
    if (!isPixelShape(node.shape) || weights.has(node)) return undefined;
    const inPlace = findDefinition(node)?.inPlace ?? [];
    // What is read in another order: nodes that are computed together read all their inputs so.
    const first = groups.get(node)?.nodes[0] ?? node;
    const others = first.inputs.filter((_, i) => first !== node || !inPlace.includes(i));
    return node.inputs.find((candidate, i) => {
      const found = inPlace.includes(i) ? placed.get(candidate) : undefined;
      if (!found || found.place.end !== at || found.place.floats !== storedFloats(node.shape)) return false;
      // A slice of later channels begins within its first pixel: whole blocks written there would end beyond the place.
      if (found.value(BEGINNING).at !== BEGINNING) return false;
      return others.every((other) => placed.get(other)?.place !== found.place);
    });
  }
}

interface Host {
  readonly into: Node;
  /** First channel of the part. */
  readonly channel: number;
}

/**
 * Which values are written straight into a concatenation along the channels (`hosts`), and which
 * concatenations are the beginning of a larger one and so are there without any work (`prefixes`):
 * a dense block's growing list of features is one tensor.
 */
function concatenateInPlace(
  graph: Graph,
  weights: ReadonlySet<Node>,
  isInner: (node: Node) => boolean,
): {
  readonly hosts: ReadonlyMap<Node, Host>;
  readonly prefixes: ReadonlyMap<Node, Host>;
} {
  const hosts = new Map<Node, Host>();
  const prefixes = new Map<Node, Host>();
  const computes = (node: Node): boolean =>
    !isLeaf(node) &&
    !weights.has(node) &&
    !isNeutral(node) &&
    !isOp(node, 'reshape') &&
    !isOp(node, 'slice') &&
    !isOp(node, 'fill');
  for (const node of [...graph.nodes].reverse()) {
    if (isTurns(node)) hosts.set(node.inputs[0]!, { into: node, channel: 0 });
    if (!isOp(node, 'concat') || isInner(node) || node.attrs.axis !== 1 || !isPixelShape(node.shape))
      continue;
    let channel = 0;
    const parts = node.inputs.map((part) => {
      const first = channel;
      channel += part.shape[1]!;
      return { part, first };
    });
    const within = hosts.get(node.inputs[0]!);
    if (
      within &&
      !hosts.has(node) &&
      parts.every(({ part, first }) => {
        const host = hosts.get(part);
        return host?.into === within.into && host.channel === within.channel + first;
      })
    ) {
      prefixes.set(node, within);
      continue;
    }
    // Kernels write whole blocks of channels: a part may not reach into the next one.
    const roomBehind = !hosts.has(node) || node.shape[1]! % CHANNEL_BLOCK === 0;
    for (const [index, { part, first }] of parts.entries()) {
      const fits =
        first % CHANNEL_BLOCK === 0 &&
        (part.shape[1]! % CHANNEL_BLOCK === 0 ||
          (index === parts.length - 1 &&
            roomBehind &&
            paddedChannels(channel) === first + paddedChannels(part.shape[1]!)));
      const once = node.inputs.filter((input) => input === part).length === 1;
      if (computes(part) && !hosts.has(part) && !prefixes.has(part) && fits && once)
        hosts.set(part, { into: node, channel: first });
    }
  }
  return { hosts, prefixes };
}
