/**
 * Crafts JPEG files: the tables and headers are right, the coded data random, which decodes to a picture of noise. Then
 * tables, headers, scans and their order are damaged.
 */
import { decodeImage } from '@cnn/image';
import { bytesOf } from '@cnn/testing/weightFiles';
import type { Draw } from '../draw.js';
import {
  bigEndian,
  change,
  damagedBytes,
  indexOf,
  joined,
  noise,
  rearrange,
  repetitions,
  wrong,
} from './damage.js';
import { exifBlock, xmpText } from './exif.js';
import { type Damage, format, type Size } from './format.js';
import { sizeOfPicture, sizeOfPixels, statedExtent } from './png.js';

/** A marker and its segment, whose length is right unless it is stated. */
interface Segment {
  marker: number;
  /** Undefined for markers without a segment. */
  data?: Uint8Array;
  length?: number;
  /** Coded data after the segment of a scan. */
  coded?: Uint8Array;
}

const [SOF0, SOF2, DHT, EOI, SOS, DQT, DNL, DRI, APP0, APP1, APP14, COM] = [
  0xc0, 0xc2, 0xc4, 0xd9, 0xda, 0xdb, 0xdc, 0xdd, 0xe0, 0xe1, 0xee, 0xfe,
] as const;

/** Makes a Huffman table: two short codes for the first symbols, and codes of 8 bits for all others. */
const huffman = (id: number, symbols: readonly number[]): Segment => ({
  marker: DHT,
  data: bytesOf(
    id,
    Array.from({ length: 16 }, (_, i) => (i === 1 ? 2 : i === 7 ? symbols.length - 2 : 0)),
    symbols,
  ),
});

/** Draws coded data, in which a zero follows each 255, and restart markers. */
function coded(draw: Draw, length: number): Uint8Array {
  const bytes = noise(draw, length).map((byte) => (byte === 0xff ? 0 : byte));
  const restarts = draw.chance(0.2) ? draw.between(1, 9) : 0;
  return bytesOf(
    bytes,
    ...Array.from({ length: restarts }, (_, i) =>
      bytesOf(0xff, 0xd0 + (i & 7), bytes.subarray(0, draw.between(0, 20))),
    ),
  );
}

/** Makes a scan. @param range - first and last coefficient, and the bit positions before and after it. */
const scan = (
  draw: Draw,
  components: readonly number[],
  range: readonly [number, number, number, number],
): Segment => ({
  marker: SOS,
  data: bytesOf(
    components.length,
    ...components.map((id) => bytesOf(id, draw.pick([0x00, 0x11]))),
    range[0],
    range[1],
    16 * range[2] + range[3],
  ),
  coded: coded(draw, draw.between(0, 120)),
});

function progressiveScans(draw: Draw, components: readonly number[]): Segment[] {
  const ac = (range: readonly [number, number, number, number]) =>
    components.map((id) => scan(draw, [id], range));
  return [
    scan(draw, components, [0, 0, 0, 1]),
    ...ac([1, 5, 0, 2]),
    ...ac([6, 63, 0, 2]),
    ...ac([1, 63, 2, 1]),
    scan(draw, components, [0, 0, 1, 0]),
    ...ac([1, 63, 1, 0]),
  ].slice(0, draw.between(1, 12));
}

/** Segments that hold no pixels. */
const extras: readonly ((draw: Draw) => Segment)[] = [
  (draw) => ({ marker: APP1, data: bytesOf('Exif\0\0', exifBlock(draw, false)) }),
  (draw) => ({ marker: APP1, data: bytesOf('http://ns.adobe.com/xap/1.0/\0', xmpText(draw)) }),
  (draw) => ({ marker: APP14, data: bytesOf('Adobe', 0, 100, 0, 0, 0, 0, draw.between(0, 3)) }),
  (draw) => ({ marker: APP0, data: bytesOf('JFIF\0', noise(draw, draw.between(0, 12))) }),
  (draw) => ({ marker: draw.pick([COM, APP0 + 2, DNL, 0xcc, 0xf0]), data: noise(draw, draw.between(0, 40)) }),
  (draw) => ({ marker: draw.pick([0, 1, 0xd0, 0xd7, 0xd8, EOI, 0xff]) }),
];

