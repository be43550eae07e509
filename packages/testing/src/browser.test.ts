/** The browser finder: what it takes, in which order, and that WebGL2 and WebGPU answer in what every machine can have. */
import { chromium } from 'playwright';
import { afterEach, expect, test, vi } from 'vitest';
import { findBrowser } from './browser.js';

afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

/** No browser but the one that a variable names. */
const onlyVariable = (): void => {
  vi.stubEnv('PATH', '');
  vi.spyOn(chromium, 'executablePath').mockReturnValue('/nowhere/chrome');
};

test('CHROMIUM_PATH comes first', async () => {
  vi.stubEnv('CHROMIUM_PATH', process.execPath);
  expect(await findBrowser()).toMatchObject({ executablePath: process.execPath });
});

test('a CHROMIUM_PATH without a file is an error', async () => {
  vi.stubEnv('CHROMIUM_PATH', '/nowhere/chromium');
  await expect(findBrowser()).rejects.toThrow(
    'CHROMIUM_PATH is /nowhere/chromium, but there is no such file',
  );
});

test("Playwright's own comes before the system's", async () => {
  vi.stubEnv('CHROMIUM_PATH', '');
  vi.spyOn(chromium, 'executablePath').mockReturnValue(process.execPath);
  expect(await findBrowser()).toMatchObject({ source: "Playwright's", executablePath: process.execPath });
});

test('without any, tests are left out with a message, and CI is an error', async () => {
  onlyVariable();
  vi.stubEnv('CHROMIUM_PATH', '');
  vi.spyOn(process, 'platform', 'get').mockReturnValue('freebsd');
  vi.stubEnv('CI', '');
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined);
  expect(await findBrowser()).toBeUndefined();
  expect(warn.mock.calls.flat().join()).toMatch(/No browser was found.*Install Chromium.*are left out/);
  vi.stubEnv('CI', 'true');
  await expect(findBrowser()).rejects.toThrow('No browser was found');
});

test.runIf(process.platform === 'linux' && process.arch === 'x64')(
  'the Chromium that comes with npm has WebGL2 and WebGPU',
  async () => {
    vi.stubEnv('CHROMIUM_PATH', '@sparticuz/chromium');
    const { source, ...options } = (await findBrowser())!;
    expect(source).toBe('that of @sparticuz/chromium');
    const browser = await chromium.launch(options);
    try {
      const page = await browser.newPage();
      // A page that may use WebGPU has to come from a secure place.
      await page.route('**', (route) => route.fulfill({ contentType: 'text/html', body: '<!doctype html>' }));
      await page.goto('https://localhost/');
      const webgl2 = await page.evaluate(() => {
        const context = document.createElement('canvas').getContext('webgl2');
        return context !== null && context.getExtension('EXT_color_buffer_float') !== null;
      });
      const webgpu = await page.evaluate(
        async () => (await (await navigator.gpu.requestAdapter())?.requestDevice())?.limits.maxBufferSize,
      );
      expect(webgl2).toBe(true);
      expect(webgpu).toBeGreaterThan(1e8);
    } finally {
      await browser.close();
    }
  },
);
