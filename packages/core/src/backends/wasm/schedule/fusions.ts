/**
 * Which nodes are computed together, so that the values between them never have a place of their own: the
 * blocks that MobileNets and their like are made of, concatenations whose channels are then shuffled, and 1x1
 * convolutions of normalised values.
 */
import { type Graph, isInput, isParameter, type Node, readersOf } from '../../../graph/graph.js';
import type { AdaptivePoolAttrs } from '../../../ops/adaptivePool.js';
import type { ChannelShuffleAttrs } from '../../../ops/arrange.js';
import type { BatchNormAttrs } from '../../../ops/batchNorm.js';
import type { Conv2dAttrs } from '../../../ops/conv2d.js';
import { isOp } from '../../../ops/index.js';
import { MOST_ROWS } from '../ops/conv/depthwise/depthwiseKernel.js';

type Conv = Node<Conv2dAttrs>;

/** Channels of a picture that is read plane by plane. */
const MOST_PLANES = 4;

/** Squeeze-and-excitation: channels are scaled by gates that two layers compute from their means. */
export interface Squeeze {
  readonly pool: Node<AdaptivePoolAttrs>;
  readonly reduce: Conv;
  readonly gate: Conv;
  readonly scale: Node;
}

/** An inverted residual, or its latter part: `expand` is missing where a block does not widen its input. */
export interface Block {
  readonly kind: 'block';
  /** A 1x1 convolution, or a network's first layer: see `isStem`. */
  readonly expand?: Conv;
  readonly depthwise: Conv;
  readonly squeeze?: Squeeze;
  readonly project: Conv;
  /** A depthwise convolution that alone reads what is projected. */
  readonly filter?: Conv;
  /** All of them, in order. Only the last one's value has a place. */
  readonly nodes: readonly Node[];
}

/** A channel shuffle of a concatenation whose parts are its groups. */
export interface Interleaving {
  readonly kind: 'interleaving';
  readonly parts: readonly Node[];
  readonly nodes: readonly Node[];
}

/** A 1x1 convolution of values that are normalised first by statistics that no run changes. */
export interface NormedProduct {
  readonly kind: 'normed product';
  readonly norm: Node<BatchNormAttrs>;
  readonly conv: Conv;
  readonly nodes: readonly Node[];
}

/** Nodes that are computed together. */
export type Group = Block | Interleaving | NormedProduct;

/** A convolution on planar pictures of few channels, which are read as the host gives them: a network's first layer. */
export const isStem = (node: Node): node is Conv =>
  isOp(node, 'conv2d') &&
  isInput(node.inputs[0]!) &&
  node.attrs.groups === 1 &&
  node.inputs[1]!.shape[1]! > 1 &&
  node.inputs[1]!.shape[1]! <= MOST_PLANES;

/** A 1x1 convolution of all channels on pixels as they lie, with a weight that no run changes. */
const isPointwise = (node: Node): node is Conv =>
  isOp(node, 'conv2d') &&
  node.attrs.groups === 1 &&
  [...node.inputs[1]!.shape.slice(2), ...node.attrs.stride].every((extent) => extent === 1) &&
  node.attrs.padding.every((pixels) => pixels === 0);

const isDepthwise = (node: Node): node is Conv =>
  isOp(node, 'conv2d') &&
  node.attrs.groups === node.shape[1] &&
  node.inputs[1]!.shape[1] === 1 &&
  Math.max(...node.inputs[1]!.shape.slice(2)) <= MOST_ROWS &&
  node.attrs.groups === node.inputs[0]!.shape[1] &&
  !node.attrs.residual;

