/** The gpu back end without a GPU: an error that says what to install, or the CPU with the reason. */
import { describe, expect, test } from 'vitest';
import { module } from '../../nn/module.js';
import { relu } from '../../ops/activation.js';
import { compile } from '../../runtime/compile.js';

const model = module({}, (_, x) => relu(x));
const options = { weights: new Map(), input: [1, 1, 2, 2] };

describe('in plain Node', () => {
  test('the gpu back end says how to install a GPU interface', async () => {
    await expect(compile(model, { ...options, backend: 'gpu' })).rejects.toThrow(
      /npm install gpu\.js@2\.24 webgpu.*docs\/gpu\.md/,
    );
  });

  test('auto takes the CPU, says why in the session and in profiles, and is an error when strict', async () => {
    await using session = await compile(model, options);
    expect(session.backend).toBe('wasm');
    expect(session.fallbackReason).toMatch(/^gpu: Node has no GPU interface of its own/);
    expect((await session.profile()).notes.at(-1)).toBe(session.fallbackReason);
    await expect(compile(model, { ...options, strict: true })).rejects.toThrow('npm install gpu.js@2.24');
  });
});
