/** Tests that `auto` looks for a GPU only with gpu.js, and once: browsers write warnings when there is none. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type compile, initialise, linear } from '../../index.js';

const model = linear(4, 2);
const options = { weights: initialise(model, { seed: 1 }), input: [1, 4] };
const requestAdapter = vi.fn(() => Promise.resolve(null));
const getContext = vi.fn(() => null);

beforeEach(() => {
  vi.clearAllMocks();
  vi.resetModules();
  vi.stubGlobal('navigator', { gpu: { requestAdapter } });
  vi.stubGlobal(
    'OffscreenCanvas',
    class {
      getContext = getContext;
    },
  );
});
afterEach(() => {
  vi.doUnmock('gpu.js');
  vi.resetModules();
  vi.unstubAllGlobals();
});

/** Compiles twice, with fresh modules at first; returns the reason that the second session gives. */
async function compileTwice(): Promise<string | undefined> {
  const fresh = (await import('../../index.js')) as { readonly compile: typeof compile };
  await (await fresh.compile(model, options)).dispose();
  await using session = await fresh.compile(model, options);
  expect(session.backend).toBe('wasm');
  return session.fallbackReason;
}

test('without gpu.js no GPU is looked for, and gpu.js is asked for once', async () => {
  const load = vi.fn(() => {
    throw new Error("Cannot find package 'gpu.js'");
  });
  vi.doMock('gpu.js', load);
  expect(await compileTwice()).toMatch(/needs the package gpu\.js.*npm install gpu\.js/);
  expect(load).toHaveBeenCalledTimes(1);
  expect(requestAdapter).not.toHaveBeenCalled();
  expect(getContext).not.toHaveBeenCalled();
});

test('with gpu.js a GPU is looked for once', async () => {
  vi.doMock('gpu.js', () => ({ WebGPUContext: {}, default: undefined }));
  expect(await compileTwice()).toContain('WebGPU finds no adapter here.');
  expect(requestAdapter).toHaveBeenCalledTimes(1);
  expect(getContext).toHaveBeenCalledTimes(1);
});
