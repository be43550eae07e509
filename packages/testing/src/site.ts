/**
 * A small web server on the loopback address for tests in a browser: serves text and files with given
 * headers, and takes what pages post.
 */
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname } from 'node:path';
import { text } from 'node:stream/consumers';

/** Headers that make a page cross-origin isolated, so that its threads can share memory. */
export const isolation: Readonly<Record<string, string>> = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

const types: Readonly<Record<string, string>> = {
  '.css': 'text/css',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.wasm': 'application/wasm',
};

/** A running server. */
export interface Site {
  /** Origin without a trailing slash, such as `http://127.0.0.1:1234`. */
  readonly origin: string;
  close(): Promise<void>;
}

/** Options of {@link serve}. */
export interface SiteOptions {
  /** Headers of each answer, or a function that gives them by path. Default: none. */
  readonly headers?: Headers | ((path: string) => Headers);
  /** Default: any free port. */
  readonly port?: number;
  /** Called with what a page posts to a path. Default: it is refused. */
  readonly onPost?: (path: string, text: string) => void;
}

type Headers = Readonly<Record<string, string>>;

/**
 * Starts a server.
 * @param find - returns the content of a path: text, bytes, or the URL of a file; undefined gives 404.
 */
export async function serve(
  find: (path: string) => string | Uint8Array | URL | undefined,
  { headers = {}, port = 0, onPost }: SiteOptions = {},
): Promise<Site> {
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    const sent = typeof headers === 'function' ? headers(pathname) : headers;
    if (request.method === 'POST' && onPost) {
      onPost(pathname, await text(request));
      response.writeHead(204, sent).end();
      return;
    }
    const found = find(pathname);
    const body = found instanceof URL ? await readFile(found).catch(() => undefined) : found;
    const type = types[extname(pathname) || '.html'] ?? 'application/octet-stream';
    response.writeHead(body === undefined ? 404 : 200, { 'content-type': type, ...sent }).end(body);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