/** Finds all groups; the key is a group's last node. A node that is wanted as an output, or read from elsewhere, ends a group. */
export function findGroups(graph: Graph): ReadonlyMap<Node, Group> {
  const readers = readersOf(graph);
  const kept = new Set([...graph.outputs.values(), ...graph.updates.values()]);
  /** The readers of a value that nobody else may see. */
  const readersOfInner = (node: Node): readonly Node[] => (kept.has(node) ? [] : readers.get(node)!);
  const soleReader = (node: Node): Node | undefined => {
    const [reader, ...others] = readersOfInner(node);
    return others.length === 0 ? reader : undefined;
  };
  const constant = (node: Node | undefined): boolean =>
    node === undefined || (isParameter(node) && !graph.updates.has(node.attrs.name));
  const hasConstants = (node: Conv): boolean => constant(node.inputs[1]) && constant(node.inputs[2]);
  /** The pointwise convolution that alone reads a value, as its input. */
  const pointwiseAfter = (node: Node): Conv | undefined => {
    const reader = soleReader(node);
    return reader && isPointwise(reader) && reader.inputs[0] === node && hasConstants(reader)
      ? reader
      : undefined;
  };

  const squeezeAfter = (depthwise: Node): Squeeze | undefined => {
    const [pool, scale, ...others] = readersOfInner(depthwise);
    if (!pool || !scale || others.length > 0) return undefined;
    if (!isOp(pool, 'adaptiveAvgPool') || pool.shape[2] !== 1 || pool.shape[3] !== 1) return undefined;
    const reduce = pointwiseAfter(pool);
    const gate = reduce && pointwiseAfter(reduce);
    if (!gate || reduce.attrs.residual || gate.attrs.residual || soleReader(gate) !== scale) return undefined;
    const scales = isOp(scale, 'mul') && scale.inputs[0] === depthwise && scale.inputs[1] === gate;
    return scales ? { pool, reduce, gate, scale } : undefined;
  };

  const blockAround = (depthwise: Conv): Block | undefined => {
    if (!hasConstants(depthwise)) return undefined;
    const squeeze = squeezeAfter(depthwise);
    const project = pointwiseAfter(squeeze?.scale ?? depthwise);
    if (!project) return undefined;
    const [before] = depthwise.inputs as [Node];
    const expand =
      (isPointwise(before) || isStem(before)) &&
      !before.attrs.residual &&
      hasConstants(before) &&
      soleReader(before) === depthwise
        ? before
        : undefined;
    const next = squeeze || project.attrs.residual ? undefined : soleReader(project);
    const filter = next && isDepthwise(next) && hasConstants(next) ? next : undefined;
    const nodes = [
      ...(expand ? [expand] : []),
      depthwise,
      ...(squeeze ? [squeeze.pool, squeeze.reduce, squeeze.gate, squeeze.scale] : []),
      project,
      ...(filter ? [filter] : []),
    ];
    return { kind: 'block', expand, depthwise, squeeze, project, filter, nodes };
  };

  const interleavingBefore = (shuffle: Node<ChannelShuffleAttrs>): Interleaving | undefined => {
    const [concat] = shuffle.inputs as [Node];
    if (!isOp(concat, 'concat') || concat.attrs.axis !== 1 || soleReader(concat) !== shuffle)
      return undefined;
    const parts = concat.inputs;
    const same =
      parts.length === shuffle.attrs.groups && parts.every((part) => part.shape[1] === parts[0]!.shape[1]);
    return same ? { kind: 'interleaving', parts, nodes: [concat, shuffle] } : undefined;
  };

  const normedProductAfter = (norm: Node<BatchNormAttrs>): NormedProduct | undefined => {
    const conv = pointwiseAfter(norm);
    if (!conv || conv.attrs.residual || !norm.inputs.slice(1).every(constant)) return undefined;
    const next = soleReader(conv);
    // The expansion of an inverted residual is better computed together with that.
    if (next && isDepthwise(next)) return undefined;
    return { kind: 'normed product', norm, conv, nodes: [norm, conv] };
  };

  const groups = new Map<Node, Group>();
  const taken = new Set<Node>();
  for (const node of graph.nodes) {
    const group = isDepthwise(node)
      ? blockAround(node)
      : isOp(node, 'channelShuffle')
        ? interleavingBefore(node)
        : isOp(node, 'batchNorm')
          ? normedProductAfter(node)
          : undefined;
    if (!group || group.nodes.some((member) => taken.has(member))) continue;
    for (const member of group.nodes) taken.add(member);
    groups.set(group.nodes.at(-1)!, group);
  }
  return groups;
}
