/**
 * Runs programs in pages: serves the cache folder and starts one browser per contender, so that contenders
 * share no process.
 */
import { createReadStream, statSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, normalize } from 'node:path';
import { type FoundBrowser, findBrowser } from '@cnn/testing/browser';
import { withTimeout } from '@cnn/testing/timeout';
import { type Browser, chromium } from 'playwright';
import { cacheFolder } from './cacheFolder.js';
import type { Job } from './messages.js';
import type { PageGlobals } from './runners/page.js';
import { PeerFailure, type RunningProgram, TIMEOUT_MS, unwrap } from './runningProgram.js';

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
};

/**
 * Serves the cache folder on the loopback address; pages are cross-origin isolated, so that they have shared
 * memory.
 */
function serveCacheFolder(): Promise<Server> {
  const server = createServer((request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname));
    response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
    response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
    if (path === '/') {
      response.setHeader('Content-Type', 'text/html');
      response.end('<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">');
      return;
    }
    const file = statSync(cacheFolder + path, { throwIfNoEntry: false });
    if (path.includes('..') || !file?.isFile()) {
      response.writeHead(404).end();
      return;
    }
    response.setHeader('Content-Type', types[extname(path)] ?? 'application/octet-stream');
    response.setHeader('Content-Length', file.size);
    createReadStream(cacheFolder + path).pipe(response);
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => resolve(server));
  });
}

/** Browsers, one per contender; they stay open from one network to the next. */
export interface Browsers {
  readonly version: string;
  /** Starts a program of the cache folder on a job, in a new page of the contender's browser. */
  start(contender: string, program: string, job: Job, signal: AbortSignal): Promise<RunningProgram>;
  close(): Promise<void>;
}

/** Finds a browser and starts the server. @throws Error if there is no browser. */
export async function openBrowsers(path: string | undefined): Promise<Browsers> {
  if (path) process.env.CHROMIUM_PATH = path;
  const found: FoundBrowser | undefined = await findBrowser();
  if (!found) throw new Error('No Chromium was found; install one, or pass its path with --browser <path>.');
  const server = await serveCacheFolder();
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const open = new Map<string, Browser>();
  const browserFor = async (contender: string): Promise<Browser> => {
    const known = open.get(contender) ?? (await chromium.launch({ ...found, handleSIGINT: false }));
    open.set(contender, known);
    return known;
  };
  const close = async (): Promise<void> => {
    await Promise.all([...open.values()].map((browser) => browser.close()));
    open.clear();
    server.closeAllConnections();
    server.close();
  };
  return {
    version: (await browserFor('version')).version(),
    async start(contender, program, job, signal) {
      signal.throwIfAborted();
      const page = await (await browserFor(contender)).newPage();
      const end = (): Promise<void> => page.close();
      try {
        page.setDefaultTimeout(TIMEOUT_MS);
        let problem = '';
        page.on('pageerror', (error) => {
          problem ||= error.message;
        });
        await page.goto(origin);
        await page.addScriptTag({ type: 'module', url: `${origin}${program}` });
        await page.waitForFunction(() => (globalThis as PageGlobals).runner !== undefined);
        const answer = await answerOf(
          page.evaluate((job) => (globalThis as PageGlobals).runner!.start(job), {
            ...job,
            files: origin + job.files,
          }),
          () => problem,
        );
        return {
          started: unwrap(answer),
          block: async (request) =>
            unwrap(
              await answerOf(
                page.evaluate((request) => (globalThis as PageGlobals).runner!.block(request), request),
                () => problem,
              ),
            ),
          end,
        };
      } catch (error) {
        await end();
        throw error;
      }
    },
    close,
  };
}

/** Settles with a page's answer; `problem` adds the page's error, if any. */
const answerOf = <T>(promise: Promise<T>, problem: () => string): Promise<T> =>
  withTimeout(
    promise,
    TIMEOUT_MS,
    () => new PeerFailure(`no answer within ${TIMEOUT_MS / 1000} seconds. ${problem()}`),
  );
