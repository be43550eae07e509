import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { FileFormatError } from '@cnn/core';
import { random } from '@cnn/core/graph';
import { realData } from '@cnn/testing';
import { describe, expect, test } from 'vitest';
import {
  cropped,
  decodeImage,
  encodePng,
  imageFolder,
  imagenetLabels,
  imagenetPreset,
  type RgbImage,
  readCifar10,
  readIdx,
  readMnist,
  resize,
  transform,
} from './index.js';

const data = realData();
const hash = ({ data: bytes }: RgbImage): string => createHash('sha256').update(bytes).digest('hex');

const gradient: RgbImage = {
  width: 5,
  height: 3,
  data: Uint8Array.from({ length: 45 }, (_, i) => i * 5),
};

describe('PNG', () => {
  test('encoding and decoding gives the same picture', async () => {
    expect(await decodeImage(encodePng(gradient))).toEqual(gradient);
  });

  test('a file cut anywhere or with flipped bits gives a picture or a FileFormatError', async () => {
    const file = encodePng(gradient);
    const source = random(3);
    const broken = [
      ...Array.from(file, (_byte, length) => file.slice(0, length)),
      ...Array.from({ length: 300 }, () => {
        const copy = file.slice();
        copy[source.integer(copy.length)]! ^= 1 << source.integer(8);
        return copy;
      }),
    ];
    for (const bytes of broken)
      await decodeImage(bytes).catch((error: unknown) => {
        if (!(error instanceof FileFormatError)) throw error;
      });
  });

  test('a header that asks for too much is an error before memory is taken', async () => {
    const bomb = encodePng(gradient);
    new DataView(bomb.buffer, bomb.byteOffset).setUint32(16, 0x7fffffff);
    await expect(decodeImage(bomb)).rejects.toThrow(/over the limit/);
  });
});

test('a file that is neither JPEG nor PNG is refused', async () => {
  await expect(decodeImage(new TextEncoder().encode('GIF89a..'))).rejects.toThrow('neither JPEG nor PNG');
  await expect(decodeImage(new Uint8Array(0))).rejects.toThrow('it is empty');
});

describe('geometry', () => {
  test('resizing to the same size changes nothing, and a constant stays constant', () => {
    expect(resize(gradient, 5, 3)).toEqual(gradient);
    const flat = { width: 7, height: 9, data: new Uint8Array(189).fill(77) };
    expect(new Set(resize(flat, 4, 13, 'bicubic').data)).toEqual(new Set([77]));
  });

  test('impossible sizes are errors', () => {
    expect(() => resize(gradient, 0, 3)).toThrow('0 x 3');
    // A small file that would take all memory when resized.
    const line = { width: 1, height: 65_500, data: new Uint8Array(196_500) };
    expect(() => cropped(line, imagenetPreset)).toThrow(
      /1 x 65500 pixels is not resized to 256 x 16768000.* over the limit/,
    );
    expect(() => resize(line, 65_500, 1)).toThrow('over the limit');
  });

  test('normalisation is (x / 255 - mean) / std, by channel', () => {
    const white = { width: 300, height: 256, data: new Uint8Array(230_400).fill(255) };
    const x = transform(white, imagenetPreset);
    expect(x.shape).toEqual([1, 3, 224, 224]);
    expect(x.data[0]).toBeCloseTo((1 - 0.485) / 0.229, 6);
    expect(x.data[224 * 224]).toBeCloseTo((1 - 0.456) / 0.224, 6);
  });
});

describe('datasets', () => {
  const idx = (shape: readonly number[], values: readonly number[]): Uint8Array => {
    const header = new Uint8Array(4 + 4 * shape.length);
    header.set([0, 0, 8, shape.length]);
    for (const [i, extent] of shape.entries()) new DataView(header.buffer).setUint32(4 + 4 * i, extent);
    return Uint8Array.from([...header, ...values]);
  };

  test('IDX, plain and gzipped', async () => {
    const file = idx([2, 1, 2], [1, 2, 3, 4]);
    expect(await readIdx(file)).toEqual(await readIdx(gzipSync(file)));
    const set = await readMnist(file, idx([2], [7, 9]));
    expect([set.size, set.shape, [...set.at(1).pixels], set.at(1).label]).toEqual([2, [1, 1, 2], [3, 4], 9]);
    expect(() => set.at(2)).toThrow('There is no example 2');
  });

  test.each([
    ['a header that promises more', idx([2, 2], [1]), /2 x 2 bytes were promised/],
    ['another type', Uint8Array.of(0, 0, 13, 1, 0, 0, 0, 0), /0xd/],
    ['nothing', new Uint8Array(0), /four bytes/],
    ['broken gzip', Uint8Array.of(0x1f, 0x8b, 8, 0), /unpacked/],
  ])('%s is an error', async (_, file, message) => {
    await expect(readIdx(file)).rejects.toThrow(message);
  });

  test('a gzipped file is unpacked only as far as its header says', async () => {
    const zeros = new Uint8Array(2 ** 28);
    const bomb = (...header: readonly number[]): Uint8Array => {
      const bytes = zeros.slice();
      bytes.set(header);
      return gzipSync(bytes, { level: 1 });
    };
    const small = bomb(0, 0, 8, 1, 0, 0, 0, 9);
    const started = performance.now();
    await expect(readIdx(small)).rejects.toThrow('it unpacks to more than the 17 bytes of its contents');
    await expect(readIdx(gzipSync(zeros.subarray(0, 2 ** 20)))).rejects.toThrow('type 0x0');
    await expect(readIdx(gzipSync(idx([40_000, 20_000], [])))).rejects.toThrow(/cannot hold/);
    await expect(readIdx(gzipSync(idx([2 ** 31, 2 ** 31], [])))).rejects.toThrow('over the limit');
    expect(performance.now() - started).toBeLessThan(500);
    const signal = AbortSignal.abort();
    await expect(readIdx(small, { signal })).rejects.toThrow(/abort/);
  });

  test('labels out of range and files that do not belong together', async () => {
    await expect(readMnist(idx([1, 1, 1], [0]), idx([1], [10]))).rejects.toThrow(
      'the label of example 0 is 10',
    );
    await expect(readMnist(idx([1, 1, 1], [0]), idx([2], [1, 2]))).rejects.toThrow(
      '1 images come with 2 labels',
    );
    expect(() => readCifar10(new Uint8Array(3072))).toThrow('3072 bytes');
    expect(() => readCifar10('data_batch_1.bin' as never)).toThrow(TypeError);
  });

  test('a folder that is missing', async () => {
    await expect(imageFolder('/no/such/folder')).rejects.toThrow('Cannot list the folder /no/such/folder');
  });
});

