/** Crafts PNG files: chunks in any order and number, wrong lengths and checksums, and pixels that do not fit. */
import { constants, deflateSync, inflateSync } from 'node:zlib';
import { decodeImage, type RgbImage } from '@cnn/image';
import { bytesOf } from '@cnn/testing/weightFiles';
import type { Draw } from '../draw.js';
import {
  bigEndian,
  change,
  copies,
  crc32,
  damagedBytes,
  extreme,
  indexOf,
  joined,
  noise,
  rearrange,
  repetitions,
  wrong,
} from './damage.js';
import { exifBlock, xmpText } from './exif.js';
import { type Damage, format, NOTHING, require, type Size } from './format.js';

/** A chunk; its length and checksum are right unless they are stated. */
interface Chunk {
  type: string;
  data: Uint8Array;
  length?: number;
  crc?: number;
}

/** Largest number of pixels that is read. */
const MAX_PIXELS = 100_000_000;

/** Gives the size of a picture within the limit. */
export const sizeOfPixels = (pixels: number): Size =>
  pixels <= MAX_PIXELS ? { values: pixels, bytes: 3 * pixels } : NOTHING;

/** Checks a picture against the size in its header, in either orientation. */
export function sizeOfPicture({ width, height, data }: RgbImage, stated: readonly [number, number]): Size {
  const [long, short] = [Math.max(...stated), Math.min(...stated)];
  require(Math.max(width, height) === long && Math.min(width, height) === short, () =>
    `the header says ${stated.join(' x ')} pixels, the picture has ${width} x ${height}`);
  require(data.length === 3 * width * height, () =>
    `${width} x ${height} pixels come with ${data.length} bytes`);
  return sizeOfPixels(width * height);
}

/** Draws a width or height of a header: a large one seldom, since it takes as long as thousands of small ones. */
export const statedExtent = (draw: Draw): number =>
  draw.chance(0.99) ? draw.between(0, 40) : draw.pick([1000, 3000, 9999, 10_001, 65_535, wrong(draw, 4)]);

/** Colour types and the bits that their samples may have. */
const kinds = [
  [0, 1],
  [0, 2],
  [0, 4],
  [0, 8],
  [0, 16],
  [2, 8],
  [2, 16],
  [3, 1],
  [3, 2],
  [3, 4],
  [3, 8],
  [4, 8],
  [4, 16],
  [6, 8],
  [6, 16],
] as const;
const channels = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };

/** First column and row, and distances between them, of the passes of an interlaced picture. */
const passes = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
] as const;

function make(draw: Draw): Chunk[] {
  const [colour, depth] = draw.pick(kinds);
  const [width, height] = [draw.between(1, 20), draw.between(1, 20)];
  const isInterlaced = draw.chance(0.3);
  const rows: Uint8Array[] = [];
  for (const [left, top, stepX, stepY] of isInterlaced ? passes : [[0, 0, 1, 1] as const]) {
    const columns = Math.ceil((width - left) / stepX);
    const bytes = Math.ceil((columns * channels[colour] * depth) / 8);
    for (let y = top; columns > 0 && y < height; y += stepY)
      rows.push(bytesOf(draw.between(0, 4), noise(draw, bytes)));
  }
  const header = bytesOf(
    bigEndian(width, 4),
    bigEndian(height, 4),
    depth,
    colour,
    0,
    0,
    isInterlaced ? 1 : 0,
  );
  return [
    { type: 'IHDR', data: header },
    ...(draw.chance(0.3) ? [metadata(draw, true)] : []),
    ...(colour === 3 || draw.chance(0.1)
      ? [{ type: 'PLTE', data: noise(draw, 3 * 2 ** Math.min(depth, 8)) }]
      : []),
    ...(draw.chance(0.2) ? [{ type: 'tRNS', data: noise(draw, draw.between(0, 6)) }] : []),
    ...divided(deflated(bytesOf(...rows), draw), draw),
    ...(draw.chance(0.2) ? [metadata(draw, true)] : []),
    { type: 'IEND', data: new Uint8Array(0) },
  ];
}

const deflated = (bytes: Uint8Array, draw: Draw): Uint8Array =>
  deflateSync(bytes, {
    level: draw.pick([0, 1, 6, 9]),
    strategy: draw.pick([
      constants.Z_DEFAULT_STRATEGY,
      constants.Z_FIXED,
      constants.Z_HUFFMAN_ONLY,
      constants.Z_RLE,
    ]),
    windowBits: draw.between(9, 15),
    memLevel: draw.pick([1, 8]),
  });

/** Divides a stream into chunks. */
function divided(stream: Uint8Array, draw: Draw): Chunk[] {
  const cuts = Array.from({ length: draw.pick([0, 0, 1, 3]) }, () => indexOf(stream, draw)).sort(
    (a, b) => a - b,
  );
  return [...cuts, stream.length].map((end, i) => ({
    type: 'IDAT',
    data: stream.subarray(cuts[i - 1] ?? 0, end),
  }));
}

