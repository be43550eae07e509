/** Tests the playground page as a visitor uses it: with keyboard, pen and files; and the script that serves it. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { crc32 } from 'node:zlib';
import { initialise, writeSafetensors } from '@cnn/core';
import { decodeImage, encodePng } from '@cnn/image';
import { models } from '@cnn/mobilenet';
import { type Browser, chromium, type Page } from 'playwright';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { coalesced } from '../../../docs/playground/coalesced.js';
import { findBrowser } from './browser.js';
import { playgroundFiles } from './playgroundSite.js';
import { isolation, type Site, serve } from './site.js';

/** Global variable of the page: how many pictures it took of its canvas. */
interface Counted {
  pictures?: number;
}

const found = await findBrowser();
const run = promisify(execFile);

test('a taken or impossible port is a sentence without a stack', async () => {
  const root = fileURLToPath(new URL('../../../', import.meta.url));
  const start = (port: string) =>
    run(process.execPath, ['scripts/script.mjs', 'scripts/playground.ts', '--port', port], { cwd: root });
  const taken = await serve(() => undefined);
  const { port } = new URL(taken.origin);
  const refusal = await start(port).catch((error: unknown) => error);
  await taken.close();
  expect(refusal).toMatchObject({
    code: 1,
    stderr: `playground: port ${port} is taken; give another one, or leave --port out for the next free one.\n`,
  });
  await expect(start('x')).rejects.toMatchObject({ stderr: expect.stringContaining("--port is 'x'") });
});

test('of calls during a run one waits, and sees the newest state', async () => {
  let [state, running] = [0, 0];
  const seen: number[] = [];
  const call = coalesced(async () => {
    seen.push(state);
    expect(++running).toBe(1);
    await new Promise((resolve) => setTimeout(resolve, 5));
    running--;
    if (seen.at(-1) === 3) throw new Error('three');
  });
  const calls = Array.from({ length: 4 }, (_, i) => {
    state = i;
    return call();
  });
  expect(await Promise.allSettled(calls)).toEqual([
    { status: 'fulfilled' },
    ...Array(3).fill({ status: 'rejected', reason: new Error('three') }),
  ]);
  expect(seen).toEqual([0, 3]);
  // Called by whoever waited, before and after the next one has started.
  state = 4;
  await call().then(call);
  expect(seen).toEqual([0, 3, 4, 4]);
});

