/** Loading gpu.js: missing, a version without WebGPU, and in the forms that bundlers give it. */
import { afterEach, expect, test, vi } from 'vitest';
import { loadLibrary } from './library.js';

afterEach(() => {
  vi.doUnmock('gpu.js');
  vi.resetModules();
});

test('without gpu.js the error has the command that installs it', async () => {
  vi.doMock('gpu.js', () => {
    throw new Error("Cannot find package 'gpu.js'");
  });
  await expect(loadLibrary()).rejects.toThrow(/needs the package gpu\.js.*npm install gpu\.js@2\.24$/);
});

test('a version without WebGPU is the same error', async () => {
  vi.doMock('gpu.js', () => ({ WebGPUContext: undefined, default: { GPU: class {} } }));
  await expect(loadLibrary()).rejects.toThrow(/has no WebGPU.*npm install gpu\.js@2\.24$/);
});

test('gpu.js as a default export is found', async () => {
  const library = { GPU: class {}, WebGPUContext: {} };
  vi.doMock('gpu.js', () => ({ WebGPUContext: undefined, default: library }));
  expect(await loadLibrary()).toBe(library);
});
