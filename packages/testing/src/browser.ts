/** Finds a Chromium for the tests and says how to start it: with WebGL2 and WebGPU, also where there is no GPU. */
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { chromium } from 'playwright';

/** A browser that was found: what Playwright's `chromium.launch` takes, and where it comes from. */
export interface FoundBrowser {
  /** For people: `the system's`, `that of @sparticuz/chromium`. */
  readonly source: string;
  readonly executablePath: string;
  readonly args: string[];
  readonly env: Readonly<Record<string, string>>;
  readonly chromiumSandbox: false;
}

/** The package that carries a Chromium for Linux on x64; `CHROMIUM_PATH` may name it to pass over the others. */
const PACKED = '@sparticuz/chromium';

const repository = join(dirname(fileURLToPath(import.meta.url)), '../../..');
const require = createRequire(import.meta.url);

/** WebGL2 and WebGPU computed by SwiftShader, which every Chromium brings along, and no talk to the network. */
const args: readonly string[] = [
  ...['--use-angle=swiftshader', '--enable-unsafe-swiftshader'],
  ...['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'],
  ...['--disable-quic', '--no-first-run', '--disable-background-networking'],
  ...['--disable-component-update', '--disable-sync'],
];

/** Where systems keep a Chrome or a Chromium. */
function* systemPaths(): Generator<string> {
  for (const folder of (process.env.PATH ?? '').split(delimiter))
    for (const name of ['google-chrome-stable', 'google-chrome', 'chromium', 'chromium-browser'])
      yield join(folder, name);
  yield '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome';
  yield '/Applications/Chromium.app/Contents/MacOS/Chromium';
  for (const root of [process.env.PROGRAMFILES, process.env['PROGRAMFILES(X86)'], process.env.LOCALAPPDATA])
    if (root) yield join(root, 'Google/Chrome/Application/chrome.exe');
}

/** Unpacks the Chromium of the package, once for each version: to its folder, with the libraries it needs. */
async function unpack(): Promise<string> {
  const home = join(dirname(require.resolve('@sparticuz/chromium')), '../..');
  const { version } = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8')) as { version: string };
  const cache = join(repository, 'node_modules/.cache');
  const folder = join(cache, `chromium-${version}`);
  if (existsSync(folder)) return folder;
  await mkdir(cache, { recursive: true });
  // Unpacked aside and renamed, so that tests that start together never find half a browser.
  const aside = await mkdtemp(join(cache, 'chromium-'));
  try {
    // The package unpacks to the folder for temporary files, and its libraries only where it sees this variable.
    const env = { ...process.env, TMPDIR: aside, AWS_EXECUTION_ENV: 'AWS_Lambda_nodejs20.x' };
    const script = `import chromium from '${PACKED}'; await chromium.executablePath();`;
    await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script], {
      cwd: dirname(fileURLToPath(import.meta.url)),
      env,
    });
    await rename(aside, folder);
  } catch (error) {
    await rm(aside, { recursive: true, force: true });
    if (!existsSync(folder)) throw error;
  }
  return folder;
}

/**
 * The first browser there is of: `CHROMIUM_PATH`, Playwright's own, the system's Chrome or Chromium, the one
 * of the package @sparticuz/chromium. `CHROMIUM_PATH=@sparticuz/chromium` takes the last one at once.
 * Undefined where there is none, with the reason on the console; tests in a browser are left out then.
 * @throws when `CHROMIUM_PATH` names no file, and when there is no browser though `CI` is set.
 */
export async function findBrowser(): Promise<FoundBrowser | undefined> {
  const asked = process.env.CHROMIUM_PATH;
  const own = chromium.executablePath();
  const system = [...systemPaths()].find((path) => existsSync(path));
  const found = (source: string, executablePath: string, env: Record<string, string> = {}): FoundBrowser => ({
    source,
    executablePath,
    args: [...args],
    env: { ...(process.env as Record<string, string>), ...env },
    chromiumSandbox: false,
  });
  if (asked && asked !== PACKED) {
    if (existsSync(asked)) return found('that of CHROMIUM_PATH', asked);
    throw new Error(`CHROMIUM_PATH is ${asked}, but there is no such file; name a Chromium, or unset it.`);
  }
  if (!asked && existsSync(own)) return found("Playwright's", own);
  if (!asked && system) return found("the system's", system);
  let problem = `there is none for ${process.platform} on ${process.arch} in ${PACKED}`;
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
  const message = `No browser was found for tests: no CHROMIUM_PATH, none of Playwright's, none of the system's, and ${problem}. Install Chromium, or set CHROMIUM_PATH.`;
  if (process.env.CI) throw new Error(message);
  console.warn(`${message} The tests in a browser are left out.`);
  return undefined;
}
