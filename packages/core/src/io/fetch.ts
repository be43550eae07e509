/** Downloads a file: goes on where a connection broke, notices when one stalls, and says what went wrong. */
import { type Hash, requireHash, sha256 } from './hash.js';
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
  /** Expected SHA-256, whole or its first digits. */
  readonly sha256?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  /** Milliseconds without a byte after which the connection counts as broken. Default 30,000. */
  readonly stallTimeout?: number | undefined;
}

/** A download failed for good: the message says why and what to do. */
export class DownloadError extends Error {
  override readonly name = 'DownloadError';
}

/** The connection broke: worth another try. */
class BrokenConnection extends Error {}

/** How often a broken download is taken up again. */
const RETRIES = 3;

/** What has come so far; grows when the size is not known beforehand. */
interface Received {
  bytes: Uint8Array;
  length: number;
  total: number | undefined;
  /** Tells versions of the file apart, so that no two are ever joined; undefined when it cannot be resumed. */
  validator: string | undefined;
  hash: Hash | undefined;
}

/**
 * The bytes behind a URL. After a broken connection it goes on where it stopped, if the server says that the
 * file is still the same, and starts again if not.
 * @throws DownloadError with the status or the reason and what to do; FileFormatError over a limit or for a
 * wrong hash; the signal's reason when it is aborted.
 */
export async function download(url: string, options: DownloadOptions): Promise<Uint8Array> {
  const { signal, sha256: expected } = options;
  const received = nothing();
  for (let attempt = 0; ; attempt++) {
    signal?.throwIfAborted();
    try {
      await receive(url, received, options);
      break;
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof BrokenConnection)) throw error;
      if (attempt === RETRIES)
        throw new DownloadError(
          `Could not download ${url}: ${error.message} (${attempt + 1} tries). Check the connection, or download the file by other means and pass its path.`,
          { cause: error },
        );
      await delay(200 * 2 ** attempt, signal);
    }
  }
  // Of unknown size it grew by doubling: the spare room goes, or the weights would keep it alive.
  const bytes =
    received.length === received.bytes.length ? received.bytes : received.bytes.slice(0, received.length);
  if (received.hash && expected) requireHash(await received.hash.digest(bytes), expected);
  return bytes;
}

const nothing = (): Received => ({
  bytes: new Uint8Array(0),
  length: 0,
  total: undefined,
  validator: undefined,
  hash: undefined,
});

const delay = (milliseconds: number, signal: AbortSignal | undefined): Promise<void> =>
  new Promise((resolve, reject) => {
    const abort = (): void => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', abort);
      resolve();
    }, milliseconds);
    signal?.addEventListener('abort', abort, { once: true });
  });

/** One connection: asks for what is missing and takes in what comes. */
async function receive(url: string, received: Received, options: DownloadOptions): Promise<void> {
  const { limits, signal, onProgress, stallTimeout = 30_000 } = options;
  const connection = new AbortController();
  const abort = (): void => connection.abort(signal?.reason);
  signal?.addEventListener('abort', abort, { once: true });
  const stall = (): void =>
    connection.abort(new BrokenConnection(`no byte came for ${stallTimeout / 1000} seconds`));
  let timer = setTimeout(stall, stallTimeout);
  const alive = (): void => {
    clearTimeout(timer);
    timer = setTimeout(stall, stallTimeout);
  };
  try {
    const { length, validator } = received;
    const resume = length > 0 && validator !== undefined;
    const response = await fetch(url, {
      signal: connection.signal,
      headers: resume ? { Range: `bytes=${length}-`, 'If-Range': validator } : {},
    }).catch((error: unknown) => {
      // A resuming request needs more of a server than a plain one (a page's CORS check, for instance).
      received.validator = undefined;
      throw broken(error);
    });
    alive();
    if (!(resume && response.status === 206)) start(url, received, response, options);
    else requireContinuation(received, response);
    const reader = response.body?.getReader();
    if (!reader) throw new BrokenConnection('the answer has no body');
    for (;;) {
      const { done, value } = await reader.read().catch((error: unknown) => {
        throw broken(error);
      });
      if (done) break;
      alive();
      append(received, value, limits);
      onProgress?.({ loaded: received.length, total: received.total });
    }
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
    // Ends a connection that was left early; one that is through does not notice.
    connection.abort();
  }
  if (received.total !== undefined && received.length < received.total)
    throw new BrokenConnection(`the connection ended after ${received.length} of ${received.total} bytes`);
}

/** Begins from nothing with a fresh answer. */
function start(url: string, received: Received, response: Response, options: DownloadOptions): void {
  // 416: the file is shorter than what has come, so that it has changed. Other failures leave what has come.
  if (response.status === 416) Object.assign(received, nothing());
  requireOk(url, response);
  Object.assign(received, nothing());
  const { headers } = response;
  // The length of a compressed answer is not that of the file, and a range of it is not one of the file.
  if (!headers.get('content-encoding')) {
    const length = Number(headers.get('content-length') ?? Number.NaN);
    if (length >= 0) received.total = length;
    const etag = headers.get('etag');
    received.validator =
      (etag?.startsWith('W/') ? undefined : etag) ?? headers.get('last-modified') ?? undefined;
  }
  withinLimit('weight', options.limits, 'maxBytes', received.total ?? 0);
  received.bytes = new Uint8Array(received.total ?? 1 << 20);
  received.hash = options.sha256 === undefined ? undefined : sha256();
}

/** Checks that an answer goes on exactly where the last one broke off; a page often cannot see, and starts again. */
function requireContinuation(received: Received, response: Response): void {
  const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(response.headers.get('content-range') ?? '');
  const [, from, total] = range ?? [];
  const fits =
    from === String(received.length) &&
    (total === '*' || received.total === undefined || total === String(received.total));
  if (fits) return;
  received.validator = undefined;
  throw new BrokenConnection('the server answered with another part than the missing one');
}

function requireOk(url: string, { ok, status, statusText }: Response): void {
  if (ok && status !== 206) return;
  const answer = `the server answered ${status}${statusText && ` ${statusText}`}`;
  if (ok || status >= 500 || status === 416 || status === 429 || status === 408)
    throw new BrokenConnection(answer);
  const advice =
    status === 404 || status === 410
      ? 'The file has moved or never was there; check the URL.'
      : 'The server refuses; check the URL and whether the file needs a login.';
  throw new DownloadError(`Could not download ${url}: ${answer}. ${advice}`);
}

function append(received: Received, part: Uint8Array, limits: Limits): void {
  const needed = received.length + part.length;
  withinLimit('weight', limits, 'maxBytes', needed);
  if (needed > received.bytes.length) {
    // More than was announced came whole: the answer was compressed, which a page is not always told.
    received.total = undefined;
    received.validator = undefined;
    const larger = new Uint8Array(Math.min(Math.max(needed, received.bytes.length * 2), limits.maxBytes));
    larger.set(received.bytes.subarray(0, received.length));
    received.bytes = larger;
  }
  received.bytes.set(part, received.length);
  received.hash?.update(part);
  received.length = needed;
}

/** Node hides what happened (ECONNREFUSED, ENOTFOUND) in the cause of 'fetch failed'. */
function broken(error: unknown): BrokenConnection {
  if (error instanceof BrokenConnection) return error;
  const { message, cause } = error as {
    readonly message?: string;
    readonly cause?: { readonly message?: string; readonly code?: string };
  };
  return new BrokenConnection(cause?.code || cause?.message || message || String(error), { cause: error });
}
