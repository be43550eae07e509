/** Traces models: runs a model once on a symbolic input and records its ops as a graph. */
import { InputTooSmall, ShapeError } from '../errors.js';
import { Graph, type Mode } from '../graph/graph.js';
import { formatShape, requireShape, type Shape } from '../tensor/shape.js';
import type { Module } from './module.js';
import { modules, parameters } from './walk.js';

/** Name of the input of a traced graph. */
export const MAIN_INPUT = 'x';
/** Name of the main output of a traced graph. */
export const MAIN_OUTPUT = 'output';

/** Options of {@link trace}. */
export interface TraceOptions {
  /**
   * `'training'` includes parts that exist for training only, such as auxiliary heads. Default `'inference'`.
   */
  readonly mode?: Mode;
  /** Name of the model, which starts the path in error messages. Default: none. */
  readonly name?: string;
}

/**
 * Traces a model for one input shape. The input of the graph is called `x`, its output `output`.
 * @param inputShape - batch first: n x c x h x w for images.
 * @throws ShapeError with the module's path if the input does not fit. For a picture that is too small it
 * gives the size of the smallest square picture that works.
 * @example
 * const graph = trace(resnet18(), [1, 3, 224, 224]);
 */
export function trace(model: Module, inputShape: Shape, options: TraceOptions = {}): Graph {
  if (requireShape(inputShape).some((extent) => !Number.isInteger(extent) || extent < 1))
    throw new ShapeError(`The input shape ${formatShape(inputShape)} must hold whole numbers from 1 up.`);
  try {
    return traceOnce(model, inputShape, options);
  } catch (error) {
    const smallest = error instanceof InputTooSmall && smallestSquare(model, inputShape);
    if (smallest) error.message += `. The smallest square picture that works is ${smallest}x${smallest}`;
    throw error;
  }
}

/**
 * Finds the smallest square input of a model, in pixels: doubles the shorter side of the input that failed
 * until it fits, up to 1,024, then bisects. Undefined if none fits.
 */
function smallestSquare(model: Module, inputShape: Shape): number | undefined {
  if (inputShape.length !== 4) return undefined;
  const [n, c, h, w] = inputShape;
  const fits = (pixels: number): boolean => {
    try {
      traceOnce(model, [n!, c!, pixels, pixels], {});
      return true;
    } catch (error) {
      if (error instanceof ShapeError) return false;
      throw error;
    }
  };
  let low = Math.min(h!, w!);
  let high = low;
  while (!fits(high)) {
    if (high > 512) return undefined;
    low = high;
    high *= 2;
  }
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (fits(middle)) high = middle;
    else low = middle;
  }
  return high;
}

function traceOnce(model: Module, inputShape: Shape, { mode = 'inference', name = '' }: TraceOptions): Graph {
  const graph = new Graph({
    name,
    mode,
    names: new Map([...parameters(model)].map(([path, param]) => [param, path])),
    paths: new Map([...modules(model)].map(([path, child]) => [child, path])),
  });
  const output = model(graph.input(MAIN_INPUT, inputShape));
  graph.outputs.set(MAIN_OUTPUT, output);
  // Outputs that forward functions set themselves (auxiliary heads) are moved after the main one.
  for (const [key, node] of [...graph.outputs])
    if (key !== MAIN_OUTPUT) {
      graph.outputs.delete(key);
      graph.outputs.set(key, node);
    }
  return graph;
}
