/** Tests the finders of browsers: their order, and the GPU interfaces of the Chromium from npm. */
import { chromium } from 'playwright';
import { afterEach, expect, test, vi } from 'vitest';
import { findBrowser } from './browser.js';
import { findFirefox } from './firefox.js';

afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

/** Hides all browsers except one that CHROMIUM_PATH names. */
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

test('without a browser, tests are skipped with a message; with CI set it is an error', async () => {
  onlyVariable();
  vi.stubEnv('CHROMIUM_PATH', '');
  vi.spyOn(process, 'platform', 'get').mockReturnValue('freebsd');
  vi.stubEnv('CI', '');
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined);
  expect(await findBrowser()).toBeUndefined();
  expect(warn.mock.calls.flat().join()).toMatch(/No browser was found.*Install Chromium.*are skipped/);
  vi.stubEnv('CI', 'true');
  await expect(findBrowser()).rejects.toThrow('No browser was found');
});

test('Firefox is that of FIREFOX_PATH; without one its tests are skipped with a message', () => {
  vi.stubEnv('FIREFOX_PATH', process.execPath);
  expect(findFirefox()).toBe(process.execPath);
  vi.stubEnv('FIREFOX_PATH', '/nowhere/firefox');
  expect(findFirefox).toThrow('FIREFOX_PATH is /nowhere/firefox, but there is no such file');
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined);
  vi.stubEnv('FIREFOX_PATH', '');
  expect(findFirefox()).toBeUndefined();
  expect(warn.mock.calls.flat().join()).toContain('The tests in Firefox are skipped.');
});

test.runIf(process.platform === 'linux' && process.arch === 'x64')(
  'the Chromium that npm installs has WebGL2 and WebGPU',
  async () => {
    vi.stubEnv('CHROMIUM_PATH', '@sparticuz/chromium');
    const { source, ...options } = (await findBrowser())!;
    expect(source).toBe('that of @sparticuz/chromium');
    const browser = await chromium.launch(options);
    try {
      const page = await browser.newPage();
      // WebGPU requires a secure context.
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
