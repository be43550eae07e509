/** Finds Firefox for the tests, and opens pages in it. It needs no driver: pages post their results to the test. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

/** Paths at which systems install Firefox. */
function* systemPaths(): Generator<string> {
  for (const folder of (process.env.PATH ?? '').split(delimiter))
    for (const name of ['firefox-esr', 'firefox']) yield join(folder, name);
  yield '/Applications/Firefox.app/Contents/MacOS/firefox';
  for (const root of [process.env.PROGRAMFILES, process.env['PROGRAMFILES(X86)']])
    if (root) yield join(root, 'Mozilla Firefox/firefox.exe');
}

/**
 * Finds Firefox: `FIREFOX_PATH`, else the system's. Unlike Chromium it is not required where `CI` is set, since npm
 * has none.
 * @returns undefined if there is none, or `FIREFOX_PATH` is empty; then tests in Firefox are skipped, with a message.
 * @throws Error if `FIREFOX_PATH` does not exist.
 */
export function findFirefox(): string | undefined {
  const requested = process.env.FIREFOX_PATH;
  if (requested && !existsSync(requested))
    throw new Error(
      `FIREFOX_PATH is ${requested}, but there is no such file; set it to a Firefox, or unset it.`,
    );
  const found = requested ?? [...systemPaths()].find((path) => existsSync(path));
  if (!found)
    console.warn(
      'No Firefox was found, neither by FIREFOX_PATH nor in the system. The tests in Firefox are skipped.',
    );
  return found || undefined;
}

/** Preferences that keep a new profile from opening pages and from loading what tests do not need. */
const quiet: Readonly<Record<string, boolean | number | string>> = {
  'app.normandy.enabled': false,
  'app.update.enabled': false,
  'browser.aboutwelcome.enabled': false,
  'browser.newtabpage.enabled': false,
  'browser.safebrowsing.malware.enabled': false,
  'browser.safebrowsing.phishing.enabled': false,
  'browser.shell.checkDefaultBrowser': false,
  'browser.startup.homepage_override.mstone': 'ignore',
  'browser.startup.page': 0,
  'browser.tabs.remote.warmup.enabled': false,
  'datareporting.policy.dataSubmissionEnabled': false,
  'dom.ipc.processPrelaunch.enabled': false,
  'extensions.enabledScopes': 0,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
  'services.settings.server': 'data:,',
  'toolkit.telemetry.enabled': false,
};

/** A running Firefox. */
export interface Firefox {
  /** Resolves if it ends by itself, with its last words. */
  readonly ended: Promise<string>;
  close(): Promise<void>;
}

/**
 * Opens pages, each in a tab, with a new profile.
 * @param preferences - of `about:config`.
 */
export async function openFirefox(
  executable: string,
  urls: readonly string[],
  preferences: Readonly<Record<string, boolean | number | string>> = {},
): Promise<Firefox> {
  const profile = await mkdtemp(join(tmpdir(), 'cnn-firefox-'));
  const lines = Object.entries({ ...quiet, ...preferences }).map(
    ([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});\n`,
  );
  await writeFile(join(profile, 'user.js'), lines.join(''));
  const firefox = spawn(executable, ['--headless', '--no-remote', '--profile', profile, ...urls], {
    // Its files go into the profile, not into the user's folder.
    env: { ...process.env, HOME: profile },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const ended = lastWords(firefox);
  return {
    ended,
    async close() {
      firefox.kill();
      await ended;
      await rm(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** Resolves when the process has ended, with the end of what it wrote to stderr. */
function lastWords(process: ChildProcess): Promise<string> {
  let words = '';
  process.stderr?.setEncoding('utf8').on('data', (text: string) => {
    words = (words + text).slice(-500);
  });
  return new Promise((resolve) => {
    process.once('error', ({ message }) => resolve(message));
    process.once('close', (code, signal) => resolve(`It ended with ${signal ?? code}. ${words}`));
  });
}
