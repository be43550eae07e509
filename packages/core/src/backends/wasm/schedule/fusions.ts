/**
 * Finds nodes to fuse, so that the values between them are never stored: the inverted residuals of MobileNets
 * and similar networks, concatenations whose channels are then shuffled, and batch norms before 1x1
 * convolutions.
 */
import { type Graph, isInput, isParameter, type Node, readersOf } from '../../../graph/graph.js';
import type { AdaptivePoolAttrs } from '../../../ops/adaptivePool.js';
import type { BatchNormAttrs } from '../../../ops/batchNorm.js';
import type { Conv2dAttrs } from '../../../ops/conv2d.js';
import { isOp } from '../../../ops/index.js';
import { MAX_WINDOW_ROWS } from '../codegen/windowRow.js';

type Conv = Node<Conv2dAttrs>;

/** Most channels of an NCHW input that the first convolution reads directly. */
export const MAX_FIRST_CHANNELS = 4;

/**
 * Squeeze-and-excitation: two 1x1 convolutions of the channel means compute a gate by which each channel is
 * scaled.
 */
export interface SqueezeExcitation {
  readonly pool: Node<AdaptivePoolAttrs>;
  readonly reduce: Conv;
  readonly gate: Conv;
  readonly scale: Node;
}

/** An inverted residual: expansion, depthwise convolution, projection. */
export interface InvertedResidual {
  readonly kind: 'invertedResidual';
  /**
   * A 1x1 convolution, or a first convolution: see {@link isFirstConv}. Missing if the block does not widen
   * its input.
   */
  readonly expand?: Conv;
  readonly depthwise: Conv;
  readonly squeeze?: SqueezeExcitation;
  readonly project: Conv;
  /** The depthwise convolution of the next block, if it is the only reader of the projection. */
  readonly filter?: Conv;
  /** All nodes, in order. Only the value of the last one is stored. */
  readonly nodes: readonly Node[];
}

/** A channel shuffle of a concatenation that has one part for each of the shuffle's groups. */
export interface ShuffledConcat {
  readonly kind: 'shuffledConcat';
  readonly parts: readonly Node[];
  readonly nodes: readonly Node[];
}

/** A norm-prologue matmul: a batch norm with constant statistics, then a 1x1 convolution. */
export interface NormMatmul {
  readonly kind: 'normMatmul';
  readonly norm: Node<BatchNormAttrs>;
  readonly conv: Conv;
  readonly nodes: readonly Node[];
}

/** Nodes that one lowering computes. */
export type Fusion = InvertedResidual | ShuffledConcat | NormMatmul;

/**
 * True for a network's first layer: a convolution of an input with few channels, which reads the host's NCHW
 * order.
 */
export const isFirstConv = (node: Node): node is Conv =>
  isOp(node, 'conv2d') &&
  isInput(node.inputs[0]!) &&
  node.attrs.groups === 1 &&
  node.inputs[1]!.shape[1]! > 1 &&
  node.inputs[1]!.shape[1]! <= MAX_FIRST_CHANNELS;

/** True for a 1x1 convolution without stride, padding and groups. */
const isPointwise = (node: Node): node is Conv =>
  isOp(node, 'conv2d') &&
  node.attrs.groups === 1 &&
  [...node.inputs[1]!.shape.slice(2), ...node.attrs.stride].every((extent) => extent === 1) &&
  node.attrs.padding.every((pixels) => pixels === 0);

/** True for a depthwise convolution whose window rows fit a kernel's parameters. */
const isDepthwise = (node: Node): node is Conv =>
  isOp(node, 'conv2d') &&
  node.attrs.groups === node.shape[1] &&
  node.inputs[1]!.shape[1] === 1 &&
  Math.max(...node.inputs[1]!.shape.slice(2)) <= MAX_WINDOW_ROWS &&
  node.attrs.groups === node.inputs[0]!.shape[1] &&
  !node.attrs.residual;

/** Questions that patterns ask about a graph. */
class Matcher {
  readonly #readers: ReadonlyMap<Node, readonly Node[]>;
  readonly #stored: ReadonlySet<Node>;

  constructor(readonly graph: Graph) {
    this.#readers = readersOf(graph);
    this.#stored = new Set([...graph.outputs.values(), ...graph.updates.values()]);
  }

  /** Returns the readers of a value; none if it must be stored, so that no pattern matches. */
  readers(node: Node): readonly Node[] {
    return this.#stored.has(node) ? [] : this.#readers.get(node)!;
  }

  /** Returns the reader of a value that only one node reads. */
  soleReader(node: Node): Node | undefined {
    const [reader, ...others] = this.readers(node);
    return others.length === 0 ? reader : undefined;
  }

  /** True for a parameter that no run changes, and for an input that an op does not have. */
  isConstant(node: Node | undefined): boolean {
    return node === undefined || (isParameter(node) && !this.graph.updates.has(node.attrs.name));
  }

