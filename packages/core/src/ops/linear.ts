/** The fully connected layer, and the matrix product that computes its gradients. */
import { ShapeError } from '../errors.js';
import type { Node } from '../graph/graph.js';
import { formatShape, type Shape, sizeOf } from '../tensor/shape.js';
import { type Activation, activated } from './activation.js';
import { BACKWARD, defineOp, emit, requireUnfused } from './define.js';
import { channelSumOp } from './reduce.js';

/** Attributes of a fully connected layer. */
export interface LinearAttrs {
  /** Applied last. Set by the fuse pass. */
  readonly activation?: Activation;
}

/** y = activation(x w^T + b). Inputs: x (n x in), w (out x in), b? (out). */
export const linearOp = defineOp<LinearAttrs>({
  op: 'linear',
  role: 'inference',
  layout: 'activations',
  perImage: false,
  parameters: [1, 2],
  fusesActivation: true,
  shape([x, w, b]) {
    if (x?.length !== 2)
      throw new ShapeError(
        `linear expects rows (n x features), got ${formatShape(x ?? [])}; flatten the input first`,
      );
    if (x[1] !== w![1])
      throw new ShapeError(`expected ${w![1]} features, got ${x[1]} (input ${formatShape(x)})`);
    if (b && (b.length !== 1 || b[0] !== w![0]))
      throw new ShapeError(`the bias of linear has ${w![0]} values, got ${formatShape(b)}`);
    return [x[0]!, w![0]!];
  },
  reference: ({ inputs: [x, w, b], attrs: { activation }, output, shapes: [, ws] }) =>
    activated(activation, output, (sums) => {
      const [out, features] = ws as [number, number];
      for (let i = 0; i < sums.length; i++) {
        const [row, column] = [Math.floor(i / out), i % out];
        let sum = 0;
        for (let k = 0; k < features; k++) sum += x![row * features + k]! * w![column * features + k]!;
        sums[i] = sum + (b ? b[column]! : 0);
      }
    }),
  gradient(node, upstream) {
    const [x, w, b] = node.inputs as [Node, Node, Node | undefined];
    requireUnfused(node);
    return [
      emit(matmulOp, [upstream, w], { transposeA: false, transposeB: false }),
      emit(matmulOp, [upstream, x], { transposeA: true, transposeB: false }),
      ...(b ? [emit(channelSumOp, [upstream], {})] : []),
    ];
  },
  flops: ([, w], output) => 2 * sizeOf(output) * w![1]!,
  macs: ([, w], output) => sizeOf(output) * w![1]!,
});

/** Attributes of `matmul`. */
export interface MatmulAttrs {
  readonly transposeA: boolean;
  readonly transposeB: boolean;
}

/** Gives the rows and columns of a matrix after the transposition, if there is one. */
const oriented = (shape: Shape, transpose: boolean): readonly [number, number] =>
  transpose ? [shape[1]!, shape[0]!] : [shape[0]!, shape[1]!];

/** y = op(a) op(b), where op(a) is a^T with `transposeA`, else a. Inputs: a, b (matrices). */
export const matmulOp = defineOp<MatmulAttrs, 'training'>({
  op: 'matmul',
  role: 'training',
  layout: ({ transposeA }) => (transposeA ? 'weights' : 'activations'),
  parameters: [1],
  shape([a, b], { transposeA, transposeB }) {
    const [rows, inner] = oriented(a!, transposeA);
    const [innerB, columns] = oriented(b!, transposeB);
    if (inner !== innerB)
      throw new ShapeError(
        `cannot multiply ${formatShape(a!)} by ${formatShape(b!)}: ${inner} columns meet ${innerB} rows`,
      );
    return [rows, columns];
  },
  reference({
    inputs: [a, b],
    shapes: [as, bs],
    attrs: { transposeA, transposeB },
    output,
    shape: [rows, columns],
  }) {
    const [, inner] = oriented(as!, transposeA);
    const [rowA, stepA] = transposeA ? [1, as![1]!] : [as![1]!, 1];
    const [stepB, columnB] = transposeB ? [1, bs![1]!] : [bs![1]!, 1];
    for (let i = 0; i < rows!; i++)
      for (let j = 0; j < columns!; j++) {
        let sum = 0;
        for (let k = 0; k < inner; k++) sum += a![i * rowA + k * stepA]! * b![k * stepB + j * columnB]!;
        output[i * columns! + j] = sum;
      }
  },
  gradient: BACKWARD,
  flops: ([a], output, { transposeA }) => 2 * sizeOf(output) * oriented(a!, transposeA)[1],
});
