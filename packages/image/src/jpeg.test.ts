/** JPEG without data files: two pictures of 20x12 pixels that Pillow 9.4 wrote, and the hash of the pixels it reads. */
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { FileFormatError } from '@cnn/core';
import { random } from '@cnn/core/graph';
import { describe, expect, test, vi } from 'vitest';
import { decodeImage, type RgbImage } from './index.js';
import { jpegAdvice } from './jpegAdvice.js';

const bytesOf = (base64: string): Uint8Array => new Uint8Array(Buffer.from(base64, 'base64'));
const baseline = bytesOf(
  '/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAA0JCgsKCA0LCgsODg0PEyAVExISEyccHhcgLikxMC4pLSwzOko+MzZGNywtQFdBRkxOUlNSMj5aYVpQYEpRUk//2wBDAQ4ODhMREyYVFSZPNS01T09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT0//wAARCAAMABQDASIAAhEBAxEB/8QAHwAAAQUBAQEBAQEAAAAAAAAAAAECAwQFBgcICQoL/8QAtRAAAgEDAwIEAwUFBAQAAAF9AQIDAAQRBRIhMUEGE1FhByJxFDKBkaEII0KxwRVS0fAkM2JyggkKFhcYGRolJicoKSo0NTY3ODk6Q0RFRkdISUpTVFVWV1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJipKTlJWWl5iZmqKjpKWmp6ipqrKztLW2t7i5usLDxMXGx8jJytLT1NXW19jZ2uHi4+Tl5ufo6erx8vP09fb3+Pn6/8QAHwEAAwEBAQEBAQEBAQAAAAAAAAECAwQFBgcICQoL/8QAtREAAgECBAQDBAcFBAQAAQJ3AAECAxEEBSExBhJBUQdhcRMiMoEIFEKRobHBCSMzUvAVYnLRChYkNOEl8RcYGRomJygpKjU2Nzg5OkNERUZHSElKU1RVVldYWVpjZGVmZ2hpanN0dXZ3eHl6goOEhYaHiImKkpOUlZaXmJmaoqOkpaanqKmqsrO0tba3uLm6wsPExcbHyMnK0tPU1dbX2Nna4uPk5ebn6Onq8vP09fb3+Pn6/9oADAMBAAIRAxEAPwDkrfSeny1qW+j5x8tb9rbRcfLWva2sXHy15cKzqbnNgcymrHMpo3y/doruo7WHYPlorp9kj6OOaTsf/9k=',
);
const progressive = bytesOf(
  '/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAA0JCgsKCA0LCgsODg0PEyAVExISEyccHhcgLikxMC4pLSwzOko+MzZGNywtQFdBRkxOUlNSMj5aYVpQYEpRUk//2wBDAQ4ODhMREyYVFSZPNS01T09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT0//wgARCAAMABQDASIAAhEBAxEB/8QAFgABAQEAAAAAAAAAAAAAAAAABQAE/8QAFgEBAQEAAAAAAAAAAAAAAAAAAwQF/9oADAMBAAIQAxAAAAEjUhrlIydk0v/EABgQAAMBAQAAAAAAAAAAAAAAAAABAgMT/9oACAEBAAEFApyJxOJMomUKUf/EABcRAAMBAAAAAAAAAAAAAAAAAAABBAP/2gAIAQMBAT8BwpYqmf/EABcRAAMBAAAAAAAAAAAAAAAAAAABEgL/2gAIAQIBAT8BW6JP/8QAFBABAAAAAAAAAAAAAAAAAAAAIP/aAAgBAQAGPwJf/8QAGhABAAIDAQAAAAAAAAAAAAAAADFRARFhIf/aAAgBAQABPyHi4MeIVFZpw//aAAwDAQACAAMAAAAQ1+//xAAWEQEBAQAAAAAAAAAAAAAAAAAAEQH/2gAIAQMBAT8QwxC//8QAFxEBAAMAAAAAAAAAAAAAAAAAAAERMf/aAAgBAgEBPxCbSr//xAAYEAADAQEAAAAAAAAAAAAAAAAAESEQMf/aAAgBAQABPxDgGLGRiEIR/9k=',
);
const pixels = 'edf2623651950cd04e054579103b2533f3c28e57a35c779ee8f959a4140b328c';

const hash = ({ data }: RgbImage): string => createHash('sha256').update(data).digest('hex');

/** The baseline file with an EXIF segment that states an orientation, in either byte order. */
function oriented(orientation: number, little = false): Uint8Array {
  const tiff = little ? '49492a000800000001001201030001000000' : '4d4d002a0000000800010112000300000001';
  const block = Buffer.from(`457869660000${tiff}0000000000000000`, 'hex');
  if (little) block.writeUInt16LE(orientation, 24);
  else block.writeUInt16BE(orientation, 24);
  const head = Buffer.from([0xff, 0xd8, 0xff, 0xe1, 0, block.length + 2]);
  return new Uint8Array(Buffer.concat([head, block, baseline.subarray(2)]));
}

