/** Tests in a page what only pages have: elements, canvases, bitmaps, frames, and files that the browser decodes. */
import { afterEach, expect, test } from 'vitest';
import { decodeImage, encodePng, type PictureSource, type RgbImage, toRgb } from './index.js';

const picture = { width: 3, height: 2, data: Uint8Array.from({ length: 18 }, (_, i) => 10 * i + 5) };
const file = Uint8Array.from(encodePng(picture));

/** The picture with alpha 255, as canvases take it. */
function opaque(): ImageData {
  const result = new ImageData(3, 2);
  for (let i = 0; i < 6; i++) result.data.set([...picture.data.subarray(3 * i, 3 * i + 3), 255], 4 * i);
  return result;
}

/** A canvas that shows the picture. */
function canvas(): HTMLCanvasElement {
  const result = Object.assign(document.createElement('canvas'), { width: 3, height: 2 });
  result.getContext('2d')!.putImageData(opaque(), 0, 0);
  return result;
}

function offscreen(): OffscreenCanvas {
  const result = new OffscreenCanvas(3, 2);
  result.getContext('2d')!.putImageData(opaque(), 0, 0);
  return result;
}

function image(source: string | Blob): HTMLImageElement {
  const result = new Image();
  result.src = typeof source === 'string' ? source : URL.createObjectURL(source);
  return result;
}

/** A canvas whose pixels WebGL made: all of one colour. */
function drawn(): HTMLCanvasElement {
  const result = Object.assign(document.createElement('canvas'), { width: 3, height: 2 });
  const gl = result.getContext('webgl', { preserveDrawingBuffer: true })!;
  gl.clearColor(1, 0, 0.2, 1);
  gl.clear(gl.COLOR_BUFFER_BIT);
  return result;
}

afterEach(() => document.body.replaceChildren());

test.each<readonly [string, () => PictureSource | Promise<PictureSource>]>([
  ['a Blob', () => new Blob([file])],
  ['a blob: URL', () => URL.createObjectURL(new Blob([file]))],
  ['ImageData', opaque],
  ['a canvas', canvas],
  ['an OffscreenCanvas', offscreen],
  ['an ImageBitmap', () => createImageBitmap(opaque())],
  ['a VideoFrame', () => new VideoFrame(canvas(), { timestamp: 0 })],
  ['an <img> that loads', () => image(new Blob([file], { type: 'image/png' }))],
  ['a WebP file', () => toBlob('image/webp', 1)],
  ['a BMP file', () => new Blob([bmp()])],
])('%s', async (name, source) => {
  const { width, height, data } = await toRgb(await source());
  expect([width, height]).toEqual([3, 2]);
  if (name !== 'a WebP file') expect([...data]).toEqual([...picture.data]);
  // Not without loss.
  else for (const [i, value] of data.entries()) expect(Math.abs(value - picture.data[i]!)).toBeLessThan(40);
});

const toBlob = (type: string, quality: number): Promise<Blob> => offscreen().convertToBlob({ type, quality });

/** The picture as BMP of 24 bits: blue, green, red, from the last row to the first, rows of 12 bytes. */
function bmp(): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(54 + 24);
  const view = new DataView(bytes.buffer);
  bytes.set([0x42, 0x4d]);
  for (const [at, value] of [
    [2, 78],
    [10, 54],
    [14, 40],
    [18, 3],
    [22, 2],
  ] as const)
    view.setUint32(at, value, true);
  view.setUint16(26, 1, true);
  view.setUint16(28, 24, true);
  for (let y = 0; y < 2; y++)
    for (let x = 0; x < 3; x++)
      for (let c = 0; c < 3; c++) bytes[54 + 12 * (1 - y) + 3 * x + 2 - c] = picture.data[9 * y + 3 * x + c]!;
  return bytes;
}

const colours = ({ data }: RgbImage): string[] => [
  ...new Set(Array.from({ length: data.length / 3 }, (_, i) => data.subarray(3 * i, 3 * i + 3).join())),
];

test('a canvas of WebGL keeps its pixels and its context', async () => {
  const source = drawn();
  expect(colours(await toRgb(source))).toEqual(['255,0,51']);
  expect(source.getContext('webgl')).not.toBeNull();
  const empty = Object.assign(document.createElement('canvas'), { width: 3, height: 2 });
  expect(colours(await toRgb(empty))).toEqual(['0,0,0']);
  expect(empty.getContext('webgl')).not.toBeNull();
});

