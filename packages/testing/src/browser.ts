/** Finds a Chromium for the tests, and options that enable WebGL2 and WebGPU in it, even without a GPU. */
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { chromium } from 'playwright';

/** A browser: the options for Playwright's `chromium.launch`, and its source. */
export interface FoundBrowser {
  /** Source for messages: `the system's`, `that of @sparticuz/chromium`. */
  readonly source: string;
  readonly executablePath: string;
  readonly args: string[];
  readonly env: Readonly<Record<string, string>>;
  readonly chromiumSandbox: false;
}

/** Package with a Chromium for Linux on x64; `CHROMIUM_PATH` may name it to skip all other browsers. */
export const PACKED = '@sparticuz/chromium';

const repository = join(dirname(fileURLToPath(import.meta.url)), '../../..');
const require = createRequire(import.meta.url);

/** Arguments that run WebGL2 and WebGPU on SwiftShader (part of Chromium) and disable network access. */
const args: readonly string[] = [
  '--use-angle=swiftshader',
  '--enable-unsafe-swiftshader',
  '--enable-unsafe-webgpu',
  '--use-webgpu-adapter=swiftshader',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** Paths at which systems install Chrome or Chromium. */
function* systemPaths(): Generator<string> {
  for (const folder of (process.env.PATH ?? '').split(delimiter))
    for (const name of ['google-chrome-stable', 'google-chrome', 'chromium', 'chromium-browser'])
      yield join(folder, name);
  yield '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome';
  yield '/Applications/Chromium.app/Contents/MacOS/Chromium';
  for (const root of [process.env.PROGRAMFILES, process.env['PROGRAMFILES(X86)'], process.env.LOCALAPPDATA])
    if (root) yield join(root, 'Google/Chrome/Application/chrome.exe');
}

/** Unpacks the package's Chromium and its libraries, once per version; returns their folder. */
async function unpack(): Promise<string> {
  const home = join(dirname(require.resolve('@sparticuz/chromium')), '../..');
  const { version } = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8')) as { version: string };
  const cache = join(repository, 'node_modules/.cache');
  const folder = join(cache, `chromium-${version}`);
  if (existsSync(folder)) return folder;
  await mkdir(cache, { recursive: true });
  // Unpacks to a temporary folder and renames it, so that concurrent tests never find an incomplete browser.
  const temporary = await mkdtemp(join(cache, 'chromium-'));
  try {
    // The package unpacks to TMPDIR, and unpacks its libraries only if AWS_EXECUTION_ENV is set.
    const env = { ...process.env, TMPDIR: temporary, AWS_EXECUTION_ENV: 'AWS_Lambda_nodejs20.x' };
    const script = `import chromium from '${PACKED}'; await chromium.executablePath();`;
    await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script], {
      cwd: dirname(fileURLToPath(import.meta.url)),
      env,
    });
    await rename(temporary, folder);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    if (!existsSync(folder)) throw error;
  }
  return folder;
}

/**
 * Finds a browser, in this order: `CHROMIUM_PATH`, Playwright's, the system's Chrome or Chromium, the one in
 * the package @sparticuz/chromium. `CHROMIUM_PATH=@sparticuz/chromium` selects the last one directly.
 * @returns undefined if there is none; the reason is printed, and tests in a browser are skipped.
 * @throws Error if `CHROMIUM_PATH` does not exist, or if there is no browser and `CI` is set.
 */
export async function findBrowser(): Promise<FoundBrowser | undefined> {
  const requested = process.env.CHROMIUM_PATH;
  const own = chromium.executablePath();
  const system = [...systemPaths()].find((path) => existsSync(path));
  const found = (source: string, executablePath: string, env: Record<string, string> = {}): FoundBrowser => ({
    source,
    executablePath,
    args: [...args],
    env: { ...(process.env as Record<string, string>), ...env },
    chromiumSandbox: false,
  });
  if (requested && requested !== PACKED) {
    if (existsSync(requested)) return found('that of CHROMIUM_PATH', requested);
    throw new Error(
      `CHROMIUM_PATH is ${requested}, but there is no such file; set it to a Chromium, or unset it.`,
    );
  }
  if (!requested && existsSync(own)) return found("Playwright's", own);
  if (!requested && system) return found("the system's", system);
  let problem = `${PACKED} has none for ${process.platform} on ${process.arch}`;
  if (process.platform === 'linux' && process.arch === 'x64')
    try {
      const folder = await unpack();
      const libraries = [join(folder, 'al2023/lib'), process.env.LD_LIBRARY_PATH];
      return found(`that of ${PACKED}`, join(folder, 'chromium'), {
        LD_LIBRARY_PATH: libraries.filter(Boolean).join(delimiter),
        FONTCONFIG_PATH:
          process.env.FONTCONFIG_PATH ?? (existsSync('/etc/fonts') ? '/etc/fonts' : join(folder, 'fonts')),
      });
    } catch (error) {
      problem = `${PACKED} could not be unpacked (${error instanceof Error ? error.message : error})`;
    }
  const message = `No browser was found for the tests: CHROMIUM_PATH is not set, Playwright and the system have none, and ${problem}. Install Chromium, or set CHROMIUM_PATH.`;
  if (process.env.CI) throw new Error(message);
  console.warn(`${message} The tests in a browser are skipped.`);
  return undefined;
}
