/** Loading gpu.js where it is not installed, or is one that has no WebGPU. */
import { afterEach, expect, test, vi } from 'vitest';
import { loadLibrary } from './library.js';

afterEach(() => {
  vi.doUnmock('gpu.js');
  vi.resetModules();
});

test('the command that installs it is told', async () => {
  vi.doMock('gpu.js', () => {
    throw new Error("Cannot find package 'gpu.js'");
  });
  await expect(loadLibrary()).rejects.toThrow(/needs the package gpu\.js.*npm install gpu\.js@2\.24$/);
});

test('and for another version too', async () => {
  vi.doMock('gpu.js', () => ({ WebGPUContext: undefined, default: { GPU: class {} } }));
  await expect(loadLibrary()).rejects.toThrow(/has no WebGPU.*npm install gpu\.js@2\.24$/);
});

test('what bundlers make of it is found', async () => {
  const library = { GPU: class {}, WebGPUContext: {} };
  vi.doMock('gpu.js', () => ({ WebGPUContext: undefined, default: library }));
  expect(await loadLibrary()).toBe(library);
});