function make(draw: Draw): Segment[] {
  const isProgressive = draw.chance(0.4);
  const components = draw.pick([[1], [1, 2, 3]]);
  const sampling = draw.pick([0x11, 0x11, 0x21, 0x22, 0x12, 0x41]);
  const table = (id: number): Segment => ({
    marker: DQT,
    data: bytesOf(
      id,
      noise(draw, 64).map((value) => Math.max(1, value)),
    ),
  });
  // The first code ends a block, or a run of 16,384 blocks and more.
  const ac = (id: number): Segment =>
    huffman(id, [draw.pick([0, 0xe0]), 1, ...noise(draw, draw.between(1, 120))]);
  const interleaved = draw.chance(0.7);
  return [
    ...(draw.chance(0.3) ? [draw.pick(extras.slice(0, 4))(draw)] : []),
    table(0),
    table(1),
    {
      marker: isProgressive ? SOF2 : draw.pick([SOF0, SOF0 + 1]),
      data: bytesOf(
        8,
        bigEndian(draw.between(1, 40), 2),
        bigEndian(draw.between(1, 40), 2),
        components.length,
        ...components.map((id) => bytesOf(id, id === 1 ? sampling : 0x11, id === 1 ? 0 : 1)),
      ),
    },
    ...[0x00, 0x01].map((id) => huffman(id, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])),
    ...[0x10, 0x11].map(ac),
    ...(draw.chance(0.2) ? [{ marker: DRI, data: bytesOf(bigEndian(draw.between(0, 5), 2)) }] : []),
    ...(isProgressive
      ? progressiveScans(draw, components)
      : interleaved
        ? [scan(draw, components, [0, 63, 0, 0])]
        : components.map((id) => scan(draw, [id], [0, 63, 0, 0]))),
    { marker: EOI },
  ];
}

const isFrame = ({ marker }: Segment): boolean => marker >= SOF0 && marker <= SOF2;

/** Damages the segment of one kind, whose length stays. */
const within =
  (isKind: (segment: Segment) => boolean, spoil: (data: Uint8Array, draw: Draw) => void): Damage<Segment[]> =>
  (segments, draw) => {
    const found = segments.filter((segment) => isKind(segment) && segment.data && segment.data.length > 5);
    if (found.length === 0) return;
    const segment = draw.pick(found);
    segment.data = segment.data!.slice();
    spoil(segment.data, draw);
  };

const lengthOf = ({ data, coded }: Segment): number => 4 + (data?.length ?? 0) + (coded?.length ?? 0);