describe.runIf(found)('the playground', () => {
  let browser: Browser;
  let site: Site;
  let page: Page;
  const problems: string[] = [];
  beforeAll(async () => {
    const files = await playgroundFiles();
    site = await serve((path) => files.get(path.slice(1) || 'index.html'), { headers: isolation });
    browser = await chromium.launch({ ...found! });
    page = await browser.newPage({ viewport: { width: 1100, height: 900 } });
    page.on('pageerror', ({ message }) => problems.push(message));
    page.on('console', (message) => {
      if (message.type() === 'error') problems.push(message.text());
    });
    await page.goto(site.origin);
  });
  afterAll(async () => {
    await browser.close();
    await site.close();
    expect(problems).toEqual([]);
  });

  /** Waits until the given class is first. */
  const waitForFirst = (label: string) =>
    page.waitForFunction(
      (wanted) => document.querySelector('#classes li span')?.textContent === wanted,
      label,
    );

  test('classifies a sample at once, and shows back end and time', async () => {
    await waitForFirst('3');
    expect(await page.textContent('#status')).toMatch(/^lenet5 on wasm, \d+ threads?: \d+\.\d ms\.$/);
    expect(await page.textContent('#reason')).toContain('software adapter');
    const shares = await page.locator('#classes li span:last-child').allTextContents();
    expect(shares).toHaveLength(5);
    expect(Number.parseFloat(shares[0]!)).toBeGreaterThan(50);
    const layers = await page.locator('#layers tr td:first-child').allTextContents();
    expect(layers).toEqual(expect.arrayContaining(['conv1', 'conv2', 'fc1', 'fc2', 'fc3']));
  });

  test('samples can be selected with the keyboard', async () => {
    await page.getByRole('button', { name: 'Sample 7' }).focus();
    await page.keyboard.press('Enter');
    await waitForFirst('7');
    await page.keyboard.press('Shift+Tab');
    await page.keyboard.press('Space');
    await waitForFirst('6');
  });

  test('a digit can be drawn', async () => {
    await page.getByRole('button', { name: 'Clear' }).click();
    const { x, y, width } = (await page.locator('#picture').boundingBox())!;
    await page.mouse.move(x + width * 0.52, y + width * 0.2);
    await page.mouse.down();
    await page.mouse.move(x + width * 0.48, y + width * 0.8, { steps: 8 });
    await page.mouse.up();
    await waitForFirst('1');
  });

  test('of a hundred moves of the pointer the first and the last picture are classified', async () => {
    await page.evaluate(() => {
      const scope = globalThis as Counted;
      const canvas = document.querySelector<HTMLCanvasElement>('#picture')!;
      const pen = canvas.getContext('2d')!;
      const { getImageData } = pen;
      scope.pictures = 0;
      pen.getImageData = (...area: Parameters<typeof getImageData>) => {
        scope.pictures!++;
        return getImageData.apply(pen, area);
      };
      // Events made by scripts have no pointer that could be captured.
      canvas.setPointerCapture = () => undefined;
      document.querySelector<HTMLElement>('#clear')!.click();
      const { left, top, width } = canvas.getBoundingClientRect();
      for (let i = 0; i <= 100; i++) {
        const at = { clientX: left + width / 2, clientY: top + width * (0.2 + (0.6 * i) / 100) };
        const type = i === 0 ? 'pointerdown' : 'pointermove';
        canvas.dispatchEvent(new PointerEvent(type, { buttons: 1, ...at }));
      }
    });
    const pictures = (): Promise<number | undefined> => page.evaluate(() => (globalThis as Counted).pictures);
    // As long as the page's own waits: the list shows the 1 of the test before until the first picture is classified.
    await expect.poll(pictures, { timeout: 30_000 }).toBe(2);
    await waitForFirst('1');
    expect(await pictures()).toBe(2);
    await page.reload();
    await waitForFirst('3');
  });

  const weightsFile = () => ({
    name: 'weights.safetensors',
    mimeType: '',
    buffer: Buffer.from(writeSafetensors(initialise(models.mobilenet_v3_small.build(), { seed: 1 }))),
  });

  test('a network chosen while another one loads stays', async () => {
    await page.selectOption('#model', 'mobilenet_v3_small');
    await page.getByText('This network needs weights.').waitFor();
    await page.setInputFiles('#weights-file', weightsFile());
    await page.selectOption('#model', 'lenet5');
    await page.getByText(/^lenet5 on wasm/).waitFor();
    // Long enough for the other one, whose end must not show.
    await page.waitForTimeout(1000);
    await page.getByRole('button', { name: 'Sample 3' }).click();
    await waitForFirst('3');
    expect(await page.textContent('#status')).toMatch(/^lenet5 on wasm/);
  });

  test('a browser that hides the pixels of canvases is told apart from a bad classification', async () => {
    const hiding = await browser.newPage();
    // As Firefox with privacy.resistFingerprinting, and the browsers that set it: random pixels.
    await hiding.addInitScript(() => {
      const { getImageData } = CanvasRenderingContext2D.prototype;
      CanvasRenderingContext2D.prototype.getImageData = function (...area: Parameters<typeof getImageData>) {
        const found = getImageData.apply(this, area);
        for (const i of found.data.keys()) found.data[i] = Math.random() * 256;
        return found;
      };
    });
    await hiding.goto(site.origin);
    await hiding.getByText('The browser hides the pixels of the picture').waitFor();
    expect(await hiding.locator('#classes li').count()).toBe(0);
    await hiding.close();
  });

  test('a file that is not a picture is rejected with a message', async () => {
    await page.setInputFiles('#file', { name: 'x.png', mimeType: 'image/png', buffer: Buffer.from('no') });
    await page.getByText('The browser cannot read this file as a picture.').waitFor();
  });

  test('another network reads its weights and a picture from files', async () => {
    await page.selectOption('#model', 'mobilenet_v3_small');
    await page.getByText('This network needs weights.').waitFor();
    await page.setInputFiles('#weights-file', { name: 'x.pth', mimeType: '', buffer: Buffer.from('no') });
    await page.locator('#status.error').waitFor();
    await page.setInputFiles('#weights-file', weightsFile());
    await page.getByText(/^mobilenet_v3_small on wasm/).waitFor();
    const photo = { width: 300, height: 200, data: new Uint8Array(180_000).map((_, i) => i % 251) };
    const buffer = Buffer.from(await encodePng(photo));
    const corner = () =>
      page.locator('#picture').evaluate((canvas) => {
        const [red] = (canvas as HTMLCanvasElement).getContext('2d')!.getImageData(5, 5, 1, 1).data;
        return red;
      });
    expect(await corner()).toBe(0);
    await page.setInputFiles('#file', { name: 'photo.png', mimeType: 'image/png', buffer });
    await expect.poll(corner).toBeGreaterThan(0);
    await page.getByText(/^mobilenet_v3_small on wasm/).waitFor();
    expect(await page.locator('#classes li').count()).toBe(5);
    expect(await page.textContent('#layers')).toContain('features.2.block');
  });

  // Orientation 3, upside down: what is stored on the right is on the left.
  const tiff = Buffer.from('4d4d002a00000008000101120003000000010003000000000000', 'hex');
  const withOrientation = {
    jpeg(file: Buffer) {
      const exif = Buffer.concat([Buffer.from('Exif\0\0'), tiff]);
      const marker = Buffer.from([0xff, 0xe1, 0, exif.length + 2]);
      return Buffer.concat([file.subarray(0, 2), marker, exif, file.subarray(2)]);
    },
    png(file: Buffer) {
      const chunk = Buffer.concat([Buffer.from('\0\0\0\0eXIf'), tiff, Buffer.alloc(4)]);
      chunk.writeUInt32BE(tiff.length);
      chunk.writeUInt32BE(crc32(chunk.subarray(4, -4)), chunk.length - 4);
      return Buffer.concat([file.subarray(0, 33), chunk, file.subarray(33)]);
    },
  };
  test.each([
    ['jpeg', 'right', [true, false]],
    ['png', 'left', [false, true]],
  ] as const)('a %s file is shown upright by EXIF, as `cnn` reads it', async (type, half, expected) => {
    const base64 = await page.evaluate(
      ([name, left]) => {
        const photo = document.createElement('canvas');
        [photo.width, photo.height] = [64, 64];
        const pen = photo.getContext('2d')!;
        pen.fillRect(0, 0, 64, 64);
        pen.fillStyle = '#fff';
        pen.fillRect(left, 0, 32, 64);
        return photo.toDataURL(`image/${name}`).split(',')[1]!;
      },
      [type, half === 'left' ? 0 : 32] as const,
    );
    const buffer = withOrientation[type](Buffer.from(base64, 'base64'));
    const { data } = await decodeImage(buffer, { upright: true });
    expect([data[3 * 4]! > 128, data[3 * 60]! > 128]).toEqual(expected);
    await page.setInputFiles('#file', { name: `photo.${type}`, mimeType: `image/${type}`, buffer });
    const halves = () =>
      page.locator('#picture').evaluate((canvas) => {
        const { width } = canvas as HTMLCanvasElement;
        const row = (canvas as HTMLCanvasElement).getContext('2d')!.getImageData(0, 9, width, 1).data;
        return [row[4 * Math.floor(width / 8)]! > 128, row[4 * Math.floor((7 * width) / 8)]! > 128];
      });
    await expect.poll(halves).toEqual(expected);
  });
});
