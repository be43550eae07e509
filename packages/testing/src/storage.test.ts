/**
 * Tests pages without storage, in Chromium and in Firefox: sandboxed frames, pages under the policy `sandbox`, and all
 * pages if the user blocks cookies. Their workers have no Web Locks, by which the end of a worker is noticed.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeSafetensors } from '@cnn/core';
import { build } from 'esbuild';
import { type Browser, type BrowserContext, chromium } from 'playwright';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { moduleTextPlugin } from '../../../scripts/moduleText.mjs';
import { findBrowser, PACKED } from './browser.js';
import { findFirefox, openFirefox } from './firefox.js';
import { readModelGolden } from './goldens.js';
import { checkLogits, stateOf } from './modelGolden.js';
import { schemeInput, schemeWeights } from './scheme.js';
import { isolation, type Site, serve } from './site.js';
import { withTimeout } from './timeout.js';

const repository = fileURLToPath(new URL('../../../', import.meta.url));
const found = await findBrowser();
const firefox = findFirefox();

const golden = readModelGolden(join(repository, 'packages/lenet/goldens/pub__lenet5_relu.json'));
const [run] = golden.runs;

/** What a page posts. */
interface Report {
  /** What failed, or has not ended in time; undefined if nothing. */
  readonly problem?: string;
  /** True if the page may use `localStorage`. */
  readonly storage: boolean;
  /** True if the page may use Web Locks. */
  readonly locks: boolean;
  /** Warnings of the packages. */
  readonly warnings: readonly string[];
  /** One session for each requested number of threads: 1, 2. */
  readonly sessions: readonly {
    readonly threads: number;
    readonly fallbackReason?: string;
    readonly logits: readonly number[];
  }[];
  /** First pixel of a JPEG. */
  readonly pixel: readonly number[];
}

/** Milliseconds in which a page must have settled; a worker that does not start is waited for 30 seconds. */
const PAGE_MS = 20_000;
/** Milliseconds in which a browser must have started and a page have settled, on a busy machine. */
const BROWSER_MS = 100_000;

/** Program of the pages. */
const program = `
import { compile, readWeights } from '@cnn/core';
import { decodeImage } from '@cnn/image';
import { lenet5 } from '@cnn/lenet';
const site = new URL(import.meta.url).origin;
const picture = Float32Array.from(${JSON.stringify([...schemeInput([1, ...run!.input.slice(1)]).data])});
const report = { warnings: [], sessions: [] };
console.warn = (text) => report.warnings.push(text);
let step = 'start';
async function work() {
  try { report.storage = localStorage !== undefined; } catch { report.storage = false; }
  report.locks = await navigator.locks.request('test', () => true).catch(() => false);
  for (const threads of [1, 2]) {
    step = 'readWeights';
    const weights = await readWeights(site + '/weights.safetensors', { cache: true });
    step = 'compile';
    const session = await compile(lenet5(), { weights, input: [1, 1, 32, 32], backend: 'wasm', threads });
    step = 'run';
    const { data } = await session.run(picture);
    report.sessions.push({ threads: session.threads, fallbackReason: session.fallbackReason, logits: [...data] });
    step = 'dispose';
    await session.dispose();
  }
  step = 'decodeImage';
  const canvas = new OffscreenCanvas(16, 16);
  const pen = canvas.getContext('2d');
  pen.fillStyle = '#c86432';
  pen.fillRect(0, 0, 16, 16);
  const jpeg = await canvas.convertToBlob({ type: 'image/jpeg', quality: 1 });
  report.pixel = [...(await decodeImage(new Uint8Array(await jpeg.arrayBuffer()))).data.subarray(0, 3)];
}
const late = new Promise((_, reject) => setTimeout(() => reject('it has not ended'), ${PAGE_MS}));
await Promise.race([work(), late]).catch((error) => { report.problem = step + ': ' + error; });
await fetch(site + '/report' + new URL(import.meta.url).search.slice(1), {
  method: 'POST',
  mode: 'no-cors',
  body: JSON.stringify(report),
});
`;

const page = (name: string): string => `<!doctype html>${script(name)}`;
const script = (name: string): string => `<script type=module crossorigin src=/program.js?${name}></script>`;
const frame = (name: string, allow = ''): string =>
  `<!doctype html><iframe sandbox="allow-scripts" ${allow} srcdoc="${script(name)}"></iframe>`;

/** What is expected of a page. */
interface Place {
  readonly html: string;
  readonly headers: Readonly<Record<string, string>>;
}

// Frames and the policy have an origin of their own, so that all files come from another one.
const isolated = { ...isolation, 'Cross-Origin-Resource-Policy': 'cross-origin' };
const policy = { 'Content-Security-Policy': 'sandbox allow-scripts' };
const places: Readonly<Record<string, Place>> = {
  plain: { html: page('plain'), headers: {} },
  isolated: { html: page('isolated'), headers: isolated },
  frame: { html: frame('frame'), headers: {} },
  'isolated-frame': {
    html: frame('isolated-frame', 'allow="cross-origin-isolated"'),
    headers: isolated,
  },
  policy: { html: page('policy'), headers: policy },
  'isolated-policy': { html: page('isolated-policy'), headers: { ...isolated, ...policy } },
};
const unsandboxed = ['plain', 'isolated'];
const sandboxed = Object.keys(places).filter((name) => !unsandboxed.includes(name));

