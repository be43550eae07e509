/** PNG files made chunk by chunk: damage that does not matter, damage that does, and files that claim too much. */
import { constants, crc32, deflateSync } from 'node:zlib';
import { FileFormatError } from '@cnn/core';
import { cpuTime } from '@cnn/testing/cpuTime';
import { describe, expect, test } from 'vitest';
import { decodeImage, type RgbImage } from './index.js';
import { upright } from './orientation.js';

function chunk(type: string, data: Uint8Array | readonly number[] = [], { crc = 0 } = {}): Buffer {
  const typed = Buffer.concat([Buffer.from(type, 'latin1'), Uint8Array.from(data)]);
  const bytes = Buffer.alloc(typed.length + 8);
  bytes.writeUInt32BE(data.length);
  typed.copy(bytes, 4);
  bytes.writeUInt32BE((crc32(typed) ^ crc) >>> 0, typed.length + 4);
  return bytes;
}

const header = (width: number, height: number, depth = 8, colourType = 2, interlace = 0): Buffer => {
  const data = Buffer.alloc(13);
  data.writeUInt32BE(width);
  data.writeUInt32BE(height, 4);
  data.set([depth, colourType, 0, 0, interlace], 8);
  return chunk('IHDR', data);
};
const idat = (rows: readonly number[] | Uint8Array): Buffer =>
  chunk('IDAT', deflateSync(Uint8Array.from(rows)));
const end = chunk('IEND');
const signature = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1');
const png = (...chunks: readonly Uint8Array[]): Uint8Array =>
  new Uint8Array(Buffer.concat([signature, ...chunks]));
const text = (type: string, content: string): Buffer => chunk(type, Buffer.from(content, 'latin1'));
const pixels = ({ data }: RgbImage): number[] => [...data];

/** Two pixels, red and green. */
const red = [0, 255, 0, 0, 0, 255, 0];
const redPixels = red.slice(1);

describe('harmless damage', () => {
  test.each<readonly [string, readonly Uint8Array[], readonly Uint8Array[]]>([
    ['a keyword of 80 characters', [text('tEXt', `${'k'.repeat(80)}\0text`)], []],
    ['a text without keyword', [text('tEXt', '')], []],
    ['a colour profile that is none', [text('iCCP', 'garbage')], []],
    ['a compressed text that is none', [text('zTXt', 'Raw profile type exif\0\0garbage')], []],
    ['an EXIF block that is none', [text('eXIf', 'MM')], [text('eXIf', 'garbage of some length')]],
    ['a wrong checksum of a text', [chunk('tEXt', [65, 0, 66], { crc: 1 })], []],
    ['a wrong checksum of IDAT, whose data has one of its own', [], []],
    ['transparency of a wrong length', [chunk('tRNS', [1])], []],
    ['a palette of a wrong length in a picture of true colours', [chunk('PLTE', [1, 2])], []],
    ['a resolution of a wrong length', [chunk('pHYs', [1])], []],
    ['unknown chunks, also critical ones', [chunk('CrIt'), chunk('nONE')], [chunk('fUNs', [1])]],
    ['20,000 empty transparencies', Array.from({ length: 20_000 }, () => chunk('tRNS')), []],
    ['garbage after the pixels', [], [Buffer.from('0123456789abcdef')]],
  ])('%s', async (name, before, after) => {
    const data = name.includes('IDAT')
      ? chunk('IDAT', deflateSync(Uint8Array.from(red)), { crc: 1 })
      : idat(red);
    for (const last of [[end], []])
      expect(pixels(await decodeImage(png(header(2, 1), ...before, data, ...after, ...last)))).toEqual(
        redPixels,
      );
  });

  test('transparency before the palette', async () => {
    const file = png(
      header(2, 1, 8, 3),
      chunk('tRNS', [0, 9]),
      chunk('PLTE', [1, 2, 3, 4, 5, 6]),
      idat([0, 1, 0]),
      end,
    );
    expect(pixels(await decodeImage(file))).toEqual([4, 5, 6, 1, 2, 3]);
  });

  test('pixels in many chunks, and bytes after their stream', async () => {
    const stream = [...deflateSync(Uint8Array.from(red)), 1, 2, 3, 4];
    const file = png(header(2, 1), ...stream.map((byte) => chunk('IDAT', [byte])), chunk('IDAT'), end);
    expect(pixels(await decodeImage(file))).toEqual(redPixels);
  });
});

test('a palette in a grey picture is ignored', async () => {
  const palette = chunk('PLTE', new Uint8Array(768).fill(77));
  expect(pixels(await decodeImage(png(header(2, 1, 8, 0), palette, idat([0, 9, 200]), end)))).toEqual([
    9, 9, 9, 200, 200, 200,
  ]);
  expect(pixels(await decodeImage(png(header(2, 1, 4, 0), palette, idat([0, 0x3f]), end)))).toEqual([
    51, 51, 51, 255, 255, 255,
  ]);
});