const damages: readonly Damage<Segment[]>[] = [
  (segments, draw) => rearrange(segments, draw, lengthOf),
  (segments, draw) => rearrange(segments, draw, lengthOf),
  // The frame: size, precision, number of components, sampling, tables, kind.
  within(isFrame, (data, draw) => data.set(bigEndian(statedExtent(draw), 2), draw.pick([1, 3]))),
  within(isFrame, (data, draw) => {
    data[draw.pick([0, 5, 6, 7, 8, 10, 11, 14].filter((i) => i < data.length))] = draw.pick([
      0, 1, 2, 3, 4, 8, 12, 0x14, 0x22, 0x44, 0xff,
    ]);
  }),
  (segments, draw) => {
    for (const segment of segments) if (isFrame(segment)) segment.marker = draw.between(SOF0, 0xcf);
  },
  // A scan: components, tables, range of coefficients and bits.
  within(
    ({ marker }) => marker === SOS,
    (data, draw) => {
      data[indexOf(data, draw)] = draw.pick([0, 1, 2, 3, 4, 13, 0x11, 0x22, 63, 64, 0xff]);
    },
  ),
  within(
    ({ marker }) => marker === DHT,
    (data, draw) => {
      data[draw.chance(0.7) ? draw.between(0, 16) : indexOf(data, draw)] = draw.pick([
        0, 1, 2, 0x10, 0x14, 0xff,
      ]);
    },
  ),
  within(
    ({ marker }) => marker === DQT,
    (data, draw) => {
      data[draw.chance(0.5) ? 0 : indexOf(data, draw)] = draw.between(0, 255);
    },
  ),
  // More scans, without data or with runs of blocks; thousands of them seldom.
  (segments, draw) => {
    const id = draw.between(1, 3);
    const range = draw.pick<readonly [number, number, number, number]>([
      [0, 0, 1, 0],
      [1, 63, 0, 0],
      [1, 63, 1, 0],
      [0, 63, 0, 0],
    ]);
    const next = {
      ...scan(draw, [id], range),
      coded: bytesOf(...draw.pick([[], [0x3f, 0xfe], [0x3f, 0xfe, 0x3f, 0xfe]])),
    };
    const count = repetitions(draw, 5000);
    segments.splice(-1, 0, ...Array<Segment>(count).fill(next));
    const frame = segments.find(isFrame);
    if (count > 20 && frame?.data && draw.chance(0.3))
      frame.data = bytesOf(8, 3, 232, 3, 232, frame.data.subarray(5));
  },
  (segments, draw) => {
    segments.splice(
      indexOf(segments, draw),
      0,
      ...Array<Segment>(repetitions(draw, 3000)).fill(draw.pick(extras)(draw)),
    );
  },
  (segments, draw) => {
    segments.splice(indexOf(segments, draw), 0, {
      marker: DRI,
      data: bytesOf(bigEndian(draw.pick([0, 1, 2, 0xffff]), 2)),
    });
  },
  (segments, draw) =>
    change(segments, draw, (segment) =>
      draw.pick<() => Segment>([
        () => ({ ...segment, length: wrong(draw, 2, 2 + (segment.data?.length ?? 0)) }),
        () => ({ ...segment, data: damagedBytes(segment.data ?? new Uint8Array(4), draw) }),
        () => ({ ...segment, coded: damagedBytes(segment.coded ?? noise(draw, 9), draw) }),
        () => ({ ...segment, marker: draw.between(0, 255) }),
      ])(),
    ),
];

/** Finds height and width in the first frame header; zeros without one. */
function frameOf(bytes: Uint8Array): readonly [number, number] {
  for (let at = 2; at + 9 <= bytes.length && bytes[at] === 0xff; ) {
    const code = bytes[at + 1]!;
    const isBare = code < 2 || (code >= 0xd0 && code <= 0xd8);
    if (code >= SOF0 && code <= SOF2)
      return [bytes[at + 5]! * 256 + bytes[at + 6]!, bytes[at + 7]! * 256 + bytes[at + 8]!];
    at += code === 0xff ? 1 : isBare ? 2 : 2 + bytes[at + 2]! * 256 + bytes[at + 3]!;
  }
  return [0, 0];
}

/**
 * Gives the size of a picture within the limit. The decoder's own results count as half of its: 6 bytes a pixel of
 * coefficients, and 4 of red, green, blue and alpha, twice.
 */
const sizeOf = (pixels: number): Size => {
  const { values, bytes } = sizeOfPixels(pixels);
  return { values, bytes: bytes + 7 * values };
};

export const jpeg = format<Segment[]>({
  name: 'JPEG',
  signature: 2,
  make,
  damages,
  encode: (segments) =>
    bytesOf(
      [0xff, 0xd8],
      joined(
        segments.map(({ marker, data, length = 2 + (data?.length ?? 0), coded = [] }) =>
          bytesOf(0xff, marker, data ? bytesOf(bigEndian(length, 2), data) : [], coded),
        ),
      ),
    ),
  async read(bytes) {
    const { values } = sizeOfPicture(await decodeImage(bytes, { upright: true }), frameOf(bytes));
    return sizeOf(values);
  },
  stated: (bytes) => {
    const [height, width] = frameOf(bytes);
    return sizeOf(height * width);
  },
});
