/** Sums and products of two tensors, for residual blocks and the gates of squeeze-and-excitation. */
import { ShapeError } from '../errors.js';
import type { Node } from '../graph/graph.js';
import { formatShape, sameShape, sizeOf } from '../tensor/shape.js';
import { type Activation, activated } from './activation.js';
import { defineOp, emit, type OpDefinition, requireUnfused } from './define.js';
import { broadcastIndex, broadcastsTo, sumToOp } from './reduce.js';

/** Attributes of `add`. */
export interface AddAttrs {
  /** Applied to the sum. Set by the fuse pass. */
  readonly activation?: Activation;
}

/** y = activation(a + b), for equal shapes. */
export const addOp = defineOp<AddAttrs>({
  op: 'add',
  role: 'inference',
  layout: 'inputs',
  perImage: true,
  inPlace: [0, 1],
  fusesActivation: true,
  shape([a, b]) {
    if (!sameShape(a!, b!))
      throw new ShapeError(`cannot add ${formatShape(b!)} to ${formatShape(a!)}: the shapes must be equal`);
    return a!;
  },
  reference: ({ inputs: [a, b], attrs: { activation }, output }) =>
    activated(activation, output, (sums) => {
      for (let i = 0; i < sums.length; i++) sums[i] = a![i]! + b![i]!;
    }),
  gradient(node, upstream) {
    requireUnfused(node);
    return [upstream, upstream];
  },
  flops: (_, output) => sizeOf(output),
});

/** y = a * b, where each extent of b is a's or 1 (a gate per channel: n x c x 1 x 1). */
export const mulOp: OpDefinition<object, 'inference'> = defineOp<object>({
  op: 'mul',
  role: 'inference',
  layout: 'activations',
  perImage: true,
  shape([a, b]) {
    if (!broadcastsTo(b!, a!))
      throw new ShapeError(
        `cannot multiply ${formatShape(a!)} by ${formatShape(b!)}: each extent of the second must be that of the first, or 1`,
      );
    return a!;
  },
  reference({ inputs: [a, b], shapes: [as, bs], output }) {
    const at = broadcastIndex(bs!, as!);
    for (let i = 0; i < output.length; i++) output[i] = a![i]! * b![at(i)]!;
  },
  gradient(node, upstream) {
    const [a, b] = node.inputs as [Node, Node];
    const gateGradient = emit(mulOp, [upstream, a], {});
    return [
      emit(mulOp, [upstream, b], {}),
      sameShape(a.shape, b.shape) ? gateGradient : emit(sumToOp, [gateGradient], { shape: b.shape }),
    ];
  },
  flops: (_, output) => sizeOf(output),
});

/**
 * Adds two tensors of one shape, element by element.
 * @throws ShapeError if the shapes differ.
 */
export const add = (a: Node, b: Node): Node => emit(addOp, [a, b], {});

/**
 * Multiplies two tensors, element by element.
 * @param b - each of its extents is that of `a`, or 1, along which it is broadcast.
 * @throws ShapeError for other shapes.
 */
export const mul = (a: Node, b: Node): Node => emit(mulOp, [a, b], {});
