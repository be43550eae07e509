/** Checks the feeds of a run, for all back ends. */
import { ShapeError } from '../../errors.js';
import type { Graph } from '../../graph/graph.js';
import { formatShape, type Shape, sizeOf } from '../../tensor/shape.js';
import type { Tensor } from '../../tensor/tensor.js';

/**
 * Gives the values fed to an input; not copied.
 * @param shape - shape of the input.
 * @throws Error if there are none.
 * @throws ShapeError if their number is not that of the shape.
 */
export function valuesFor(
  graph: Graph,
  name: string,
  shape: Shape,
  feeds: ReadonlyMap<string, Tensor>,
): Float32Array {
  const data = feeds.get(name)?.data;
  if (!data) throw new Error(`${graph.at('')}: the run lacks the input '${name}'.`);
  if (data.length !== sizeOf(shape))
    throw new ShapeError(
      `${graph.at('')}: the input '${name}' of ${formatShape(shape)} has ${sizeOf(shape)} values, got ${data.length}.`,
    );
  return data;
}