let site: Site;
/** Receives the report of a page. */
const listeners = new Map<string, (report: Report) => void>();
/** Resolves with the next report of a page. */
const nextReport = (name: string): Promise<Report> => new Promise((resolve) => listeners.set(name, resolve));

beforeAll(async () => {
  const { outputFiles } = await build({
    stdin: { contents: program, resolveDir: repository },
    absWorkingDir: repository,
    tsconfig: 'tsconfig.base.json',
    plugins: [moduleTextPlugin],
    bundle: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    external: ['gpu.js'],
    write: false,
    logLevel: 'error',
  });
  const image = createRequire(join(repository, 'packages/image/package.json'));
  const files = new Map<string, string | Uint8Array | URL>([
    ['/program.js', outputFiles[0]!.text],
    ['/weights.safetensors', writeSafetensors(schemeWeights(stateOf(golden), golden.gain2))],
    ['/mozjpeg_dec.wasm', new URL(`file://${image.resolve('@jsquash/jpeg/codec/dec/mozjpeg_dec.wasm')}`)],
  ]);
  site = await serve((path) => files.get(path) ?? places[path.slice(1)]?.html, {
    headers: (path) => ({
      'Access-Control-Allow-Origin': '*',
      ...(places[path.slice(1)]?.headers ?? isolated),
    }),
    onPost: (path, text) => listeners.get(path.replace('/report', ''))?.(JSON.parse(text) as Report),
  });
});
afterAll(() => site.close());

/** Waits for the report of a page, and checks it. */
async function check(name: string, coming: Promise<Report>, storage: boolean): Promise<void> {
  const problem = () => new Error(`The page ${name} has not reported in ${BROWSER_MS / 1000} seconds.`);
  const report = await withTimeout(coming, BROWSER_MS, problem);
  expect(report.problem).toBeUndefined();
  expect(report).toMatchObject({ storage, locks: storage });
  const shares = name.startsWith('isolated');
  expect(report.sessions.map(({ threads }) => threads)).toEqual([1, shares ? 2 : 1]);
  for (const { logits } of report.sessions) checkLogits(run!, Float32Array.from(logits), 1);
  // Also that no session fell back to the calling thread.
  const reason = 'It runs on 1 thread, not 2: memory cannot be shared between threads here;';
  expect(report.sessions.map(({ fallbackReason }) => fallbackReason)).toEqual([
    undefined,
    shares ? undefined : expect.stringContaining(reason),
  ]);
  const refused = expect.stringMatching(/^Downloads are not kept, since this page may not use Cache storage/);
  expect(report.warnings).toEqual(storage ? [] : [refused, refused]);
  for (const [i, value] of [0xc8, 0x64, 0x32].entries())
    expect(Math.abs(report.pixel[i]! - value)).toBeLessThan(4);
}

const timeout = { timeout: BROWSER_MS + 10_000 };

describe.runIf(found)('in Chromium', () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await chromium.launch({ ...found! });
  });
  afterAll(() => browser.close());

  test.each(sandboxed)('the page %s settles with the right values', timeout, async (name) => {
    const coming = nextReport(name);
    const opened = await browser.newPage();
    await opened.goto(`${site.origin}/${name}`);
    await check(name, coming, false);
    await opened.close();
  });
});

// Chromium's headless shell, which is what npm has, reads no preferences.
describe.runIf(found && !found.source.includes(PACKED))('in Chromium, if the user blocks cookies', () => {
  let [profile, context]: [string, BrowserContext | undefined] = ['', undefined];
  beforeAll(async () => {
    profile = await mkdtemp(join(tmpdir(), 'cnn-chromium-'));
    await mkdir(join(profile, 'Default'));
    const preferences = { profile: { default_content_setting_values: { cookies: 2 } } };
    await writeFile(join(profile, 'Default/Preferences'), JSON.stringify(preferences));
    context = await chromium.launchPersistentContext(profile, { ...found! });
  });
  afterAll(async () => {
    await context?.close();
    await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  });

  test.each(unsandboxed)('the page %s settles with the right values', timeout, async (name) => {
    const coming = nextReport(name);
    const opened = await context!.newPage();
    await opened.goto(`${site.origin}/${name}`);
    await check(name, coming, false);
    await opened.close();
  });
});

describe.runIf(firefox)('in Firefox', () => {
  // Starting it takes most of the time, so all pages are opened at once.
  const settings: readonly (readonly [
    string,
    Readonly<Record<string, number>>,
    readonly string[],
    boolean,
  ])[] = [
    ['', {}, Object.keys(places), true],
    [', if the user blocks cookies', { 'network.cookie.cookieBehavior': 2 }, unsandboxed, false],
  ];
  test.each(settings)(
    'pages settle with the right values%s',
    timeout,
    async (_, preferences, names, storage) => {
      const coming = names.map((name) => [name, nextReport(name)] as const);
      const urls = names.map((name) => `${site.origin}/${name}`);
      const opened = await openFirefox(firefox!, urls, preferences);
      try {
        const ended = opened.ended.then((words): never => {
          throw new Error(`Firefox has ended: ${words}`);
        });
        for (const [name, report] of coming)
          await check(name, Promise.race([report, ended]), storage && unsandboxed.includes(name));
      } finally {
        await opened.close();
      }
    },
  );
});