describe('JPEG', () => {
  test.each([
    ['baseline', baseline],
    ['progressive', progressive],
  ])("%s files give Pillow's pixels", async (_, file) => {
    const image = await decodeImage(file);
    expect([image.width, image.height]).toEqual([20, 12]);
    expect(hash(image)).toBe(pixels);
  });

  // Width, height and pixels of ImageOps.exif_transpose.
  test.each([
    [1, 20, 12, pixels],
    [2, 20, 12, 'eae9d3d762ede04df96497da5b6c475f0be7ed6b27add9e7c9eb2cd1e53aea6f'],
    [3, 20, 12, 'cf6d9e5ab82c02a276bb20b798196d864dc53f71b11d67b4ac76cba7315be6b3'],
    [4, 20, 12, '755a1f5d5d514d172224615d4533271e396c94ee6a920e6e9ad722a21bf71eca'],
    [5, 12, 20, '0b8e60ca8174f71e7f60d488e4f222e1879dcf83590a7fe0e22a06301c041937'],
    [6, 12, 20, '141cf37034a6e53a2bc37c58d7bc902d13ae921f1b3317d19f3d45f84ba01ff2'],
    [7, 12, 20, '5f2b6487e9a2548c53fd4898307ab30070e76233c151b2386b8921b7736fc181'],
    [8, 12, 20, '1e48094b935b9605221603351a44265811c7eabcb57437f30de8e98f10265d5f'],
    [9, 20, 12, pixels],
  ])('orientation %i is applied with `upright`', async (orientation, width, height, expected) => {
    for (const file of [oriented(orientation), oriented(orientation, true)]) {
      const image = await decodeImage(file, { upright: true });
      expect([image.width, image.height, hash(image)]).toEqual([width, height, expected]);
      expect(hash(await decodeImage(file))).toBe(pixels);
    }
  });

  test('orientation is read from XMP if EXIF states none', async () => {
    const app1 = (content: string | Uint8Array): Buffer => {
      const bytes = Buffer.from(content as string, 'latin1');
      return Buffer.concat([Buffer.from([0xff, 0xe1, bytes.length >> 8, (bytes.length & 255) + 2]), bytes]);
    };
    const withApp1 = (file: Uint8Array, content: string): Uint8Array =>
      new Uint8Array(Buffer.concat([file.subarray(0, 2), app1(content), file.subarray(2)]));
    const xmp = (orientation: number): string =>
      `http://ns.adobe.com/xap/1.0/\0<rdf tiff:Orientation="${orientation}"/>`;
    const widthOf = async (file: Uint8Array): Promise<number> =>
      (await decodeImage(file, { upright: true })).width;
    expect(await widthOf(withApp1(baseline, xmp(6)))).toBe(12);
    expect(await widthOf(withApp1(baseline, '<tiff:Orientation>6</tiff:Orientation>'))).toBe(20);
    expect(await widthOf(withApp1(oriented(1), xmp(6)))).toBe(20);
    // The last XMP segment of a file counts, which is the one inserted first.
    expect(await widthOf(withApp1(withApp1(baseline, xmp(6)), xmp(1)))).toBe(12);
  });

  test.each([
    ['half of', 30, 'b93d7cabd81257176957d75bb47347888f1e1896c2eac87456530c7fc5caa7f5'],
    ['none of', 0, 'fd72683dd6d87fdc9ea48576c7414f9f8c4c179d46ee458e30a1b10f95d91447'],
  ])(
    'with %s its data before the end marker a file has the pixels of Pillow 12.3',
    async (_, bytes, expected) => {
      const data = Buffer.from(baseline).indexOf(Uint8Array.of(0xff, 0xda)) + 14;
      const cut = baseline.subarray(0, data + bytes);
      expect(hash(await decodeImage(Uint8Array.of(...cut, 0xff, 0xd9)))).toBe(expected);
      await expect(decodeImage(cut)).rejects.toThrow('its end marker is missing');
    },
  );

  test('an EXIF block without its prefix states no orientation', async () => {
    const file = oriented(6);
    file[6 + 4] = 1; // The first zero after Exif.
    expect((await decodeImage(file, { upright: true })).width).toBe(20);
  });

  test('a file cut anywhere or with flipped bits gives a picture or a FileFormatError', async () => {
    const source = random(5);
    const file = oriented(6);
    const broken = [
      ...Array.from({ length: 60 }, () => file.slice(0, source.integer(file.length))),
      ...Array.from({ length: 120 }, () => {
        const copy = file.slice();
        copy[source.integer(copy.length)]! ^= 1 << source.integer(8);
        return copy;
      }),
    ];
    for (const bytes of broken)
      await decodeImage(bytes, { upright: true, limits: { maxPixels: 1e6 } }).catch((error: unknown) => {
        if (!(error instanceof FileFormatError)) throw error;
      });
  });

  const segment = (marker: number, content: readonly number[]): number[] => [
    0xff,
    marker,
    0,
    content.length + 2,
    ...content,
  ];
  /** A grey progressive file of one colour, with scans after the first that have no data. */
  const scanned = (side: number, more: number): Uint8Array => {
    const scan = segment(0xda, [1, 1, 0, 0, 0, 0]);
    return Uint8Array.from([
      ...[0xff, 0xd8],
      ...segment(0xdb, [0, ...Array<number>(64).fill(1)]),
      ...segment(0xc2, [8, side >> 8, side & 255, side >> 8, side & 255, 1, 1, 0x11, 0]),
      // One code, of one bit: no difference to the block before.
      ...segment(0xc4, [0, 1, ...Array<number>(15).fill(0), 0]),
      ...scan,
      ...Array<number>(Math.ceil(Math.ceil(side / 8) ** 2 / 8)).fill(0),
      ...Array.from({ length: more }, () => segment(0xda, [1, 1, 0, 1, 63, 0])).flat(),
      ...[0xff, 0xd9],
    ]);
  };

  test.each([
    [Number.NaN, 'NaN'],
    [-1, '-1'],
    ['10', "the text '10'"],
    [null, 'null'],
  ])('a limit of %j pixels is refused', async (maxPixels, shown) => {
    const limits = { maxPixels: maxPixels as number };
    const refused = decodeImage(baseline, { limits });
    await expect(refused).rejects.toThrow(TypeError);
    await expect(refused).rejects.toThrow(
      `The limit maxPixels is a number of pixels from 0 up, got ${shown}.`,
    );
  });

  test('a limit left undefined is the default, and Infinity is no bound', async () => {
    for (const maxPixels of [undefined, Infinity])
      expect(hash(await decodeImage(baseline, { limits: { maxPixels } as { maxPixels: number } }))).toBe(
        pixels,
      );
  });

  test('scans times pixels are at most ten times the limit of pixels', async () => {
    const limits = { maxPixels: 10_000 };
    await expect(decodeImage(scanned(100, 10), { limits })).rejects.toThrow(
      'it has more than 10 scans of 100 x 100 pixels, which would take too long',
    );
    // Nor can damage hide scans from the count that the decoder would go through.
    const hidden = [...scanned(100, 0).slice(0, -2), ...segment(0xfe, [0xff, 0xd9]), ...scanned(100, 10)];
    await expect(decodeImage(Uint8Array.from(hidden), { limits })).rejects.toThrow('more than 10 scans');
    expect(new Set((await decodeImage(scanned(100, 0), { limits })).data)).toEqual(new Set([128]));
  });

  test('scans without detail, a dozen bytes each, are bounded by the bytes of the file', async () => {
    await expect(decodeImage(scanned(1000, 500))).rejects.toThrow(
      /it has more than 4\d scans of 1000 x 1000 pixels, which would take too long\. Save it as a baseline JPEG\.$/,
    );
  });

  test('a long run of 255 after damage is searched once', async () => {
    const damage = [0xff, 0xfe, 0, 0];
    const run = Array<number>(100_000).fill(0xff);
    const file = Uint8Array.from([...scanned(8, 0).slice(0, -2), ...damage, ...run, 0]);
    const started = performance.now();
    await expect(decodeImage(file)).rejects.toThrow('its end marker is missing');
    expect(performance.now() - started).toBeLessThan(2000);
  });

  test.each([
    ['between scans', [...scanned(8, 0).slice(0, -2), 0xff]],
    ['before the first scan', [0xff, 0xd8, 0xff]],
  ])('a signal is heard in a long run of 255 %s', async (_, start) => {
    const file = new Uint8Array(2 ** 28).fill(0xff);
    file.set(start);
    const aborter = new AbortController();
    setTimeout(() => aborter.abort(new Error('stopped')), 0);
    await expect(decodeImage(file, { signal: aborter.signal })).rejects.toThrow('stopped');
  });

  test('an abort stops decoding that takes long, and decoding that waits', async () => {
    const file = scanned(9000, 0);
    const started = performance.now();
    await expect(decodeImage(file, { signal: AbortSignal.timeout(60) })).rejects.toThrow(/timeout|aborted/i);
    expect(performance.now() - started).toBeLessThan(400);
    const controller = new AbortController();
    const waiting = [1, 2].map(() => decodeImage(baseline, { signal: controller.signal }));
    controller.abort();
    for (const result of await Promise.allSettled(waiting)) expect(result.status).toBe('rejected');
    expect(hash(await decodeImage(baseline))).toBe(pixels);
  });

  test('long decoding gives the same pixels and errors in a worker thread', async () => {
    const { signal } = new AbortController();
    const file = scanned(4100, 0);
    const [there, here] = [await decodeImage(file, { signal }), await decodeImage(file)];
    expect(Buffer.compare(there.data, here.data)).toBe(0);
    const broken = file.slice();
    broken[6] = 3; // The table of another component: its own is missing.
    await expect(decodeImage(broken, { signal })).rejects.toThrow(
      /is broken \(Quantization table 0x00 was not/,
    );
    await expect(decodeImage(broken)).rejects.toThrow(
      /is broken \(Quantization table 0x00 was not defined\)/,
    );
  });

  test('the memory of a large picture is given back', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const memory = async (): Promise<number> => {
      for (let i = 0; i < 4; i++) {
        collect();
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      return process.memoryUsage().rss;
    };
    const file = scanned(6000, 0);
    await decodeImage(baseline);
    const before = await memory();
    expect((await decodeImage(file)).data.length).toBe(108_000_000);
    expect((await memory()) - before).toBeLessThan(64e6);
  });

  test.each([
    [
      'A dynamic import callback was not specified.',
      true,
      /Jest loads with NODE_OPTIONS=--experimental-vm-modules/,
    ],
    ['import() is disallowed on ServiceWorkerGlobalScope', false, /Service workers load no modules later/],
    [
      'CompileError: expected magic word 00 61 73 6d, found 3c 21 64 6f',
      false,
      /With vite dev, add optimizeDeps/,
    ],
    ["Failed to construct 'URL': Invalid URL", false, /bundle to the format of ES modules, not iife/],
    [
      'URL constructor: mozjpeg_dec.wasm is not a valid URL.',
      false,
      /bundle to the format of ES modules, not iife/,
    ],
    [
      'CompileError: call to WebAssembly.instantiate() blocked by CSP',
      false,
      /allow with 'wasm-unsafe-eval'/,
    ],
    ["violates … because 'unsafe-eval' is not an allowed source", false, /allow with 'wasm-unsafe-eval'/],
    ['WebAssembly is not defined', false, /this browser does not have/],
    ['Failed to fetch', false, /allow that in connect-src/],
    ["Cannot find module '@jsquash/jpeg'", true, /With Next, list it in serverExternalPackages/],
    ['Failed to fetch dynamically imported module', false, /^In a page, its file mozjpeg_dec/],
    ['404', false, /^In a page, its file mozjpeg_dec\.wasm must lie beside the bundled script/],
  ])('where it cannot be loaded (%s) the advice fits the place', (message, inNode, advice) => {
    expect(jpegAdvice(message, inNode)).toMatch(advice);
  });

  test.each([
    ['gives nothing', () => null],
    [
      'throws nothing that is known',
      () => {
        throw 17;
      },
    ],
  ])('if the decoder %s, the error says what is known, and what to do', async (_, decode) => {
    vi.resetModules();
    vi.doMock('@jsquash/jpeg/codec/dec/mozjpeg_dec.js', () => ({
      default: () => Promise.resolve({ HEAPU8: new Uint8Array(0), decode }),
    }));
    const { decodeImage: decodeFresh } = await import('./index.js');
    await expect(decodeFresh(progressive)).rejects.toThrow(
      /no reason for its 20 x 12 pixels in colour, progressive with \d+ scans: .* save it again as a baseline JPEG/,
    );
    vi.doUnmock('@jsquash/jpeg/codec/dec/mozjpeg_dec.js');
  });

  test('a decoder that fails to load is not a FileFormatError, and is loaded again for the next file', async () => {
    vi.resetModules();
    vi.doMock('@jsquash/jpeg/codec/dec/mozjpeg_dec.js', () => ({
      default: () => Promise.reject(new Error('404')),
    }));
    const { decodeImage: decode, folderDataset, imageFolder } = await import('./index.js');
    const message =
      /^The JPEG decoder could not be loaded \(404\)\. Its files are those of the package @jsquash\/jpeg\./;
    await expect(decode(baseline)).rejects.toThrow(message);
    // No picture of a folder is to blame.
    const folder = mkdtempSync(join(tmpdir(), 'cnn-jpeg-'));
    mkdirSync(join(folder, 'cat'));
    writeFileSync(join(folder, 'cat', '1.jpg'), baseline);
    const reading = folderDataset(await imageFolder(folder), { onBadImage: 'skip' });
    await expect(reading).rejects.toThrow(message);
    rmSync(folder, { recursive: true });
    vi.doUnmock('@jsquash/jpeg/codec/dec/mozjpeg_dec.js');
    expect(hash(await decode(baseline))).toBe(pixels);
  });
});
