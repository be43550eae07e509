/** Checks the input of a compiled model, where it comes in. */
import { ShapeError } from '../errors.js';
import { describeValue, floatsOf } from '../realms.js';
import { formatShape, type Shape, sameShape, sizeOf } from './shape.js';
import type { Tensor } from './tensor.js';

/**
 * Gives an input as a tensor; not copied. Float32Arrays of another realm are taken as this realm's.
 * @param x - a tensor of the shape `input`, or its values.
 * @throws TypeError for anything else, which it names.
 * @throws ShapeError for another shape or number of values.
 */
export function inputTensor(x: unknown, input: Shape): Tensor {
  const { shape = input, data = x } = (x ?? {}) as Partial<Tensor>;
  const floats = floatsOf(data);
  if (!Array.isArray(shape) || !floats)
    throw new TypeError(
      `The input is ${data === x ? '' : 'a tensor of '}${describeValue(data)}; pass a Float32Array of ${sizeOf(input)} values, or tensor(values, [${input}]).`,
    );
  if (!sameShape(shape, input))
    throw new ShapeError(
      `The session was compiled for an input of ${formatShape(input)}, got ${formatShape(shape)}; compile the model for that shape.`,
    );
  if (floats.length !== sizeOf(input))
    throw new ShapeError(
      `An input of ${formatShape(input)} has ${sizeOf(input)} values, got ${floats.length}.`,
    );
  return { shape: input, data: floats };
}