test('large pictures are read in strips', async () => {
  const large = new OffscreenCanvas(2000, 1500);
  const pen = large.getContext('2d')!;
  for (let y = 0; y < 1500; y++) {
    pen.fillStyle = `rgb(${y % 256},${y >> 8},7)`;
    pen.fillRect(0, y, 2000, 1);
  }
  const { data } = await toRgb(large);
  for (let y = 0; y < 1500; y++)
    expect([...data.subarray(6000 * y + 5997, 6000 * y + 6000)]).toEqual([y % 256, y >> 8, 7]);
});

test("another colour space's ImageData becomes sRGB, and colours under alpha are kept in sRGB's", async () => {
  const wide = new ImageData(Uint8ClampedArray.of(200, 100, 50, 255), 1, 1, { colorSpace: 'display-p3' });
  const [red, green, blue] = (await toRgb(wide)).data;
  expect(red).toBeGreaterThan(205);
  expect(green).toBeLessThan(100);
  expect(blue).toBeLessThan(50);
  const clear = new ImageData(Uint8ClampedArray.of(200, 100, 50, 0), 1, 1);
  expect([...(await toRgb(clear)).data]).toEqual([200, 100, 50]);
});

test('a photo lying on its side is upright as a file and as <img>, of our decoder and of the browser', async () => {
  const jpeg = new Uint8Array(await (await toBlob('image/jpeg', 1)).arrayBuffer());
  const exif = [0x45, 0x78, 0x69, 0x66, 0, 0, 0x4d, 0x4d, 0, 0x2a, 0, 0, 0, 8, 0, 1];
  const entry = [0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0];
  const lying = Uint8Array.of(0xff, 0xd8, 0xff, 0xe1, 0, 34, ...exif, ...entry, ...jpeg.subarray(2));
  const expected = await decodeImage(lying, { upright: true });
  expect([expected.width, expected.height]).toEqual([2, 3]);
  expect(await toRgb(lying)).toEqual(expected);
  expect((await toRgb(lying, { orientation: 'stored' })).width).toBe(3);
  const shown = await toRgb(image(new Blob([lying], { type: 'image/jpeg' })));
  expect([shown.width, shown.height]).toEqual([2, 3]);
  for (const [i, value] of shown.data.entries()) expect(Math.abs(value - expected.data[i]!)).toBeLessThan(4);
});

test('a video gives its frame', { timeout: 20_000 }, async () => {
  const source = canvas();
  const video = Object.assign(document.createElement('video'), {
    muted: true,
    srcObject: source.captureStream(),
  });
  await expect(toRgb(video)).rejects.toThrow("It has no frame yet: wait for its 'loadeddata' event.");
  document.body.append(video);
  const loaded = new Promise((resolve) => video.addEventListener('loadeddata', resolve, { once: true }));
  void video.play();
  source.getContext('2d')!.fillRect(0, 0, 3, 2);
  await loaded;
  expect((await toRgb(video)).data.length).toBe(18);
});

test('sources without pixels are refused', async () => {
  const refusal = (source: unknown): Promise<unknown> =>
    toRgb(source as PictureSource).catch((error: unknown) => error);
  const closed = await createImageBitmap(opaque());
  closed.close();
  expect(await refusal(closed)).toMatchObject({
    code: 'ERR_SOURCE_UNREADABLE',
    message: 'The ImageBitmap has no pixels. It must not be closed or transferred.',
  });
  expect(await refusal(document.createElement('canvas').cloneNode())).toMatchObject({ width: 300 });
  expect(await refusal(Object.assign(document.createElement('canvas'), { width: 0 }))).toMatchObject({
    message: expect.stringContaining('The <canvas> gives no picture'),
  });
  expect(await refusal(image('data:image/png;base64,AAAA'))).toMatchObject({
    message: expect.stringContaining("Wait for its 'load' event"),
  });
  expect(await refusal(document.createElement('div'))).toMatchObject({
    code: 'ERR_SOURCE_TYPE',
    message: expect.stringContaining('got a HTMLDivElement.'),
  });
  await expect(toRgb(canvas(), { limits: { maxPixels: 5 } })).rejects.toMatchObject({
    code: 'ERR_SOURCE_TOO_LARGE',
  });
  await expect(toRgb(new Blob(['GIF89a, cut short']))).rejects.toMatchObject({ code: 'ERR_FILE_FORMAT' });
});

test('elements of another frame are understood', async () => {
  const frame = document.createElement('iframe');
  document.body.append(frame);
  const inside = frame.contentDocument!.createElement('canvas');
  Object.assign(inside, { width: 3, height: 2 }).getContext('2d')!.putImageData(opaque(), 0, 0);
  expect([...(await toRgb(inside)).data]).toEqual([...picture.data]);
});
