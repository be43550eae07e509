/** Crafts the metadata of pictures that state an orientation: EXIF and XMP. */
import { bytesOf, u16, u32 } from '@cnn/testing/weightFiles';
import type { Draw } from '../draw.js';
import { bigEndian, noise, wrong } from './damage.js';

/** Makes an EXIF block; one with a fault if `isValid` is false. */
export function exifBlock(draw: Draw, isValid: boolean): Uint8Array {
  const little = draw.chance(0.5);
  const short = (value: number) => (little ? u16(value) : bigEndian(value, 2));
  const long = (value: number) => (little ? u32(value) : bigEndian(value, 4));
  const maybe = (width: number, value: number): number =>
    isValid || draw.chance(0.7) ? value : wrong(draw, width, value);
  const entries = draw.between(1, 3);
  return bytesOf(
    draw.chance(0.5) ? 'Exif\0\0' : '',
    little ? 'II' : 'MM',
    short(maybe(2, 42)),
    long(maybe(4, 8)),
    short(maybe(2, entries)),
    ...Array.from({ length: entries }, (_, i) =>
      bytesOf(
        short(maybe(2, i === entries - 1 ? 0x0112 : 0x0100)),
        short(maybe(2, draw.pick([1, 3, 4]))),
        long(maybe(4, 1)),
        draw.chance(0.5) ? bytesOf(short(maybe(2, draw.between(0, 9))), 0, 0) : noise(draw, 4),
      ),
    ),
  );
}

/** Makes an XMP text. */
export const xmpText = (draw: Draw): string =>
  `<rdf ${draw.pick(['tiff:Orientation="', '<tiff:Orientation>', 'tiff:Orientation='])}${draw.between(0, 12)}"/>`.repeat(
    draw.between(0, 3),
  );
