/** The first step of a weight's gradient by Winograd's method, for tiles of the output's gradient. */
import { defineKernel, type Variant } from '../../../codegen/kernel.js';
import { tileParameters, transformTiles, type WinogradInput } from './inputKernel.js';
import { gradientTransforms } from './weightGradientTransforms.js';

/** Transforms the output's gradient: [product][tile][channel]. `x` is its picture. */
export const winogradOutputGradient = defineKernel({
  name: 'winograd output gradient',
  parameters: tileParameters,
  build: (f, p, variant: Variant<WinogradInput>) =>
    transformTiles(f, p, variant, gradientTransforms[variant.shape.method]!.gradient),
});