test('there are 1000 labels', () => {
  expect(imagenetLabels.length).toBe(1000);
  expect(imagenetLabels[0]).toBe('tench');
});

interface Fact {
  readonly file: string;
  readonly pillowRgbSha256?: string;
  readonly pillowError?: string;
}

/** Files that Pillow decodes and `decodeImage` refuses, with the reason in the error. */
const refused: Readonly<Record<string, RegExp>> = {
  'odd/jpegdec-ref/ycck.jpg': /CMYK/,
  'odd/jpegdec-crash/imagetestsuite__4838ece0d3900220d33528ee027289bc.jpg': /stray bytes/,
  'odd/jpegdec-crash/imagetestsuite__5482a54657765056f1a94116a8dbffe7.jpg': /stray bytes/,
  'odd/jpegdec-crash/imagetestsuite__8a9cc8eeed66aeb423a91c44111d9450.jpg': /cut short/,
  'odd/jpegdec-crash/imagetestsuite__f6b4389c3cf0f5997b2e5a4b905aea8d.jpg': /stray bytes/,
  'odd/ljt/testimgari.jpg': /arithmetic/,
  'odd/sharp/Channel_digital_image_CMYK_color.jpg': /CMYK/,
};

/** Files that Pillow refuses for harmless damage. */
const harmless = new Set([
  // The checksums of its cLLI and mDCV chunks are wrong, which decide no pixels.
  'odd/image-png/bugfixes__cicp_pq.png',
]);

/** Crafted files whose coefficients overflow: the standard does not define their pixels, and decoders differ. */
const undefinedByStandard = new Set([
  'odd/jpegdec-crash/dc-predictor-overflow.jpg',
  'odd/jpegdec-crash/imagetestsuite__8e5e74dbf9b68a322fbb9512db837329.jpg',
]);

describe.skipIf(!data)('real pictures (skipped where the data is absent)', () => {
  const read = <T>(file: string): T => JSON.parse(readFileSync(join(data!, file), 'utf8')) as T;

  test("359 odd files give Pillow's pixels or a clear error", { timeout: 120_000 }, async () => {
    const facts = read<readonly Fact[]>('odd/decode-facts.json');
    expect(facts.length).toBe(359);
    for (const { file, pillowRgbSha256, pillowError } of facts) {
      const result = await decodeImage(readFileSync(join(data!, file))).catch(
        (error: unknown) => error as Error,
      );
      if (result instanceof Error) {
        expect(result, file).toBeInstanceOf(FileFormatError);
        expect(harmless.has(file), file).toBe(false);
        if (!pillowError)
          expect(result.message, file).toMatch(refused[file] ?? /gives no picture and no reason/);
      } else if (!undefinedByStandard.has(file) && !harmless.has(file))
        expect(hash(result), file).toBe(pillowRgbSha256);
    }
  });

  test("109 photos, resized and cropped, are Pillow's bit for bit", { timeout: 120_000 }, async () => {
    const { results } = read<{ results: readonly { file: string; cropSha256: string }[] }>(
      'expected/mobilenetv1_025_photos.json',
    );
    expect(results.length).toBe(109);
    for (const { file, cropSha256 } of results) {
      const image = await decodeImage(readFileSync(join(data!, file)));
      expect(hash(cropped(image, imagenetPreset)), file).toBe(cropSha256);
    }
  });
});

test('transform names a preset that is missing, or is none', () => {
  const picture = { width: 1, height: 1, data: new Uint8Array(3) };
  expect(() => transform(picture, undefined as never)).toThrow(
    'A preset is an object such as imagenetPreset, with the lists mean and std, got undefined.',
  );
  expect(() => transform(picture, { resize: 256 } as never)).toThrow('mean and std, got one without them.');
});
