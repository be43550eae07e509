/** Copies a batch of images between the host's order (NCHW, no padding) and the device's, row by row. */
import { pictureShape } from '../../../ops/define.js';
import { sizeOf } from '../../../tensor/shape.js';
import type { Layout } from './types.js';

/** Padded images, stored as n, c / lanes, h, w, lanes. With one lane that is NCHW. */
export interface StoredImages extends Pick<Layout, 'shape' | 'padding' | 'paddedShape'> {
  readonly lanes: number;
}

/** Calls `visit` for each row of each channel with its first index on the device and on the host. */
function forEachRow(
  { shape, padding, paddedShape, lanes }: StoredImages,
  visit: (staged: number, unpadded: number, width: number) => void,
): void {
  const [n, c, h, w] = pictureShape('a GPU layout', shape);
  const [, , storedHeight, storedWidth] = pictureShape('a GPU layout', paddedShape);
  const [top, left] = padding;
  const blocks = Math.ceil(c / lanes);
  for (let image = 0; image < n; image++)
    for (let channel = 0; channel < c; channel++) {
      const plane = image * blocks + Math.floor(channel / lanes);
      for (let row = 0; row < h; row++)
        visit(
          ((plane * storedHeight + top + row) * storedWidth + left) * lanes + (channel % lanes),
          ((image * c + channel) * h + row) * w,
          w,
        );
    }
}

/** Writes NCHW values into `staged`, which holds zeros. */
export function imagesToDevice(images: StoredImages, unpadded: Float32Array, staged: Float32Array): void {
  forEachRow(images, (to, from, width) => {
    for (let i = 0; i < width; i++) staged[to + i * images.lanes] = unpadded[from + i]!;
  });
}

/** Gives the NCHW values of images read from the device. */
export function imagesToHost(images: StoredImages, staged: Float32Array): Float32Array {
  const unpadded = new Float32Array(sizeOf(images.shape));
  forEachRow(images, (from, to, width) => {
    for (let i = 0; i < width; i++) unpadded[to + i] = staged[from + i * images.lanes]!;
  });
  return unpadded;
}
