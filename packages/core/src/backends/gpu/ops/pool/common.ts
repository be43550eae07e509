/**
 * Pooling over regions of an image: windows, or the bins of adaptive pooling. Gradients gather: each pixel goes over
 * the regions that contain it. That of max pooling first finds where each region's maximum is.
 */
import type { Shape } from '../../../../tensor/shape.js';
import type { KernelBody, Read } from '../../kernels/javascript.js';
import { tuple } from '../../tuple.js';
import { type Lowering, writeResult } from '../lowering.js';

/** Coordinates along the last two axes. */
export type Pixel = readonly [row: string, column: string];

/** Regions of an image, one for each pixel of the result. */
export interface Regions {
  /** Writes loops over the pixels `y`, `x` of a region. */
  readonly over: (region: Pixel, inner: string) => string;
  /** Writes loops over the regions `oy`, `ox` that contain a pixel. */
  readonly containing: (pixel: Pixel, inner: string) => string;
  /** Writes the number of a pixel of the region that a loop is at. */
  readonly numberOf: (pixel: Pixel) => string;
}

/** Gives the regions of an op with some attributes, from the shapes of image and result. */
type RegionsOf<A> = (attrs: A, image: Shape, result: Shape) => Regions;

/** Gives the row and the column of coordinates. */
export const pixelOf = (at: readonly string[]): Pixel => [at[2]!, at[3]!];

/** Gives the coordinates of another pixel of the same plane. */
export const inPlane = (at: readonly string[], row: string, column: string): readonly string[] => [
  ...at.slice(0, 2),
  row,
  column,
];

/** Writes the maximum of a region, or the number of its pixel; of several, the first. */
function maximum(
  { over, numberOf }: Regions,
  x: Read,
  at: readonly string[],
  value: 'best' | 'winner',
): KernelBody {
  const isNumber = value === 'winner';
  const winner = isNumber ? ` winner = ${numberOf(['y', 'x'])};` : '';
  const keep = `const value = ${x(inPlane(at, 'y', 'x'))};
if (found < 0.5) { best = value; found = 1.0;${winner} }
if (value > best) { best = value;${winner} }`;
  const start = `let best = 0.0;\nlet found = 0.0;${isNumber ? '\nlet winner = 0.0;' : ''}`;
  return { statements: `${start}\n${over(pixelOf(at), keep)}`, value };
}

/** Makes the lowering of max pooling. */
export const lowerMaximum =
  <A extends object>(regionsOf: RegionsOf<A>): Lowering<A> =>
  (context) => {
    const regions = regionsOf(context.attrs, context.node.inputs[0]!.shape, context.shape);
    return writeResult(context, context.inputs, ([x], at) => maximum(regions, x!, at, 'best'));
  };

/** Makes the lowering of the gradient of max pooling. Inputs: dy, x. */
export const lowerMaximumGrad =
  <A extends object>(regionsOf: RegionsOf<A>): Lowering<A> =>
  (context) => {
    const [dy, x] = tuple(context.inputs, 2);
    const shape = dy.layout.shape;
    const regions = regionsOf(context.attrs, context.shape, shape);
    const winners = context.plan.kernel({
      inputs: [x],
      shape,
      body: ([read], at) => maximum(regions, read, at, 'winner'),
    });
    return writeResult(context, [dy, winners], ([readDy, winner], at) => {
      const region = inPlane(at, 'oy', 'ox');
      const isWinner = `Math.abs(${winner(region)} - (${regions.numberOf(pixelOf(at))})) < 0.5`;
      return {
        statements: `let sum = 0.0;\n${regions.containing(pixelOf(at), `if (${isWinner}) { sum += ${readDy(region)}; }`)}`,
        value: 'sum',
      };
    });
  };
