/** Downloads a file: goes on where a connection broke, notices when one stalls, and says what went wrong. */
import { FileFormatError } from '../errors.js';
import { type Limits, withinLimit } from './limits.js';

/** How far a download or a read has come, in bytes. */
export interface Progress {
  readonly loaded: number;
  /** Size of the whole, when it is known. */
  readonly total: number | undefined;
}

/** Options of {@link download}. */
export interface DownloadOptions {
  readonly limits: Limits;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  /** Milliseconds without a byte after which the connection counts as broken. Default 30,000. */
  readonly stallTimeout?: number | undefined;
  /** How often a broken download is taken up again. Default 3. */
  readonly retries?: number | undefined;
}

/** A download failed for good: the message says why and what to do. */
export class DownloadError extends Error {
  override readonly name = 'DownloadError';
}

/** The connection broke: worth another try. */
class BrokenConnection extends Error {}

/** What has come so far; grows when the size is not known beforehand. */
interface Received {
  bytes: Uint8Array;
  length: number;
  total: number | undefined;
  /** Tells versions of the file apart, so that no two are ever joined. */
  validator: string | undefined;
}

/**
 * The bytes behind an http(s) URL.
 * @throws DownloadError with the status or the reason and what to do; FileFormatError over a limit.
 */
export async function download(url: string, options: DownloadOptions): Promise<Uint8Array> {
  const { retries = 3, signal } = options;
  const received: Received = { bytes: new Uint8Array(0), length: 0, total: undefined, validator: undefined };
  for (let attempt = 0; ; attempt++) {
    try {
      await receive(url, received, options);
      return received.bytes.subarray(0, received.length);
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof BrokenConnection)) throw error;
      if (attempt >= retries)
        throw new DownloadError(
          `Could not download ${url}: ${error.message} (${attempt + 1} tries). Check the connection, or download the file by other means and pass its path.`,
        );
      await new Promise((resolve) => setTimeout(resolve, 200 * 2 ** attempt));
    }
  }
}

async function receive(url: string, received: Received, options: DownloadOptions): Promise<void> {
  const { limits, signal, onProgress, stallTimeout = 30_000 } = options;
  const stalled = new AbortController();
  let timer = setTimeout(() => stalled.abort(), stallTimeout);
  const alive = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => stalled.abort(), stallTimeout);
  };
  try {
    const resume = received.length > 0 && received.validator;
    const response = await fetch(url, {
      signal: signal ? AbortSignal.any([signal, stalled.signal]) : stalled.signal,
      headers: resume ? { Range: `bytes=${received.length}-`, 'If-Range': received.validator! } : {},
    });
    alive();
    if (response.status !== 206) {
      received.length = 0;
      requireOk(url, response);
      const length = response.headers.get('content-encoding') ? null : response.headers.get('content-length');
      received.total = length === null ? undefined : Number(length);
      received.validator = response.headers.get('etag') ?? response.headers.get('last-modified') ?? undefined;
      withinLimit('weight', limits, 'maxBytes', received.total ?? 0);
      received.bytes = new Uint8Array(received.total ?? 1 << 20);
    }
    if (!response.body) throw new BrokenConnection('the answer has no body');
    const reader = response.body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      alive();
      append(received, value, limits);
      onProgress?.({ loaded: received.length, total: received.total });
    }
  } catch (error) {
    if (error instanceof DownloadError || error instanceof FileFormatError) throw error;
    if (stalled.signal.aborted) throw new BrokenConnection(`no byte came for ${stallTimeout / 1000} seconds`);
    throw new BrokenConnection(reasonOf(error));
  } finally {
    clearTimeout(timer);
  }
  if (received.total !== undefined && received.length !== received.total)
    throw new BrokenConnection(`the connection ended after ${received.length} of ${received.total} bytes`);
}

/** Node hides what happened (ECONNREFUSED, ENOTFOUND) in the cause of 'fetch failed'. */
function reasonOf(error: unknown): string {
  const { message, cause } = error as {
    readonly message?: string;
    readonly cause?: { readonly message?: string; readonly code?: string };
  };
  return cause?.code || cause?.message || message || String(error);
}

function requireOk(url: string, { ok, status, statusText }: Response): void {
  if (ok) return;
  if (status >= 500 || status === 429 || status === 408)
    throw new BrokenConnection(`the server answered ${status} ${statusText}`);
  const advice =
    status === 404 || status === 410
      ? 'The file has moved or never was there; check the URL.'
      : 'The server refuses; check the URL and whether the file needs a login.';
  throw new DownloadError(
    `Could not download ${url}: the server answered ${status} ${statusText}. ${advice}`,
  );
}

function append(received: Received, part: Uint8Array, limits: Limits): void {
  const needed = received.length + part.length;
  withinLimit('weight', limits, 'maxBytes', needed);
  if (needed > received.bytes.length) {
    const larger = new Uint8Array(Math.max(needed, received.bytes.length * 2));
    larger.set(received.bytes.subarray(0, received.length));
    received.bytes = larger;
  }
  received.bytes.set(part, received.length);
  received.length = needed;
}
