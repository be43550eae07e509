/**
 * Conformance suite on the gpu back end in a browser, on WebGL2 and on WebGPU. Kernels compile slowly without
 * a GPU, so the default run skips training and the rarer ops; CNN_SLOW_TESTS=1 runs everything.
 */
import { testBackend } from '@cnn/testing/testBackend';
import { describe, expect, test } from 'vitest';
import { BackendUnavailable } from '../../errors.js';
import { conv2d } from '../../nn/layers.js';
import { module } from '../../nn/module.js';
import { initialise } from '../../nn/walk.js';
import { relu } from '../../ops/activation.js';
import { add } from '../../ops/arithmetic.js';
import { compile } from '../../runtime/compile.js';
import { type Adapter, findAdapter } from './adapter.js';
import { sharedContext } from './device/webgl2/sharedContext.js';
import { gpuBackend } from './gpu.js';

const everything = process.env.CNN_SLOW_TESTS === '1';
const defaultOps: Readonly<Record<string, ReadonlySet<string>>> = {
  webgl2: new Set([
    'activation',
    'add',
    'mul',
    'batchNorm',
    'concat',
    'slice',
    'pad',
    'reshape',
    'channelShuffle',
    'dropout',
    'linear',
    'conv2d',
    'maxPool',
    'avgPool',
    'globalAvgPool',
    'adaptiveAvgPool',
    'localResponseNorm',
  ]),
  // Ops of whole graphs: all ops are tested on WebGPU in Node, and only the browser differs.
  webgpu: new Set([
    'activation',
    'add',
    'reshape',
    'linear',
    'globalAvgPool',
    'maxPool',
    'dropout',
    'conv2d',
  ]),
};

for (const mode of ['webgl2', 'webgpu'] as const)
  testBackend(`gpu:${mode}`, gpuBackend({ mode }), {
    nonFinite: false,
    has: (op) => everything || defaultOps[mode]!.has(op),
    // On WebGPU, Node tests single ops, and only the browser differs.
    ops: everything || mode === 'webgl2' ? 'each' : 'none',
  });

describe('a session', () => {
  const model = conv2d(3, 8, 3);
  const options = { weights: initialise(model, { seed: 1 }), input: [1, 3, 8, 8] };

  test('runs on WebGPU where there is an adapter, and auto skips a software adapter', async () => {
    await using session = await compile(model, { ...options, backend: 'gpu' });
    expect(session.backend).toBe('gpu:webgpu');
    await using chosen = await compile(model, options);
    expect(chosen.backend).toMatch(/^(wasm|gpu:webgpu)$/);
    if (chosen.backend === 'wasm') expect(chosen.fallbackReason).toMatch(/software adapter/);
  });

  test('without WebGPU it runs on WebGL2, and says why', async () => {
    const { gpu } = navigator;
    Object.defineProperty(navigator, 'gpu', { value: undefined, configurable: true });
    try {
      await using session = await compile(model, { ...options, backend: 'gpu' });
      expect(session.backend).toBe('gpu:webgl2');
      expect(session.fallbackReason).toBe('There is no WebGPU here.');
      await expect(compile(model, { ...options, backend: 'gpu', strict: true })).rejects.toThrow(
        'no WebGPU here',
      );
    } finally {
      Object.defineProperty(navigator, 'gpu', { value: gpu, configurable: true });
    }
  });

  test('a lost WebGL2 context is an error of the run, and the next compile works', async () => {
    const backend = gpuBackend({ mode: 'webgl2' });
    const x = new Float32Array(192).fill(0.5);
    await using session = await compile(model, { ...options, backend });
    const expected = await session.run(x);
    const { gl } = sharedContext((await findAdapter('webgl2')) as Adapter);
    const running = session.run(x);
    gl.getExtension('WEBGL_lose_context')?.loseContext();
    await expect(running).rejects.toThrow(/context was lost.*compile the model again/);
    await expect(session.run(x)).rejects.toThrow('context was lost');
    await using next = await compile(model, { ...options, backend });
    expect(await next.run(x)).toEqual(expected);
  });

  test('a tensor too large for a texture makes the back end unavailable', async () => {
    const { gl } = sharedContext((await findAdapter('webgl2')) as Adapter);
    const original = gl.getParameter.bind(gl);
    gl.getParameter = (name) => (name === gl.MAX_TEXTURE_SIZE ? 2048 : original(name));
    try {
      const compiling = compile(model, {
        ...options,
        input: [1, 3, 800, 800],
        backend: gpuBackend({ mode: 'webgl2' }),
      });
      await expect(compiling).rejects.toThrow(
        /needs a texture of 4096x\d+ texels; this GPU has at most 2048/,
      );
      await expect(compiling).rejects.toBeInstanceOf(BackendUnavailable);
    } finally {
      gl.getParameter = original;
    }
  });

  test('on WebGL2 layers with different epilogues share a kernel, and long rows of taps are loops', async () => {
    const layer = (padding = 1) => conv2d(8, 8, 3, { padding });
    const model = module(
      { first: conv2d(3, 8, 7, { stride: 2, padding: 3 }), a: layer(), b: layer(), c: layer(), d: layer() },
      ({ first, a, b, c, d }, x) => {
        const y = first(x);
        return d(relu(add(c(relu(b(relu(a(y))))), y)));
      },
    );
    await using session = await compile(model, {
      weights: initialise(model, { seed: 1 }),
      input: [2, 3, 18, 18],
      backend: gpuBackend({ mode: 'webgl2' }),
      verify: true,
    });
    const { notes } = await session.profile();
    expect(notes).toContain('2 kernels');
  });

  test('thirty sessions on WebGL2 free every texture', async () => {
    const { gl } = sharedContext((await findAdapter('webgl2')) as Adapter);
    const alive = new Set<WebGLTexture>();
    const [create, remove] = [gl.createTexture.bind(gl), gl.deleteTexture.bind(gl)];
    gl.createTexture = () => {
      const texture = create();
      alive.add(texture);
      return texture;
    };
    gl.deleteTexture = (texture) => {
      alive.delete(texture!);
      remove(texture);
    };
    for (let round = 0; round < 30; round++) {
      const session = await compile(model, { ...options, backend: gpuBackend({ mode: 'webgl2' }) });
      await session.run(new Float32Array(192));
      expect(alive.size).toBeGreaterThan(2);
      await session.dispose();
      expect(alive.size).toBe(0);
    }
  });
});
