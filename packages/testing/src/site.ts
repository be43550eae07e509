/** A small web server on the loopback for tests in a browser: texts and files by path, and headers for all of them. */
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname } from 'node:path';

/** What a page needs to share memory between threads. */
export const isolation: Readonly<Record<string, string>> = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

const types: Readonly<Record<string, string>> = {
  '.css': 'text/css',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
};

/** A site that is being served. */
export interface Site {
  /** `http://127.0.0.1:1234`, without a slash at its end. */
  readonly origin: string;
  close(): Promise<void>;
}

/** Serves what `find` gives for a path: a text, bytes, or the place of a file; 404 where it gives nothing. Port 0 is any. */
export async function serve(
  find: (path: string) => string | Uint8Array | URL | undefined,
  headers: Readonly<Record<string, string>> = {},
  port = 0,
): Promise<Site> {
  const server = createServer(async ({ url = '/' }, response) => {
    const { pathname } = new URL(url, 'http://localhost');
    const found = find(pathname);
    const body = found instanceof URL ? await readFile(found).catch(() => undefined) : found;
    const type = types[extname(pathname) || '.html'] ?? 'application/octet-stream';
    response.writeHead(body === undefined ? 404 : 200, { 'content-type': type, ...headers }).end(body);
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
