/** Downloads files: resumes broken connections, detects stalled ones, and reports errors with advice. */
import { FileFormatError } from '../errors.js';
import { platformName } from '../platformName.js';
import { excerpt } from '../printable.js';
import { type Hash, requireHash, sha256 } from './hash.js';
import { allocated, type SharedLimits, unpackedBudget, withinLimit } from './limits.js';
import { addressOf, shownUrl } from './url.js';

/** Progress of a download or a read, in bytes. */
export interface Progress {
  readonly loaded: number;
  /** Size of the whole file; undefined if it is not known. */
  readonly total: number | undefined;
}

/** Options of {@link download}. */
export interface DownloadOptions {
  readonly limits: SharedLimits;
  /** Expected SHA-256 in hexadecimal digits: all 64 or the first ones. */
  readonly sha256?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  /**
   * Milliseconds without a byte after which the connection counts as broken; from 2^31, as `Infinity`, it never
   * does. Default 30,000.
   */
  readonly stallTimeout?: number | undefined;
  /** `'error'` refuses redirects. Default `'follow'`: they are followed, to other origins too. */
  readonly redirect?: 'follow' | 'error' | undefined;
}

/**
 * A download that failed after all retries, that cannot work, or that the server refused; the message says why and
 * what to do.
 */
export class DownloadError extends Error {
  override readonly name = 'DownloadError';
  readonly code = 'ERR_DOWNLOAD';
}

/** A failure that is retried. */
class BrokenConnection extends Error {}

/** Retries after the first attempt, and after each that went further than all before; they wait 0.2, 0.4 and 0.8 seconds. */
const RETRIES = 3;

/** The part of a file received so far. */
interface Received {
  /** A buffer of the file's size, or one that grows by doubling if the size is not known. */
  bytes: Uint8Array;
  /** Bytes received. */
  length: number;
  /** Size of the file in bytes; undefined if it is not known. */
  total: number | undefined;
  /** Version of the file, for `If-Range`: parts of two versions are never joined. Undefined if it cannot be resumed. */
  version: Version | undefined;
  /** Bytes that a compressed response may unpack to. */
  most: number;
  hash: Hash | undefined;
}

/** The version of a file by the headers of a response. */
interface Version {
  readonly etag: string | null;
  readonly modified: string | null;
}

const versionOf = ({ headers }: Response): Version => ({
  etag: headers.get('etag'),
  modified: headers.get('last-modified'),
});

/** Gives the ETag if it is a strong one: in quotes, and without `W/`, which marks equal meaning, not equal bytes. */
const strong = ({ etag }: Version): string | undefined => (etag && /^"[^"]*"$/.test(etag) ? etag : undefined);

/** Gives the value of `If-Range`; undefined if no version is known. */
const validatorOf = (version: Version | undefined): string | undefined =>
  version && (strong(version) ?? version.modified ?? undefined);

/**
 * True if a part is of the same version: neither header differs, and without a strong ETag, which the server has
 * compared with `If-Range`, it says the same time of modification.
 */
const isSame = (whole: Version, part: Version): boolean =>
  (part.etag === null || part.etag === whole.etag) &&
  (part.modified === null ? strong(whole) !== undefined : part.modified === whole.modified);

/** Milliseconds of the longest timer; longer ones fire at once. */
const MAX_TIMER = 2 ** 31 - 1;

/**
 * Downloads the file at a URL. After a broken connection it resumes where it stopped (`Range` with
 * `If-Range`) if the file has not changed on the server, else it starts again.
 * A user and password in the URL are sent as Basic authorization; no message shows them, nor the query.
 * @throws DownloadError with the status or the reason, and what to do.
 * @throws TypeError if it is not a URL.
 * @throws FileFormatError over `maxBytes` or for a wrong hash.
 * @throws the signal's reason once it is aborted.
 */
