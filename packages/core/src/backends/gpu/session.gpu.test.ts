/** Sessions on the GPU in Node: reports, lost devices, memory, verification. */
import { createRequire } from 'node:module';
import { hasWebGpu } from '@cnn/testing/webGpu';
import { describe, expect, test } from 'vitest';
import { BackendUnavailable } from '../../errors.js';
import { conv2d, linear } from '../../nn/layers.js';
import { sequential } from '../../nn/module.js';
import { initialise } from '../../nn/walk.js';
import { relu } from '../../ops/activation.js';
import { globalAvgPool } from '../../ops/adaptivePool.js';
import { compile } from '../../runtime/compile.js';
import type { Backend } from '../backend.js';
import { gpuBackend } from './gpu.js';
import type { GpuLibrary } from './library.js';

const { WebGPUContext } = createRequire(import.meta.url)('gpu.js') as GpuLibrary;

const model = sequential(
  conv2d(3, 64, 3, { padding: 1 }),
  relu,
  conv2d(64, 64, 3),
  globalAvgPool,
  linear(64, 10),
);
const weights = initialise(model, { seed: 1 });
const input = [1, 3, 16, 16];
const x = Float32Array.from({ length: 3 * 16 * 16 }, (_, i) => Math.sin(i));
const onGpu = { weights, input, backend: 'gpu' } as const;

describe.runIf(hasWebGpu())('a session on the GPU', () => {
  test('reports its back end, and computes what the CPU computes', async () => {
    await using cpu = await compile(model, { weights, input, backend: 'wasm' });
    await using session = await compile(model, { ...onGpu, strict: true });
    expect(session.backend).toBe('gpu:webgpu');
    expect(session.fallbackReason).toBeUndefined();
    const [expected, got, again] = [
      await cpu.run(x),
      ...(await Promise.all([session.run(x), session.run(x)])),
    ];
    for (const [index, value] of expected.data.entries()) expect(got.data[index]).toBeCloseTo(value, 5);
    expect(again).toEqual(got);
    const { notes, steps } = await session.profile(x);
    expect(notes.join()).toMatch(/\d kernels/);
    expect(steps.map(({ op }) => op)).toEqual(['conv2d + relu', 'conv2d', 'globalAvgPool', 'linear']);
  });

  test('an adapter without a device makes the back end unavailable', async () => {
    const { gpu } = navigator;
    const stubborn = {
      requestAdapter: async () => {
        const adapter = await gpu.requestAdapter();
        return new Proxy(adapter!, {
          get: (target, key) =>
            key === 'requestDevice'
              ? () => Promise.reject(new Error('no more devices'))
              : Reflect.get(target, key, target),
        });
      },
    };
    await WebGPUContext.destroy();
    Object.defineProperty(globalThis, 'navigator', { value: { gpu: stubborn }, configurable: true });
    try {
      await expect(compile(model, onGpu)).rejects.toThrow(/no device \(no more devices\)/);
      await expect(compile(model, onGpu)).rejects.toBeInstanceOf(BackendUnavailable);
    } finally {
      Object.defineProperty(globalThis, 'navigator', { value: { gpu }, configurable: true });
    }
  });

  test('auto skips a software adapter and says so, in profiles too', async () => {
    await using session = await compile(model, { weights, input });
    if (session.backend === 'gpu:webgpu') return; // A real GPU.
    expect(session.backend).toBe('wasm');
    expect(session.fallbackReason).toMatch(/software adapter/);
    expect((await session.profile()).notes.join()).toMatch(/software adapter/);
  });

  test('a lost device is an error of the run, and the next compile works', async () => {
    await using session = await compile(model, onGpu);
    await session.run(x);
    const { device } = await WebGPUContext.acquire();
    const running = session.run(x);
    device.destroy();
    await expect(running).rejects.toThrow(/device was lost.*compile the model again/);
    await expect(session.run(x)).rejects.toThrow(/device was lost/);
    await using next = await compile(model, onGpu);
    expect((await next.run(x)).shape).toEqual([1, 10]);
  });

  test.each([
    ['maxStorageBufferBindingSize', 1000, /takes \d+ bytes; a buffer of this GPU has at most 1000/],
    [
      'maxComputeWorkgroupsPerDimension',
      2,
      /needs [\dx]+ workgroups; this GPU has at most 2 along a dimension/,
    ],
  ] as const)('a device with too small a %s makes the back end unavailable', async (name, most, message) => {
    const { device } = await WebGPUContext.acquire();
    const { limits } = device;
    const smaller = new Proxy(limits, {
      get: (target, key) => (key === name ? most : Reflect.get(target, key, target)),
    });
    Object.defineProperty(device, 'limits', { value: smaller, configurable: true });
    try {
      await expect(compile(model, onGpu)).rejects.toThrow(message);
      await expect(compile(model, onGpu)).rejects.toBeInstanceOf(BackendUnavailable);
    } finally {
      Object.defineProperty(device, 'limits', { value: limits, configurable: true });
    }
  });

  test('thirty sessions free every buffer', async () => {
    const { device } = await WebGPUContext.acquire();
    const alive = new Set<GPUBuffer>();
    const original = device.createBuffer.bind(device);
    device.createBuffer = (descriptor) => {
      const buffer = original(descriptor);
      const destroy = buffer.destroy.bind(buffer);
      buffer.destroy = () => {
        alive.delete(buffer);
        return destroy();
      };
      alive.add(buffer);
      return buffer;
    };
    let most = 0;
    for (let round = 0; round < 30; round++) {
      const session = await compile(model, onGpu);
      await session.run(x);
      await session.run(x);
      most = Math.max(most, alive.size);
      await session.dispose();
      expect(session.memory).toBe(0);
      expect(alive.size).toBe(0);
    }
    expect(most).toBeGreaterThan(5);
    device.createBuffer = original;
  });

  test('an aborted run rejects immediately, and the session stays usable', async () => {
    await using session = await compile(model, onGpu);
    const expected = await session.run(x);
    const controller = new AbortController();
    const running = session.run(x, { signal: controller.signal });
    queueMicrotask(() => controller.abort(new Error('enough')));
    await expect(running).rejects.toThrow('enough');
    expect(await session.run(x)).toEqual(expected);
  });

  test('verify compares with the CPU', async () => {
    await using session = await compile(model, { ...onGpu, verify: true });
    expect(session.backend).toBe('gpu:webgpu');
    const gpu = gpuBackend();
    const wrong: Backend = {
      name: 'wrong',
      async compile(...all) {
        const program = await gpu.compile(...all);
        const spoil = async (...run: Parameters<typeof program.run>) => {
          const results = await program.run(...run);
          results.get('output')!.data[3]! += 0.5;
          return results;
        };
        return { ...program, run: spoil };
      },
    };
    await expect(compile(model, { ...onGpu, backend: wrong, verify: true })).rejects.toThrow(
      /on gpu:webgpu the output 'output' is not the CPU's: it deviates by up to 0\.500 \(at 3: .*backend: 'wasm'/,
    );
  });
});
