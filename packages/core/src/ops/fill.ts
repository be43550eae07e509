/** Constants: the 1 at which backpropagation starts. */
import type { Graph, Node } from '../graph/graph.js';
import type { Shape } from '../tensor/shape.js';
import { defineOp } from './define.js';

/** Attributes of a constant. */
export interface FillAttrs {
  readonly value: number;
  readonly shape: Shape;
}

/** y = value for all elements. No inputs. */
export const fillOp = defineOp<FillAttrs>({
  op: 'fill',
  role: 'inference',
  layout: 'activations',
  perImage: false,
  exact: true,
  shape: (_, { shape }) => shape,
  reference({ attrs: { value }, output }) {
    output.fill(value);
  },
  gradient: 'a constant does not depend on any parameter',
  flops: () => 0,
});

/** Appends a constant whose elements are all `value`. */
export const fill = (graph: Graph, value: number, shape: Shape): Node =>
  graph.add('fill', [], { value, shape }, shape);
