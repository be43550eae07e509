/** What a run is given for an input, looked at once for all back ends. */
import { ShapeError } from '../../errors.js';
import type { Graph } from '../../graph/graph.js';
import { formatShape, type Shape, sizeOf } from '../../tensor/shape.js';
import type { Tensor } from '../../tensor/tensor.js';

/** The values for an input. @throws Error where there are none, and ShapeError where they are not as many as it has. */
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
