/** Programs in pages: a server for the workplace's files, and a browser for each peer, so that each has processes of its own. */
import { createReadStream, statSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, normalize } from 'node:path';
import { type FoundBrowser, findBrowser } from '@cnn/testing/browser';
import { withTimeout } from '@cnn/testing/timeout';
import { type Browser, chromium } from 'playwright';
import type { PageGlobals } from './hosts/page.js';
import type { Job } from './protocol.js';
import { PATIENCE, PeerFailure, type Running, unwrap } from './running.js';
import { workplace } from './workplace.js';

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
};

/** Serves the workplace on the loopback address, isolated from other origins, so that pages have shared memory. */
function serveWorkplace(): Promise<Server> {
  const server = createServer((request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname));
    response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
    response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
    if (path === '/') {
      response.setHeader('Content-Type', 'text/html');
      response.end('<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">');
      return;
    }
    const file = statSync(workplace + path, { throwIfNoEntry: false });
    if (path.includes('..') || !file?.isFile()) {
      response.writeHead(404).end();
      return;
    }
    response.setHeader('Content-Type', types[extname(path)] ?? 'application/octet-stream');
    response.setHeader('Content-Length', file.size);
    createReadStream(workplace + path).pipe(response);
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => resolve(server));
  });
}

/** Browsers that are kept from one network to the next, one for each contender. */
export interface Browsers {
  readonly version: string;
  /** Starts a program of the workplace on a job, in a new page of the contender's browser. */
  start(contender: string, program: string, job: Job, signal: AbortSignal): Promise<Running>;
  close(): Promise<void>;
}

/** Finds a browser, and starts the server. @throws Error where there is no browser. */
export async function openBrowsers(path: string | undefined): Promise<Browsers> {
  if (path) process.env.CHROMIUM_PATH = path;
  const found: FoundBrowser | undefined = await findBrowser();
  if (!found) throw new Error('There is no Chromium; install one, or name it with --browser <path>.');
  const server = await serveWorkplace();
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
        page.setDefaultTimeout(PATIENCE);
        let problem = '';
        page.on('pageerror', (error) => {
          problem ||= error.message;
        });
        await page.goto(origin);
        await page.addScriptTag({ type: 'module', url: `${origin}${program}` });
        await page.waitForFunction(() => (globalThis as PageGlobals).program !== undefined);
        const answer = await inTime(
          page.evaluate((job) => (globalThis as PageGlobals).program!.start(job), {
            ...job,
            files: origin + job.files,
          }),
          () => problem,
        );
        return {
          started: unwrap(answer),
          block: async (request) =>
            unwrap(
              await inTime(
                page.evaluate((request) => (globalThis as PageGlobals).program!.block(request), request),
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

/** The answer of a page; `problem` says what has gone wrong in it so far. */
const inTime = <T>(work: Promise<T>, problem: () => string): Promise<T> =>
  withTimeout(
    work,
    PATIENCE,
    () => new PeerFailure(`no answer within ${PATIENCE / 1000} seconds. ${problem()}`),
  );
