import { createHash } from 'node:crypto';
import { rmSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { gzipSync } from 'node:zlib';
import { plain } from '@cnn/testing/weightFiles';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { FileFormatError } from '../errors.js';
import { tensor, type Weights } from '../tensor/tensor.js';
import { DownloadError, type Progress } from './fetch.js';
import type { ReadWeightsOptions } from './options.js';
import { readWeights } from './readWeights.js';
import { writeSafetensors } from './safetensors.js';

/** 256 KiB: more than one packet, so that a connection can break in the middle. */
const weights: Weights = new Map([
  [
    'x',
    tensor(
      Float32Array.from({ length: 65_536 }, (_, i) => i),
      [65_536],
    ),
  ],
]);
const file = writeSafetensors(weights);
const hash = createHash('sha256').update(file).digest('hex');
const half = file.length >> 1;

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

let server: Server;
let cacheDir: string;
/** One answer for each request; the last goes on. */
let answers: Answer[];
let requests: IncomingMessage[];

beforeEach(async () => {
  requests = [];
  server = createServer((request, response) => {
    const answer = answers[Math.min(requests.length, answers.length - 1)]!;
    requests.push(request);
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cacheDir = await mkdtemp(join(tmpdir(), 'cnn-cache-'));
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await rm(cacheDir, { recursive: true });
});

const url = (name = 'x.safetensors'): string =>
  `http://127.0.0.1:${(server.address() as AddressInfo).port}/models/${name}?token=secret`;
const read = (options: ReadWeightsOptions = {}): Promise<Weights> =>
  readWeights(url(), { cacheDir, ...options });
const reads = async (options?: ReadWeightsOptions): Promise<void> =>
  expect(plain(await read(options))).toEqual(plain(weights));

/** Gives the names of the kept downloads; each has its digest beside it. */
async function kept(): Promise<readonly string[]> {
  const names = await readdir(cacheDir);
  const files = names.filter((name) => !name.endsWith('.sha256'));
  expect([...names].sort()).toEqual(files.flatMap((name) => [name, `${name}.sha256`]).sort());
  return files;
}

const whole: Answer = (_, response) => {
  response.writeHead(200, { 'content-length': file.length });
  response.end(file);
};
const status =
  (code: number, headers = {}): Answer =>
  (_, response) =>
    response.writeHead(code, headers).end('<html>');
/** Half of the file, then the connection is cut. */
const broken =
  (headers: Record<string, string> = {}): Answer =>
  (_, response) => {
    response.writeHead(200, { 'content-length': file.length, ...headers });
    response.write(file.subarray(0, half), () => setTimeout(() => response.destroy(), 20));
  };
/** The part that is asked for, or the whole when it has changed; as a web server does it. */
const resumable =
  (etag: string): Answer =>
  (request, response) => {
    const from = /^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1];
    if (from === undefined || request.headers['if-range'] !== etag) return whole(request, response);
    response.writeHead(206, {
      'content-length': file.length - Number(from),
      'content-range': `bytes ${from}-${file.length - 1}/${file.length}`,
    });
    response.end(file.subarray(Number(from)));
  };

describe('what comes whole', () => {
  test('is read, with progress up to its size and the hash checked', async () => {
    answers = [whole];
    const seen: Progress[] = [];
    await reads({ sha256: hash, onProgress: (progress) => seen.push(progress) });
    expect(seen.at(-1)).toEqual({ loaded: file.length, total: file.length });
    expect(seen.map(({ loaded }) => loaded)).toEqual(seen.map(({ loaded }) => loaded).sort((a, b) => a - b));
  });

  test('may be of unknown size, or compressed on its way', async () => {
    answers = [(_, response) => response.end(file)];
    await reads({ sha256: hash, cache: false });
    answers = [
      (_, response) => {
        const packed = gzipSync(file);
        response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': packed.length }).end(packed);
      },
    ];
    await reads({ sha256: hash, cache: false });
  });

  test('may be a URL object', async () => {
    answers = [whole];
    expect((await readWeights(new URL(url()), { cache: false })).size).toBe(1);
  });

  test('is refused with another hash, and not kept', async () => {
    answers = [whole];
    const wrong = read({ sha256: '0'.repeat(64) });
    await expect(wrong).rejects.toThrow(FileFormatError);
    await expect(wrong).rejects.toThrow(`starts with ${hash}, expected ${'0'.repeat(64)}`);
    expect(await kept()).toEqual([]);
  });
});

describe('a connection that breaks', () => {
  test('is taken up where it ended', async () => {
    answers = [broken({ etag: '"v1"' }), resumable('"v1"')];
    const seen: number[] = [];
    await reads({ sha256: hash, onProgress: ({ loaded }) => seen.push(loaded) });
    const [, second] = requests;
    expect(second!.headers['if-range']).toBe('"v1"');
    const from = Number(/^bytes=(\d+)-$/.exec(second!.headers.range!)![1]);
    expect(from).toBeGreaterThan(0);
    expect(from).toBeLessThanOrEqual(half);
    expect(Math.min(...seen.slice(seen.indexOf(from) + 1))).toBeGreaterThan(from);
  });

  test('starts again when the file has changed meanwhile', async () => {
    answers = [broken({ etag: '"old"' }), resumable('"new"')];
    await reads({ sha256: hash });
    expect(requests[1]!.headers['if-range']).toBe('"old"');
  });

  test.each([
    ['says nothing about versions', {}],
    ['gives a weak validator', { etag: 'W/"v1"' }],
  ])('starts again when the server %s', async (_, headers) => {
    answers = [broken(headers), whole];
    await reads({ sha256: hash });
    expect(requests[1]!.headers.range).toBeUndefined();
  });

  test.each<[string, Answer]>([
    [
      'another part',
      (_, response) => {
        response.writeHead(206, { 'content-range': `bytes 0-${half - 1}/${file.length}` });
        response.end(file.subarray(0, half));
      },
    ],
    ['a part it does not name', (_, response) => response.writeHead(206).end(file.subarray(0, half))],
    [
      'a part of a file of another size',
      (request, response) => {
        const from = Number(/\d+/.exec(request.headers.range!)![0]);
        response.writeHead(206, { 'content-range': `bytes ${from}-${file.length + 9}/${file.length + 10}` });
        response.end();
      },
    ],
    ['that there is no such part', status(416)],
    [
      'a part of another version',
      (request, response) => {
        const from = Number(/\d+/.exec(request.headers.range!)![0]);
        response.writeHead(206, {
          'content-range': `bytes ${from}-${file.length - 1}/${file.length}`,
          'last-modified': 'Tue, 02 Jan 2024 00:00:00 GMT',
        });
        response.end(new Uint8Array(file.length - from));
      },
    ],
  ])('starts again when the server answers with %s', async (_, answer) => {
    answers = [broken({ 'last-modified': 'Mon, 01 Jan 2024 00:00:00 GMT' }), answer, whole];
    await reads({ sha256: hash });
    expect(requests.map(({ headers }) => headers.range !== undefined)).toEqual([false, true, false]);
  });

  test('starts again when the part has another ETag', async () => {
    const other: Answer = (request, response) => {
      const from = Number(/\d+/.exec(request.headers.range!)![0]);
      const headers = { 'content-range': `bytes ${from}-${file.length - 1}/${file.length}`, etag: '"v2"' };
      response.writeHead(206, headers).end(new Uint8Array(file.length - from));
    };
    answers = [broken({ etag: '"v1"' }), other, whole];
    await reads();
    expect(requests.length).toBe(3);
  });

  const monday = 'Mon, 01 Jan 2024 00:00:00 GMT';
  const tuesday = 'Tue, 02 Jan 2024 00:00:00 GMT';
  test.each<[string, Record<string, string>, Record<string, string>, boolean]>([
    ['an ETag without quotes', { etag: 'abc' }, { etag: 'def' }, false],
    ['another weak ETag', { etag: 'W/"a"', 'last-modified': monday }, { etag: 'W/"b"' }, true],
    [
      'another weak ETag of the same time',
      { etag: 'W/"a"', 'last-modified': monday },
      { etag: 'W/"b"', 'last-modified': monday },
      true,
    ],
    [
      'the time of another version',
      { etag: '"a"', 'last-modified': monday },
      { 'last-modified': tuesday },
      true,
    ],
    ['no time', { 'last-modified': monday }, {}, true],
    ['a compressed part', { etag: '"a"' }, { etag: '"a"', 'content-encoding': 'gzip' }, true],
  ])('never joins parts by %s', async (_, first, second, asked) => {
    const part: Answer = (request, response) => {
      const from = Number(/\d+/.exec(request.headers.range ?? '0')![0]);
      response.writeHead(206, {
        'content-range': `bytes ${from}-${file.length - 1}/${file.length}`,
        ...second,
      });
      const rest = new Uint8Array(file.length - from);
      response.end(second['content-encoding'] ? gzipSync(rest) : rest);
    };
    answers = asked ? [broken(first), part, whole] : [broken(first), whole];
    await reads();
    expect(requests.map(({ headers }) => headers.range !== undefined)).toEqual(
      asked ? [false, true, false] : [false, false],
    );
  });

  test('is tried on for as long as each attempt brings further bytes', async () => {
    const step = Math.ceil(file.length / 7);
    const some: Answer = (request, response) => {
      const from = Number(/\d+/.exec(request.headers.range ?? '0')![0]);
      const end = { 'content-range': `bytes ${from}-${file.length - 1}/${file.length}` };
      response.writeHead(from > 0 ? 206 : 200, {
        'content-length': file.length - from,
        etag: '"v1"',
        ...(from > 0 ? end : {}),
      });
      const part = file.subarray(from, from + step);
      if (from + step >= file.length) response.end(part);
      else response.write(part, () => setTimeout(() => response.destroy(), 20));
    };
    answers = [some];
    await reads({ sha256: hash });
    expect(requests.length).toBeGreaterThan(5);
  });

  test('keeps what has come while the server is busy', async () => {
    answers = [broken({ etag: '"v1"' }), status(503), resumable('"v1"')];
    await reads({ sha256: hash });
    expect(requests.map(({ headers }) => headers.range !== undefined)).toEqual([false, true, true]);
  });

  test('is an error after four tries, and nothing is kept', async () => {
    answers = [broken()];
    const failed = read();
    await expect(failed).rejects.toThrow(DownloadError);
    await expect(failed).rejects.toThrow(
      /\(4 tries\). Check the connection, or download the file by other means/,
    );
    expect(requests.length).toBe(4);
    expect(await kept()).toEqual([]);
  });

  test('counts as broken when it stalls', async () => {
    answers = [
      (_, response) => {
        response.writeHead(200, { 'content-length': file.length });
        response.write(file.subarray(0, half));
      },
      () => undefined,
      whole,
    ];
    await reads({ stallTimeout: 150, sha256: hash });
    expect(requests.length).toBe(3);
  });
});

describe('an error in one sentence', () => {
  test('escapes control characters of the server', async () => {
    answers = [(_, response) => response.writeHead(404, 'Not\xc2\x9b2JFound').end()];
    await expect(read()).rejects.toThrow(String.raw`answered 404 Not\x9b2JFound.`);
  });

  const fails = async (answer: Answer, message: RegExp, tries: number): Promise<void> => {
    answers = [answer];
    const failed = read();
    await expect(failed).rejects.toThrow(DownloadError);
    await expect(failed).rejects.toThrow(message);
    expect(requests.length).toBe(tries);
  };
  test('404', () =>
    fails(status(404), /answered 404 Not Found. The file has moved or never was there; check the URL/, 1));
  test('403', () =>
    fails(status(403), /answered 403 Forbidden. The server refuses; check the URL and whether/, 1));
  test('500', () =>
    fails(status(500), /answered 500 Internal Server Error \(4 tries\). Check the connection/, 4));

  test('no server', async () => {
    const closed = createTcpServer();
    await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve));
    const { port } = closed.address() as AddressInfo;
    await new Promise((resolve) => closed.close(resolve));
    await expect(readWeights(`http://127.0.0.1:${port}/x`, { cacheDir })).rejects.toThrow(
      /ECONNREFUSED \(4 tries\). Check the connection/,
    );
  });

  test('less than was announced', async () => {
    answers = [
      (_, response) => {
        response.writeHead(200, { 'content-length': file.length + 1 });
        response.write(file, () => setTimeout(() => response.destroy(), 20));
      },
    ];
    await expect(read()).rejects.toThrow(DownloadError);
  });

  test('a web page where weights should be, which is not kept', async () => {
    answers = [status(200)];
    await expect(read()).rejects.toThrow(
      /web page or XML; check that the URL leads to the file itself \(http/,
    );
    expect(await kept()).toEqual([]);
  });
});

describe('what another try cannot mend is tried once', () => {
  const origin = (): string => new URL(url()).origin;

  test('a circle of redirects', async () => {
    answers = [status(302, { location: '/models/x.safetensors' })];
    await expect(read()).rejects.toThrow(/the server redirects in a circle; check the URL/);
    // Fetch follows 20 redirects.
    expect(requests.length).toBe(21);
  });

  test('a redirect to no URL', async () => {
    answers = [status(302, { location: 'http://[::bad' })];
    await expect(read()).rejects.toThrow(/redirects to an address that is no URL/);
    expect(requests.length).toBe(1);
  });

  test('a redirect to another scheme', async () => {
    answers = [status(302, { location: 'ftp://127.0.0.1/x' })];
    await expect(read()).rejects.toThrow(/redirects to an address that is not http or https/);
    expect(requests.length).toBe(1);
  });

  test('another scheme, a port that fetch refuses, and text that is no URL', async () => {
    const start = performance.now();
    await expect(readWeights(new URL('ftp://127.0.0.1/x'))).rejects.toThrow(
      'Could not download ftp://127.0.0.1/x: ftp: is not supported. Give an http or https URL',
    );
    await expect(readWeights('ftp://me:secret@127.0.0.1/x')).rejects.toThrow(
      'Could not download ftp://127.0.0.1/x: ftp: is not supported.',
    );
    await expect(readWeights('http://127.0.0.1:25/x', { cacheDir })).rejects.toThrow(
      /fetch refuses the port of the URL; check the URL \(bad port\)/,
    );
    await expect(readWeights('http://me:secret@', { cacheDir })).rejects.toThrow(
      'http:// is not a complete URL; check it.',
    );
    await expect(readWeights(`${origin().replace('http', 'https')}/x`, { cacheDir })).rejects.toThrow(
      'the server does not speak TLS; check whether its URL starts with http',
    );
    expect(performance.now() - start).toBeLessThan(1000);
  });

  test("a redirect with redirect: 'error'", async () => {
    answers = [status(302, { location: 'http://127.0.0.1:1/x?token=secret' }), whole];
    await expect(read({ redirect: 'error' })).rejects.toThrow(
      "the server redirects to http://127.0.0.1:1/x?..., which the option redirect: 'error' forbids. Give the URL of the file itself.",
    );
    expect(requests.length).toBe(1);
    await reads({ redirect: 'error' });
  });
});

describe('what no other try mends is tried once, with a sentence', () => {
  const part = (_: IncomingMessage, response: ServerResponse) =>
    response.writeHead(206, { 'content-range': `bytes 0-9/${file.length}` }).end(file.subarray(0, 10));
  test.each<[string, Answer, RegExp]>([
    [
      'a redirect to a URL with a password',
      status(302, { location: 'http://me:secret@127.0.0.1:1/x' }),
      /password/,
    ],
    ['no content', (_, response) => response.writeHead(204).end(), /204 No Content, which has no content/],
    ['a part without Range', part, /206 Partial Content, a part of the file, to a request for the whole/],
    ['no gzip', status(200, { 'content-encoding': 'gzip' }), /not compressed, or damaged; .*Z_DATA_ERROR/],
  ])('%s', async (_, answer, message) => {
    answers = [answer];
    const failed = await read().catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(DownloadError);
    expect(String(failed)).toMatch(message);
    expect(String(failed)).not.toContain('secret');
    expect(requests.length).toBe(1);
  });
});

describe('options', () => {
  test.each([Number.NaN, 0, -1, '5'])('stallTimeout: %s is refused', async (stallTimeout) => {
    const options = { stallTimeout } as ReadWeightsOptions;
    await expect(read(options)).rejects.toThrow(TypeError);
    await expect(read(options)).rejects.toThrow(/stallTimeout/);
  });

  test.each([Number.POSITIVE_INFINITY, 2 ** 31])('stallTimeout: %s is no timer', async (stallTimeout) => {
    answers = [(request, response) => void setTimeout(() => whole(request, response), 50)];
    await reads({ stallTimeout });
    expect(requests.length).toBe(1);
  });

  test("redirect is 'follow' or 'error'", async () => {
    const options: object = { redirect: 'manual' };
    await expect(read(options)).rejects.toThrow(/^The option redirect is 'follow' or 'error', got/);
  });
});

describe('a secret in a URL', () => {
  const secret = (): string => url().replace('http://', 'http://me:pass%20word@');

  test('is sent as authorization, and is in no error', async () => {
    answers = [whole];
    expect((await readWeights(secret(), { cacheDir })).size).toBe(1);
    expect(requests[0]!.headers.authorization).toBe(`Basic ${btoa('me:pass word')}`);
    // 127.0.0.1 and localhost are two origins.
    requests = [];
    const { port } = server.address() as AddressInfo;
    answers = [status(302, { location: `http://localhost:${port}/x` }), whole];
    expect((await readWeights(secret(), { cache: false })).size).toBe(1);
    expect(requests.map(({ headers }) => headers.authorization !== undefined)).toEqual([true, false]);
    for (const answer of [status(403), status(200), status(302, { location: '/models/x.safetensors' })]) {
      answers = [answer];
      const failed = await readWeights(secret(), { cache: false }).catch((error: unknown) => error);
      expect(String(failed)).toContain('/models/x.safetensors?...');
      expect(inspect(failed, { depth: 9 })).not.toMatch(/pass|secret/);
    }
  });
});

describe('limits', () => {
  test('end a download that announces too much before a byte of it is taken', async () => {
    answers = [
      (_, response) => {
        response.writeHead(200, { 'content-length': 2 ** 40 });
        response.write('x');
      },
    ];
    const seen: Progress[] = [];
    await expect(read({ onProgress: (progress) => seen.push(progress) })).rejects.toThrow(
      /asks for 1,099,511,627,776, over the limit maxBytes/,
    );
    expect(seen).toEqual([]);
    expect(requests.length).toBe(1);
  });

  test('that are raised do not lead to an array that no engine can make', async () => {
    answers = [
      (_, response) => {
        response.writeHead(200, { 'content-length': 2 ** 50 });
        response.write('x');
      },
    ];
    const failed = read({ limits: { maxBytes: 2 ** 53 } });
    await expect(failed).rejects.toThrow(FileFormatError);
    await expect(failed).rejects.toThrow(/1,125,899,906,842,624 bytes are more than memory/);
    expect(requests.length).toBe(1);
  });

  test('end a compressed one that unpacks to more than 32 times what is announced', async () => {
    const packed = gzipSync(new Uint8Array(2 ** 23));
    answers = [
      (_, response) =>
        response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': packed.length }).end(packed),
    ];
    const failed = read({ cache: false });
    await expect(failed).rejects.toThrow(FileFormatError);
    await expect(failed).rejects.toThrow(/unpacks to more than 4,194,304 bytes, 32 times what is sent/);
    expect(requests.length).toBe(1);
  });

  test('end one that never announced it while it comes', async () => {
    let open = true;
    answers = [
      (_, response) => {
        response.on('close', () => {
          open = false;
        });
        const more = (): void => {
          if (open) response.write(new Uint8Array(1 << 16), () => setImmediate(more));
        };
        more();
      },
    ];
    await expect(read({ limits: { maxBytes: 1 << 20 } })).rejects.toThrow(
      /over the limit maxBytes of 1,048,576/,
    );
    await expect.poll(() => open).toBe(false);
  });
});

describe('a signal', () => {
  test.each([
    ['never answers', () => new Promise<Response>(() => undefined)],
    [
      'never ends',
      () =>
        Promise.resolve(
          new Response(new ReadableStream({ start: (controller) => controller.enqueue(new Uint8Array(9)) })),
        ),
    ],
  ])('ends a download whose fetch %s and forgets its signal', async (_, forgetful) => {
    vi.stubGlobal('fetch', forgetful);
    try {
      const controller = new AbortController();
      setTimeout(() => controller.abort('stop'), 20);
      await expect(read({ cache: false, signal: controller.signal })).rejects.toBe('stop');
      await expect(read({ cache: false, stallTimeout: 20 })).rejects.toThrow(
        /no byte arrived for 0.02 seconds/,
      );
    } finally {
      vi.unstubAllGlobals();
    }
  });

  test('ends a download with its reason, while it comes and while it waits for another try', async () => {
    for (const answer of [broken(), status(503), (): void => undefined]) {
      answers = [answer];
      const reason = new Error('enough');
      const controller = new AbortController();
      setTimeout(() => controller.abort(reason), 100);
      const start = performance.now();
      await expect(read({ signal: controller.signal })).rejects.toBe(reason);
      expect(performance.now() - start).toBeLessThan(5000);
    }
  });

  test('what onProgress throws is thrown, not tried again', async () => {
    answers = [whole];
    const stop = new Error('stop');
    const failed = read({
      onProgress: () => {
        throw stop;
      },
    });
    await expect(failed).rejects.toBe(stop);
    expect(requests.length).toBe(1);
  });
});

describe('the cache', () => {
  test('is asked first; the file has the name of its URL and digits for the rest of it', async () => {
    answers = [whole];
    await reads();
    await reads({ sha256: hash });
    expect(requests.length).toBe(1);
    const [name] = await kept();
    expect(name).toMatch(/^[0-9a-f]{32}-x\.safetensors$/);
    expect(new Uint8Array(await readFile(join(cacheDir, name!)))).toEqual(file);
  });

  test('tells URLs of one name apart', async () => {
    answers = [whole];
    await readWeights(url('a/x.pth'), { cacheDir });
    await readWeights(url('b/x.pth'), { cacheDir });
    expect((await kept()).length).toBe(2);
  });

  test('replaces a damaged file when the hash tells', async () => {
    answers = [whole];
    await reads();
    const [name] = await kept();
    await writeFile(join(cacheDir, name!), file.subarray(0, 99));
    await reads({ sha256: hash });
    expect(requests.length).toBe(2);
    expect(new Uint8Array(await readFile(join(cacheDir, name!)))).toEqual(file);
  });

  test('forgets a damaged file without any hash, after an error that names it', async () => {
    answers = [whole];
    await reads();
    const [name] = await kept();
    await writeFile(join(cacheDir, name!), file.subarray(0, 99));
    await rm(join(cacheDir, `${name}.sha256`));
    await expect(read()).rejects.toThrow(name);
    await reads();
  });

  test('downloads a file again, with a warning, if a bit of it has flipped', async () => {
    const warned = vi.spyOn(console, 'warn').mockImplementation(() => undefined);
    answers = [whole];
    await reads();
    const [name] = await kept();
    const damaged = file.slice();
    damaged[file.length - 7]! ^= 0x40;
    await writeFile(join(cacheDir, name!), damaged);
    await reads();
    await reads();
    expect(requests.length).toBe(2);
    expect(warned.mock.calls).toEqual([
      [expect.stringMatching(/^The kept download of http.*x\.safetensors\?\.\.\. is damaged, and is/)],
    ]);
    warned.mockRestore();
    expect(await readFile(join(cacheDir, `${name}.sha256`), 'utf8')).toBe(`${hash}  ${name}\n`);
  });

  test('keeps a file that is only over a limit', async () => {
    answers = [whole];
    await reads();
    await expect(read({ limits: { maxElements: 1 } })).rejects.toThrow(/maxElements/);
    await expect(read({ limits: { maxBytes: 1 } })).rejects.toThrow(/maxBytes/);
    expect((await kept()).length).toBe(1);
  });

  test('two readers at once both get the file, and no partial one stays', async () => {
    answers = [whole];
    await Promise.all([reads(), reads()]);
    expect(await kept()).toEqual([expect.stringMatching(/x\.safetensors$/)]);
  });

  test('is not used when it is turned off', async () => {
    answers = [whole];
    await reads({ cache: false });
    expect(await kept()).toEqual([]);
  });

  test('that fails after the download gives the weights with a warning', async () => {
    const warned = vi.spyOn(console, 'warn').mockImplementation(() => undefined);
    const folder = join(cacheDir, 'kept');
    answers = [
      (request, response) => {
        rmSync(folder, { recursive: true });
        whole(request, response);
      },
    ];
    await reads({ cacheDir: folder });
    expect(warned.mock.calls).toEqual([
      [expect.stringMatching(/^The weights are used, .*: Cannot keep downloads in .*kept \(ENOENT\)/)],
    ]);
    warned.mockRestore();
  });

  test('that cannot be written is an error before the download', async () => {
    answers = [whole];
    const taken = join(cacheDir, 'file');
    await writeFile(taken, '');
    await expect(read({ cacheDir: join(taken, 'folder') })).rejects.toThrow(
      /Cannot keep downloads in .*; choose a folder with CNN_CACHE, the cacheDir option or cnn --cache, or pass/,
    );
    expect(requests.length).toBe(0);
  });
});