test('interlaced pictures of every depth are the same as others', async () => {
  const [width, height] = [11, 9];
  const value = (x: number, y: number): number => (x * 3 + y * 5) % 2;
  const packed = (left: number, top: number, stepX: number, stepY: number): number[] => {
    const rows: number[] = [];
    for (let y = top; y < height && left < width; y += stepY) {
      const row = [0];
      for (let x = left, bit = 0; x < width; x += stepX, bit++) {
        if (bit % 8 === 0) row.push(0);
        row[row.length - 1]! |= value(x, y) << (7 - (bit % 8));
      }
      rows.push(...row);
    }
    return rows;
  };
  const passes = [
    packed(0, 0, 8, 8),
    packed(4, 0, 8, 8),
    packed(0, 4, 4, 8),
    packed(2, 0, 4, 4),
    packed(0, 2, 2, 4),
    packed(1, 0, 2, 2),
    packed(0, 1, 1, 2),
  ];
  const plain = await decodeImage(png(header(width, height, 1, 0), idat(packed(0, 0, 1, 1)), end));
  const interlaced = await decodeImage(png(header(width, height, 1, 0, 1), idat(passes.flat()), end));
  expect(interlaced).toEqual(plain);
  expect(plain.data[3 * (2 * width + 3)]).toBe(255 * value(3, 2));
});

test('rows longer than a segment are decoded as others', async () => {
  const width = 100_003;
  const row = Uint8Array.from({ length: 3 * width }, (_, i) => (i * 7) % 251);
  for (const filter of [0, 1, 3, 4]) {
    const filtered = row.map((byte, i) => {
      const left = i < 3 ? 0 : row[i - 3]!;
      return byte - (filter === 0 ? 0 : filter === 3 ? left >> 1 : left);
    });
    const { data } = await decodeImage(
      png(header(width, 1), idat(Uint8Array.from([filter, ...filtered])), end),
    );
    expect(Buffer.compare(data, row)).toBe(0);
  }
});

describe('orientation', () => {
  const exif = (orientation: number): Buffer =>
    Buffer.from(
      `4d4d002a00000008000101120003000000010${orientation.toString(16).padStart(3, '0')}000000000000`,
      'hex',
    );
  const profile = (orientation: number): string =>
    `\nexif\n      32\n45786966000${exif(orientation).toString('hex').replace(/^/, '0')}\n`;
  const xmp = 'XML:com.adobe.xmp\0\0\0\0\0<rdf tiff:Orientation="6"/>';
  const compressedXmp = Buffer.concat([
    Buffer.from('XML:com.adobe.xmp\0\x01\0en\0\0', 'latin1'),
    deflateSync('<tiff:Orientation>6</tiff:Orientation>'),
  ]);

  test.each([
    ['eXIf', chunk('eXIf', exif(6))],
    ['ImageMagick’s text', text('tEXt', `Raw profile type exif\0${profile(6)}`)],
    [
      'ImageMagick’s compressed text',
      chunk(
        'zTXt',
        Buffer.concat([Buffer.from('Raw profile type exif\0\0', 'latin1'), deflateSync(profile(6))]),
      ),
    ],
    ['XMP', text('iTXt', xmp)],
    ['compressed XMP', chunk('iTXt', compressedXmp)],
  ])('of %s is applied with `upright`, before and after the pixels', async (_, metadata) => {
    const [first, last] = [
      png(header(2, 1), metadata, idat(red), end),
      png(header(2, 1), idat(red), metadata, end),
    ];
    for (const file of [first, last]) {
      const image = await decodeImage(file, { upright: true });
      expect([image.width, image.height, pixels(image)]).toEqual([1, 2, redPixels]);
      expect((await decodeImage(file)).width).toBe(2);
    }
    const mirrored = await decodeImage(png(header(2, 1), chunk('eXIf', exif(2)), metadata, idat(red), end), {
      upright: true,
    });
    expect(pixels(mirrored)).toEqual([0, 255, 0, 255, 0, 0]);
  });
});

const rows = (count: number): number[] => Array.from({ length: count }, () => red).flat();