export async function download(url: string, options: DownloadOptions): Promise<Uint8Array> {
  const { signal, sha256: expected } = options;
  requireDownloadable(url);
  const received = nothing();
  /** Most bytes that any attempt has reached. */
  let furthest = 0;
  /** Failed attempts in a row of which only the first may have gone further. */
  let failures = 0;
  for (let attempt = 1; ; attempt++) {
    signal?.throwIfAborted();
    try {
      await receive(url, received, options);
      break;
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof BrokenConnection)) throw error;
      failures = received.length > furthest ? 1 : failures + 1;
      furthest = Math.max(furthest, received.length);
      if (failures > RETRIES)
        throw new DownloadError(
          `Could not download ${shownUrl(url)}: ${error.message} (${attempt} tries). Check the connection, or download the file by other means and pass its path.`,
          { cause: error },
        );
      await delay(200 * 2 ** (failures - 1), signal);
    }
  }
  // A buffer that grew by doubling is copied to its length: views of it would keep the spare bytes alive.
  const bytes =
    received.length === received.bytes.length ? received.bytes : received.bytes.slice(0, received.length);
  if (received.hash && expected) requireHash(await received.hash.digest(bytes), expected);
  return bytes;
}

const nothing = (): Received => ({
  bytes: new Uint8Array(0),
  length: 0,
  total: undefined,
  version: undefined,
  most: Number.POSITIVE_INFINITY,
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

/** Opens one connection: requests the missing part of the file and receives it. */
async function receive(url: string, received: Received, options: DownloadOptions): Promise<void> {
  const { limits, signal, onProgress, stallTimeout = 30_000, redirect = 'follow' } = options;
  const address = addressOf(url);
  const connection = new AbortController();
  const abort = (): void => connection.abort(signal?.reason);
  signal?.addEventListener('abort', abort, { once: true });
  const stall = (): void =>
    connection.abort(new BrokenConnection(`no byte arrived for ${stallTimeout / 1000} seconds`));
  let timer: ReturnType<typeof setTimeout> | undefined;
  const alive = (): void => {
    clearTimeout(timer);
    if (stallTimeout <= MAX_TIMER) timer = setTimeout(stall, stallTimeout);
  };
  const fail = (reason: string, cause: unknown): never => {
    throw new DownloadError(`Could not download ${shownUrl(url)}: ${reason}.`, { cause });
  };
  // Node's fetch forgets its signal if that is collected as garbage before the body ends.
  const aborted = new Promise<never>((_, reject) =>
    connection.signal.addEventListener('abort', () => reject(connection.signal.reason)),
  );
  aborted.catch(() => undefined);
  alive();
  try {
    const { length } = received;
    const validator = validatorOf(received.version);
    const resume = length > 0 && validator !== undefined;
    const responding = fetch(address.href, {
      signal: connection.signal,
      headers: {
        ...address.headers,
        ...(resume ? { Range: `bytes=${length}-`, 'If-Range': validator } : {}),
      },
      // Manual, since fetch's own 'error' does not say in a page why it failed.
      redirect: redirect === 'error' ? 'manual' : 'follow',
    });
    const response = await Promise.race([responding, aborted]).catch((error: unknown) => {
      const reason = permanentFailure(error);
      if (reason) fail(reason, error);
      // A request with Range can fail where a plain one succeeds (CORS in a page): retry without.
      received.version = undefined;
      throw broken(error);
    });
    alive();
    if (redirect === 'error') requireNoRedirect(url, response);
    if (!(resume && response.status === 206)) start(url, received, response, options);
    else requireContinuation(received, response);
    const reader = response.body?.getReader();
    if (!reader) throw new BrokenConnection('the response has no body');
    // Ends a read that waits.
    aborted.catch((reason: unknown) => reader.cancel(reason).catch(() => undefined));
    for (;;) {
      const { done, value } = await reader.read().catch((error: unknown) => {
        if (codeOf(error) === 'Z_DATA_ERROR')
          fail(
            'the server announces a compressed response, but its bytes are not compressed, or damaged; download the file by other means and pass its path (Z_DATA_ERROR)',
            error,
          );
        throw broken(error);
      });
      if (connection.signal.aborted) throw broken(connection.signal.reason);
      if (done) break;
      alive();
      append(received, value, limits);
      onProgress?.({ loaded: received.length, total: received.total });
    }
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
    // Closes a connection that was abandoned early; has no effect on a finished one.
    connection.abort();
  }
  if (received.total !== undefined && received.length < received.total)
    throw new BrokenConnection(`the connection ended after ${received.length} of ${received.total} bytes`);
}

/** Starts the download again from the first byte, with the given response. */
function start(url: string, received: Received, response: Response, options: DownloadOptions): void {
  // 416: the file is shorter than the received part, so it has changed. Other errors keep that part.
  if (response.status === 416) Object.assign(received, nothing());
  requireOk(url, response);
  Object.assign(received, nothing());
  const { headers } = response;
  const length = Number(headers.get('content-length') ?? Number.NaN);
  if (length >= 0) received.most = unpackedBudget(length);
  // Content-Length and ranges of a compressed response count compressed bytes, not the file's.
  if (!headers.get('content-encoding')) {
    if (length >= 0) received.total = length;
    received.version = versionOf(response);
  }
  withinLimit('weight', options.limits, 'maxBytes', received.total ?? 0);
  received.bytes = allocated(received.total ?? 1 << 20);
  received.hash = options.sha256 === undefined ? undefined : sha256();
}

/**
 * Requires that a partial response (206) continues exactly where the last one ended, in the same version of the file: a
 * server may not know `If-Range`. In a page, CORS often hides Content-Range; the download then starts again.
 */
function requireContinuation(received: Received, response: Response): void {
  const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(response.headers.get('content-range') ?? '');
  const [, from, total] = range ?? [];
  const fits =
    from === String(received.length) &&
    (total === '*' || received.total === undefined || total === String(received.total));
  const same =
    received.version !== undefined &&
    isSame(received.version, versionOf(response)) &&
    !response.headers.get('content-encoding');
  if (fits && same) return;
  received.version = undefined;
  throw new BrokenConnection(
    fits
      ? 'the server answered with a part of another version, or a compressed one'
      : 'the server answered with another range than the requested one',
  );
}

/** Throws unless there is a fetch, and it supports the scheme of the URL. A page gives no reason for its failure. */
function requireDownloadable(url: string): void {
  if (typeof fetch !== 'function')
    throw new DownloadError(
      `Could not download ${shownUrl(url)}: there is no fetch in ${platformName()}. Download the file by other means, and pass its path or bytes.`,
    );
  const { protocol } = new URL(addressOf(url).href);
  if (!['http:', 'https:', 'blob:', 'data:'].includes(protocol))
    throw new DownloadError(
      `Could not download ${shownUrl(url)}: ${protocol} is not supported. Give an http or https URL, or download the file by other means and pass its path.`,
    );
}

/** Throws if the response is a redirect. Pages get no status of redirects. */
function requireNoRedirect(url: string, { type, status, headers }: Response): void {
  const location = headers.get('location');
  if (type !== 'opaqueredirect' && !(status >= 300 && status < 400 && location)) return;
  throw new DownloadError(
    `Could not download ${shownUrl(url)}: the server redirects${location ? ` to ${shownUrl(location)}` : ''}, which the option redirect: 'error' forbids. Give the URL of the file itself.`,
  );
}

/** Failures that another try does not mend, by what Node's fetch says of them; with what to do. */
const permanentFailures: readonly (readonly [RegExp, string])[] = [
  [/redirect count exceeded|too many redirects/i, 'the server redirects in a circle; check the URL'],
  [
    /cross origin not allowed|URL (?:cannot contain|includes) credentials/i,
    'the server redirects to a URL with a user and password, which fetch refuses; give the URL of the file itself',
  ],
  [/invalid url|ERR_INVALID_URL/i, 'the server redirects to an address that is no URL; check the URL'],
  [/bad port/i, 'fetch refuses the port of the URL; check the URL'],
  [
    /unknown scheme|must be a HTTP/i,
    'the server redirects to an address that is not http or https; check the URL',
  ],
  [/^HPE_/, 'the server does not speak HTTP, or breaks its rules; check the port of the URL'],
  [/^ERR_SSL_/, 'the server does not speak TLS; check whether its URL starts with http'],
  [
    /^(CERT_|ERR_TLS_CERT|DEPTH_ZERO_SELF_SIGNED|SELF_SIGNED|UNABLE_TO_(GET_ISSUER|VERIFY))/,
    'the certificate of the server is not valid; name your own authority with NODE_EXTRA_CA_CERTS',
  ],
];

/** Gives the reason of a failure that another try does not mend; undefined for all others. */
function permanentFailure(error: unknown): string | undefined {
  const { code, message } =
    (error as { readonly cause?: { readonly code?: string; readonly message?: string } }).cause ?? {};
  const found = permanentFailures.find(([pattern]) => pattern.test(code ?? message ?? ''));
  return found && `${found[1]} (${excerpt(code ?? message ?? '')})`;
}

/** Gives the code of the cause of a failure. */
const codeOf = (error: unknown): string | undefined =>
  (error as { readonly cause?: { readonly code?: string } } | undefined)?.cause?.code;

/** Requires a whole file, as the answer to a request without Range, or to one whose part is gone. */
function requireOk(url: string, { ok, status, statusText }: Response): void {
  const isEmpty = status === 204 || status === 205;
  if (ok && status !== 206 && !isEmpty) return;
  const answer = `the server answered ${status}${statusText && ` ${excerpt(statusText)}`}`;
  if (ok)
    throw new DownloadError(
      `Could not download ${shownUrl(url)}: ${answer}, ${isEmpty ? 'which has no content' : 'a part of the file, to a request for the whole'}. Check the URL, or download the file by other means and pass its path.`,
    );
  if (status >= 500 || status === 416 || status === 429 || status === 408) throw new BrokenConnection(answer);
  const advice =
    status === 404 || status === 410
      ? 'The file has moved or never was there; check the URL.'
      : 'The server refuses; check the URL and whether the file needs a login.';
  throw new DownloadError(`Could not download ${shownUrl(url)}: ${answer}. ${advice}`);
}

function append(received: Received, part: Uint8Array, limits: SharedLimits): void {
  const needed = received.length + part.length;
  withinLimit('weight', limits, 'maxBytes', needed);
  if (needed > received.most)
    throw new FileFormatError(
      'weight',
      `the server sends it compressed, and it unpacks to more than ${received.most.toLocaleString('en-US')} bytes, 32 times what is sent. Download it by other means if you trust it, and pass its path`,
    );
  if (needed > received.bytes.length) {
    // More bytes than announced: the response was compressed, and CORS can hide Content-Encoding from a page.
    received.total = undefined;
    received.version = undefined;
    const larger = allocated(Math.min(Math.max(needed, received.bytes.length * 2), limits.maxBytes));
    larger.set(received.bytes.subarray(0, received.length));
    received.bytes = larger;
  }
  received.bytes.set(part, received.length);
  received.hash?.update(part);
  received.length = needed;
}

/** Wraps an error of fetch. Node gives the reason (ECONNREFUSED, ENOTFOUND) in its cause. */
function broken(error: unknown): BrokenConnection {
  if (error instanceof BrokenConnection) return error;
  const { message, cause } = error as {
    readonly message?: string;
    readonly cause?: { readonly message?: string; readonly code?: string };
  };
  return new BrokenConnection(excerpt(cause?.code || cause?.message || message || String(error)), {
    cause: error,
  });
}
