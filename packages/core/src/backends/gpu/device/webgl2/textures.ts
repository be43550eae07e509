/**
 * Textures of tensors on WebGL2: four layers of texels with four values each. Texel t of a tensor is in layer t & 3, so
 * that one fragment, which draws to all layers, computes sixteen adjacent values.
 */
import { type Layout, storedFloats } from '../../layout/types.js';
import { unavailable } from '../../unavailable.js';
import type { Block } from '../runtime.js';
import { LAYERS } from './translate.js';

/** Size of a texture: each layer is `1 << shift` texels wide and `height` high. */
export interface TextureSize extends Block {
  readonly shift: number;
  readonly height: number;
}

/** Logarithms of the texture widths. Textures that would be too high with the narrow width are wide. */
const NARROW_SHIFT = 6;
const WIDE_SHIFT = 12;

/** Number of texels that hold the values of a layout. */
export const texelsOf = (layout: Layout): number => Math.max(1, Math.ceil(storedFloats(layout) / 4));

/**
 * Gives the texture size of a layout. Widths are powers of two, so that no index needs a division. There are only two,
 * since each needs shaders of its own.
 * @param maxSide - largest width and height of textures, in texels.
 * @throws BackendUnavailable if the texture would be larger.
 */
export function textureSize(layout: Layout, maxSide: number): TextureSize {
  const quads = Math.ceil(texelsOf(layout) / LAYERS);
  const shift = quads <= maxSide << NARROW_SHIFT ? NARROW_SHIFT : WIDE_SHIFT;
  const height = Math.ceil(quads / 2 ** shift);
  if (Math.max(height, 2 ** shift) > maxSide)
    throw unavailable(
      `A tensor of ${layout.shape.join('x')} needs a texture of ${2 ** shift}x${height} texels; this GPU has at most ${maxSide} along a side.`,
    );
  return { key: `${shift} ${height}`, bytes: (height << shift) * 16 * LAYERS, shift, height };
}

/** Gives the index in a texture's layers, which lie one after the other, of a tensor's value. */
const layerIndex = (i: number, layer: number): number => ((i >> 2) & 3) * layer + (i >> 4) * 4 + (i & 3);

/** Gives a tensor's values from the layers of its texture. */
export function fromLayers(layers: Float32Array, floats: number): Float32Array {
  const layer = layers.length / LAYERS;
  return new Float32Array(floats).map((_, i) => layers[layerIndex(i, layer)]!);
}

/** Writes a tensor's values into the layers of its texture, which hold zeros. */
export function toLayers(data: Float32Array, layers: Float32Array): void {
  const layer = layers.length / LAYERS;
  for (let i = 0; i < data.length; i++) layers[layerIndex(i, layer)] = data[i]!;
}
