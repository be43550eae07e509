/** Runs a model once on a symbolic input and keeps what it did: the graph. */
import { InputTooSmall, ShapeError } from '../errors.js';
import { Graph, type Mode } from '../graph/graph.js';
import { formatShape, type Shape } from '../tensor/shape.js';
import type { Module } from './module.js';
import { modules, parameters } from './walk.js';

/** Name of a traced graph's input. */
export const MAIN_INPUT = 'x';
/** Name of its main output. */
export const MAIN_OUTPUT = 'output';

/** Options of {@link trace}. */
export interface TraceOptions {
  /** `'training'` keeps the parts that exist for training only. Default `'inference'`. */
  readonly mode?: Mode;
  /** Starts the path in error messages. */
  readonly name?: string;
}

/**
 * The graph of a model for one input shape, batch first: `trace(resnet18(), [1, 3, 224, 224])`.
 * The input is called `x`, the output `output`.
 * @throws ShapeError with the module's path when the input does not fit; of a picture that is too small,
 * with the smallest square one that works.
 */
export function trace(model: Module, inputShape: Shape, options: TraceOptions = {}): Graph {
  if (inputShape.some((extent) => !Number.isInteger(extent) || extent < 1))
    throw new ShapeError(`The input shape ${formatShape(inputShape)} must hold whole numbers from 1 up.`);
  try {
    return traceOnce(model, inputShape, options);
  } catch (error) {
    const smallest = error instanceof InputTooSmall && smallestSquare(model, inputShape);
    if (smallest) error.message += `. The smallest square picture that works is ${smallest}x${smallest}`;
    throw error;
  }
}

/** The smallest square picture, not smaller than the one that failed, that a model takes; found by doubling and halving. */
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
  // Outputs that forward functions have set themselves (auxiliary heads) come after the main one.
  for (const [key, node] of [...graph.outputs])
    if (key !== MAIN_OUTPUT) {
      graph.outputs.delete(key);
      graph.outputs.set(key, node);
    }
  return graph;
}