  /** True if a convolution's weight and bias are constant. */
  hasConstants(node: Conv): boolean {
    return this.isConstant(node.inputs[1]) && this.isConstant(node.inputs[2]);
  }

  /** Returns the only reader of a value if that is a pointwise convolution with constant weights. */
  pointwiseAfter(node: Node): Conv | undefined {
    const reader = this.soleReader(node);
    return reader && isPointwise(reader) && reader.inputs[0] === node && this.hasConstants(reader)
      ? reader
      : undefined;
  }
}

/** Returns the fusion that a node belongs to, if the nodes around it have the form of one. */
type Pattern = (node: Node, m: Matcher) => Fusion | undefined;

function matchSqueeze(depthwise: Node, m: Matcher): SqueezeExcitation | undefined {
  const [pool, scale, ...others] = m.readers(depthwise);
  if (!pool || !scale || others.length > 0) return undefined;
  if (!isOp(pool, 'adaptiveAvgPool') || pool.shape[2] !== 1 || pool.shape[3] !== 1) return undefined;
  const reduce = m.pointwiseAfter(pool);
  const gate = reduce && m.pointwiseAfter(reduce);
  if (!gate || reduce.attrs.residual || gate.attrs.residual || m.soleReader(gate) !== scale) return undefined;
  const scales = isOp(scale, 'mul') && scale.inputs[0] === depthwise && scale.inputs[1] === gate;
  return scales ? { pool, reduce, gate, scale } : undefined;
}

/** Matches at the depthwise convolution. */
const invertedResidual: Pattern = (depthwise, m): InvertedResidual | undefined => {
  if (!isDepthwise(depthwise) || !m.hasConstants(depthwise)) return undefined;
  const squeeze = matchSqueeze(depthwise, m);
  const project = m.pointwiseAfter(squeeze?.scale ?? depthwise);
  if (!project) return undefined;
  const [input] = depthwise.inputs as [Node];
  const expand =
    (isPointwise(input) || isFirstConv(input)) &&
    !input.attrs.residual &&
    m.hasConstants(input) &&
    m.soleReader(input) === depthwise
      ? input
      : undefined;
  const next = squeeze || project.attrs.residual ? undefined : m.soleReader(project);
  const filter = next && isDepthwise(next) && m.hasConstants(next) ? next : undefined;
  const nodes = [
    ...(expand ? [expand] : []),
    depthwise,
    ...(squeeze ? [squeeze.pool, squeeze.reduce, squeeze.gate, squeeze.scale] : []),
    project,
    ...(filter ? [filter] : []),
  ];
  return { kind: 'invertedResidual', expand, depthwise, squeeze, project, filter, nodes };
};

/** Matches at the channel shuffle. */
const shuffledConcat: Pattern = (shuffle, m): ShuffledConcat | undefined => {
  if (!isOp(shuffle, 'channelShuffle')) return undefined;
  const [concat] = shuffle.inputs as [Node];
  if (!isOp(concat, 'concat') || concat.attrs.axis !== 1 || m.soleReader(concat) !== shuffle)
    return undefined;
  const parts = concat.inputs;
  const partsAreGroups =
    parts.length === shuffle.attrs.groups && parts.every((part) => part.shape[1] === parts[0]!.shape[1]);
  return partsAreGroups ? { kind: 'shuffledConcat', parts, nodes: [concat, shuffle] } : undefined;
};

/** Matches at the batch norm. */
const normMatmul: Pattern = (norm, m): NormMatmul | undefined => {
  if (!isOp(norm, 'batchNorm')) return undefined;
  const conv = m.pointwiseAfter(norm);
  if (!conv || conv.attrs.residual || !norm.inputs.slice(1).every((input) => m.isConstant(input)))
    return undefined;
  const next = m.soleReader(conv);
  // A convolution that expands an inverted residual is faster fused with the residual.
  if (next && isDepthwise(next)) return undefined;
  return { kind: 'normMatmul', norm, conv, nodes: [norm, conv] };
};

/** All patterns. No node can begin two of them. */
const patterns: readonly Pattern[] = [invertedResidual, shuffledConcat, normMatmul];

/**
 * Finds all fusions, by their last node. No two share a node. A value that is an output or an update, or that
 * a node outside reads, is stored: only the last node of a fusion may have one.
 */
export function findFusions(graph: Graph): ReadonlyMap<Node, Fusion> {
  const matcher = new Matcher(graph);
  const fusions = new Map<Node, Fusion>();
  const fused = new Set<Node>();
  for (const node of graph.nodes)
    for (const pattern of patterns) {
      const fusion = pattern(node, matcher);
      if (!fusion || fusion.nodes.some((member) => fused.has(member))) continue;
      for (const member of fusion.nodes) fused.add(member);
      fusions.set(fusion.nodes.at(-1)!, fusion);
    }
  return fusions;
}
