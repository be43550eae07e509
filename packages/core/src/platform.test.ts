/** Tests platforms that lack what Node and browsers have: edge runtimes, test environments. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { compile, initialise, linear, readWeights, writeSafetensors } from './index.js';
import { writeAtomically } from './io/atomicFile.js';
import { makeFolder } from './io/makeFolder.js';
import { requireBuiltin } from './io/requireBuiltin.js';
import { builtin } from './platform.js';
import { platformName } from './platformName.js';

afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

const model = linear(4, 2);
const weights = initialise(model, { seed: 1 });

test('a process whose built-in modules throw counts as having none', async () => {
  vi.spyOn(process, 'getBuiltinModule').mockImplementation(() => {
    throw new Error(
      'A Node.js API is used (process.getBuiltinModule) which is not supported in the Edge Runtime.',
    );
  });
  vi.stubGlobal('EdgeRuntime', 'edge-runtime');
  expect(builtin('node:os')).toBeUndefined();
  expect(() => requireBuiltin('node:fs', 'Reading the file x.pt')).toThrow(
    'Reading the file x.pt needs Node 20.16 or newer, and this is an edge runtime; pass a URL, a Blob or bytes.',
  );
  await expect(writeAtomically('x.pt', new Uint8Array(1))).rejects.toThrow(
    'Writing the file x.pt needs Node 20.16 or newer, and this is an edge runtime; offer the bytes as a download instead.',
  );
  await expect(makeFolder('x')).rejects.toThrow(
    'Making the folder x needs Node 20.16 or newer, and this is an edge runtime; pages have no folders.',
  );
  expect((await readWeights(writeSafetensors(weights))).size).toBe(2);
  await using session = await compile(model, { weights, input: [1, 4] });
  expect(session.backend).toBe('wasm');
});

test('the platform is named for messages', () => {
  expect(platformName()).toBe(`Node ${process.versions.node}`);
  vi.stubGlobal('navigator', { userAgent: 'Cloudflare-Workers' });
  expect(platformName()).toBe('Cloudflare Workers');
});

test('what the jsdom environment of Jest lacks is not needed', async () => {
  for (const name of [
    'setImmediate',
    'MessageChannel',
    'crypto',
    'structuredClone',
    'WeakRef',
    'FinalizationRegistry',
  ])
    vi.stubGlobal(name, undefined);
  const folder = await mkdtemp(join(tmpdir(), 'cnn-'));
  const path = join(folder, 'x.safetensors');
  await writeAtomically(path, writeSafetensors(weights));
  await using session = await compile(model, { weights: await readWeights(path), input: [1, 4] });
  expect((await session.run(new Float32Array(4))).shape).toEqual([1, 2]);
  vi.stubGlobal('fetch', undefined);
  await expect(readWeights('http://127.0.0.1/x', { cache: false })).rejects.toThrow(
    /there is no fetch in .*\. Download the file by other means, and pass its path or bytes\./,
  );
  await rm(folder, { recursive: true });
});

test('an engine without shared memory may have no Atomics', async () => {
  // Node itself needs shared memory when it loads this module for the first time.
  await import('node:worker_threads');
  vi.resetModules();
  vi.stubGlobal('Atomics', undefined);
  vi.stubGlobal('SharedArrayBuffer', undefined);
  const core = await import('./index.js');
  await using session = await core.compile(model, { weights, input: [1, 4], backend: 'wasm', threads: 2 });
  expect((await session.run(new Float32Array(4))).shape).toEqual([1, 2]);
  expect(session.fallbackReason).toContain('memory cannot be shared between threads here');
});

test('weights are read without a global TextDecoder, as in the jsdom environment of Jest', async () => {
  vi.stubGlobal('TextDecoder', undefined);
  vi.stubGlobal('TextEncoder', undefined);
  expect((await readWeights(writeSafetensors(weights))).size).toBe(2);
  const file = writeSafetensors(weights);
  vi.spyOn(process, 'getBuiltinModule').mockReturnValue(undefined as never);
  await expect(readWeights(file)).rejects.toThrow(/There is no TextDecoder in .*; define it as a global/);
});