test.each<readonly [string, Uint8Array, RegExp]>([
  ['two headers', png(header(2, 1), header(60_000, 60_000), idat(red), end), /two headers/],
  ['a small header after a large one', png(header(2, 9), header(2, 1), idat(red), end), /two headers/],
  [
    'two palettes',
    png(header(1, 1, 8, 3), chunk('PLTE', [1, 2, 3]), chunk('PLTE', [1, 2, 3])),
    /two palettes/,
  ],
  [
    'a large palette',
    png(header(1, 1, 8, 3), chunk('PLTE', new Uint8Array(60_000))),
    /60000 bytes; palettes have 1/,
  ],
  ['half a colour', png(header(1, 1, 8, 3), chunk('PLTE', [1, 2])), /palette has 2 bytes/],
  [
    'no palette',
    png(header(1, 1, 8, 3), idat([0, 0]), chunk('PLTE', [1, 2, 3]), end),
    /palette \(PLTE\), which is missing/,
  ],
  ['a damaged palette', png(header(1, 1, 8, 3), chunk('PLTE', [1, 2, 3], { crc: 1 })), /PLTE chunk is wrong/],
  [
    'a damaged header',
    png(chunk('IHDR', [...header(2, 1).subarray(8, 21)], { crc: 1 }), idat(red)),
    /IHDR chunk is wrong/,
  ],
  ['a depth of 3', png(header(2, 1, 3, 0), idat(red)), /colour type 0 with 3 bits/],
  ['a colour type of 5', png(header(2, 1, 8, 5), idat(red)), /colour type 5/],
  ['an interlace method of 2', png(header(2, 1, 8, 2, 2), idat(red)), /interlace method 2/],
  ['no pixels', png(header(2, 1), end), /no pixels/],
  ['a filter of 5', png(header(2, 1), idat([5, ...redPixels]), end), /filter 5/],
  [
    'a stream that is none',
    png(header(2, 1), chunk('IDAT', [1, 2, 3]), end),
    /damaged: it does not begin with a zlib header/,
  ],
  ['data of one row of two', png(header(2, 2), idat(red), end), /cut short: its data ends in row 2 of 2/],
  ['data that ends in the last row', png(header(2, 2), idat(rows(2).slice(0, -1)), end), /in row 2 of 2/],
  ['a file cut in the last row', png(header(2, 2), idat(rows(2))).slice(0, -8 - 6), /cut short|in row/],
  ['a size that its data cannot have', png(header(9999, 9999), idat(red), end), /too few for 9999 x 9999/],
])('%s is refused', async (_, file, message) => {
  const error: unknown = await decodeImage(file).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(FileFormatError);
  expect((error as Error).message).toMatch(message);
});

test('a wrong zlib checksum is refused', async () => {
  const stream = deflateSync(Uint8Array.from(red));
  stream[stream.length - 1]! ^= 1;
  await expect(decodeImage(png(header(2, 1), chunk('IDAT', stream), end))).rejects.toThrow(
    'its checksum is wrong',
  );
});

test('no more is inflated than the picture needs, and nothing of a colour profile', async () => {
  const gigabyte = deflateSync(new Uint8Array(2 ** 28), { level: 9 });
  const profile = chunk('iCCP', Buffer.concat([Buffer.from('name\0\0', 'latin1'), gigabyte]));
  const before = process.memoryUsage().rss;
  const started = performance.now();
  const image = await decodeImage(png(header(1, 1), profile, chunk('IDAT', gigabyte), end));
  expect(pixels(image)).toEqual([0, 0, 0]);
  expect(performance.now() - started).toBeLessThan(500);
  expect(process.memoryUsage().rss - before).toBeLessThan(2 ** 26);
});

test('of many compressed texts with one keyword, one is inflated', async () => {
  // A text of 200 kB, and then a block of an unknown kind.
  const stream = deflateSync(new Uint8Array(200_000), { finishFlush: constants.Z_FULL_FLUSH });
  const keyword = Buffer.from('Raw profile type exif\0\0', 'latin1');
  const damaged = chunk('zTXt', Buffer.concat([keyword, stream, Uint8Array.of(7)]));
  const file = png(header(2, 1), ...Array<Buffer>(4000).fill(damaged), idat(red), end);
  const started = performance.now();
  expect(pixels(await decodeImage(file, { upright: true }))).toEqual(redPixels);
  expect(performance.now() - started).toBeLessThan(2000);
});

test('an abort stops decoding', async () => {
  const side = 9000;
  const file = png(
    header(side, side),
    chunk('IDAT', deflateSync(new Uint8Array((3 * side + 1) * side), { level: 1 })),
  );
  const started = performance.now();
  await expect(decodeImage(file, { signal: AbortSignal.timeout(100) })).rejects.toThrow(/timeout|aborted/i);
  expect(performance.now() - started).toBeLessThan(1000);
});

test('a picture of one column is decoded in the time of its pixels, and its damage is found by row', async () => {
  // Lines of a filter and a grey pixel: filter 1 in each.
  const lines = new Uint8Array(2 * 5_000_000).fill(1);
  const file = png(header(1, 5_000_000, 8, 0), idat(lines), end);
  const before = cpuTime();
  const { data } = await decodeImage(file);
  // The promise of SECURITY.md, with the file of 10 kB.
  expect(cpuTime() - before).toBeLessThan(1120);
  expect(data.every((value) => value === 1)).toBe(true);
  const cut = png(header(1, 5_000_000, 8, 0), idat(lines.subarray(0, 2 * 4_321_000)), end);
  await expect(decodeImage(cut)).rejects.toThrow('its data ends in row 4321001 of 5000000');
});

test('turning a picture upright hears its signal', async () => {
  const picture = { width: 3000, height: 3000, data: new Uint8Array(27_000_000) };
  await expect(upright(picture, 6, AbortSignal.timeout(1))).rejects.toThrow('timeout');
});

test('options of wrong kinds are named', async () => {
  const file = png(header(2, 1), idat(red), end);
  await expect(decodeImage(file, { signal: {} as AbortSignal })).rejects.toThrow(
    "The option 'signal' is an AbortSignal, got a plain object.",
  );
  expect(pixels(await decodeImage(file, null as never))).toEqual(redPixels);
  expect(pixels(await decodeImage(file, { limits: null as never }))).toEqual(redPixels);
});