/** Makes a chunk that states an orientation, in one of the forms of Pillow and ImageMagick. */
function metadata(draw: Draw, isValid: boolean): Chunk {
  const isSound = isValid || draw.chance(0.7);
  const block = exifBlock(draw, isValid);
  const hex = (): string =>
    `\nexif\n${String(block.length).padStart(8)}\n${Buffer.from(block).toString('hex')}\n`;
  const [keyword, text] = draw.chance(0.5)
    ? ['Raw profile type exif', isSound ? hex() : '\n'.repeat(repetitions(draw, 100_000))]
    : ['XML:com.adobe.xmp', isSound ? xmpText(draw) : ' '.repeat(repetitions(draw, 4_000_000))];
  const stream = (): Uint8Array => (isSound ? deflateSync(text) : damagedBytes(deflateSync(text), draw));
  return draw.pick<() => Chunk>([
    () => ({ type: 'eXIf', data: block }),
    () => ({ type: 'tEXt', data: bytesOf(keyword, 0, text) }),
    () => ({ type: 'zTXt', data: bytesOf(keyword, 0, 0, stream()) }),
    () => ({ type: 'iTXt', data: bytesOf(keyword, 0, 0, 0, 'en\0\0', text) }),
    () => ({ type: 'iTXt', data: bytesOf(keyword, 0, 1, 0, 'en\0\0', stream()) }),
  ])();
}

const types = [
  'IHDR',
  'PLTE',
  'tRNS',
  'IDAT',
  'IEND',
  'eXIf',
  'tEXt',
  'zTXt',
  'iTXt',
  'iCCP',
  'gAMA',
  'acTL',
  'fcTL',
  'fdAT',
  'abcd',
  'ID\0T',
  '1234',
];

/** Replaces the stream of pixels, which may lie in several chunks. */
function replaceStream(chunks: Chunk[], draw: Draw, by: (stream: Uint8Array) => Uint8Array): void {
  const first = chunks.findIndex(({ type }) => type === 'IDAT');
  if (first < 0) return;
  const stream = joined(chunks.filter(({ type }) => type === 'IDAT').map(({ data }) => data));
  const others = chunks.filter(({ type }) => type !== 'IDAT');
  chunks.splice(
    0,
    chunks.length,
    ...others.slice(0, first),
    ...divided(by(stream), draw),
    ...others.slice(first),
  );
}

const sizeOf = ({ data }: Chunk): number => 12 + data.length;

const damages: readonly Damage<Chunk[]>[] = [
  (chunks, draw) => rearrange(chunks, draw, sizeOf),
  (chunks, draw) => rearrange(chunks, draw, sizeOf),
  // A field of the header, whose checksum is right.
  (chunks, draw) => {
    const header = chunks.find(({ type, data }) => type === 'IHDR' && data.length >= 13);
    if (!header) return;
    const [at, value] = draw.pick([
      [0, bigEndian(statedExtent(draw), 4)],
      [4, bigEndian(statedExtent(draw), 4)],
      [draw.between(8, 12), [draw.pick([0, 1, 2, 3, 4, 6, 8, 16, 255])]],
    ] as const);
    header.data = header.data.slice();
    header.data.set(value, at);
  },
  // Chunks of any type; many of them seldom.
  (chunks, draw) => {
    const chunk = draw.chance(0.5)
      ? metadata(draw, false)
      : { type: draw.pick(types), data: noise(draw, draw.between(0, 30)) };
    const count = copies(draw, sizeOf(chunk));
    chunks.splice(indexOf(chunks, draw), 0, ...Array<Chunk>(count).fill(chunk));
  },
  (chunks, draw) =>
    change(chunks, draw, (chunk) =>
      draw.pick<() => Chunk>([
        () => ({ ...chunk, length: wrong(draw, 4, chunk.data.length) }),
        () => ({ ...chunk, crc: Number(BigInt.asUintN(32, extreme(draw))) }),
        () => ({ ...chunk, type: draw.pick(types) }),
        () => ({ ...chunk, data: damagedBytes(chunk.data, draw) }),
      ])(),
    ),
  // The compressed stream.
  (chunks, draw) => replaceStream(chunks, draw, (stream) => damagedBytes(stream, draw)),
  // The rows within it: other filters, too few, too many, or zeros that inflate to megabytes.
  (chunks, draw) =>
    replaceStream(chunks, draw, (stream) => {
      try {
        const rows = draw.chance(0.98)
          ? damagedBytes(inflateSync(stream), draw)
          : new Uint8Array(2 ** draw.between(16, 24));
        return deflated(rows, draw);
      } catch {
        return deflated(noise(draw, 500), draw);
      }
    }),
];

const headerOf = (bytes: Uint8Array): readonly [number, number] => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return bytes.length < 24 ? [0, 0] : [view.getUint32(16), view.getUint32(20)];
};

export const png = format<Chunk[]>({
  name: 'PNG',
  signature: 8,
  make,
  damages,
  encode: (chunks) =>
    bytesOf(
      [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a],
      joined(
        chunks.map(({ type, data, length = data.length, crc = crc32(bytesOf(type, data)) }) =>
          bytesOf(bigEndian(length, 4), type, data, bigEndian(crc, 4)),
        ),
      ),
    ),
  read: async (bytes) => sizeOfPicture(await decodeImage(bytes, { upright: true }), headerOf(bytes)),
  stated: (bytes) => {
    const [width, height] = headerOf(bytes);
    return sizeOfPixels(width * height);
  },
});
