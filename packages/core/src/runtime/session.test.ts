/** A session lets go of its program when it is disposed of, so that one that is kept by mistake keeps no weights. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import type { Program } from '../backends/backend.js';
import { createSession } from './session.js';

/** A session on a program that nobody else knows. */
function withProgram() {
  const y = { shape: [1], data: new Float32Array(1) };
  const program: Program = {
    backend: 'reference',
    threads: 1,
    memory: 4,
    run: async () => new Map([['y', y]]),
    parameters: async () => new Map(),
    profile: async () => ({ backend: 'reference', threads: 1, notes: [], steps: [] }),
    dispose: async () => undefined,
  };
  return { session: createSession(program, [1], [1], 'y'), reference: new WeakRef(program) };
}

test('a disposed session keeps nothing of its program', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const { session, reference } = withProgram();
  await session.run(new Float32Array(1));
  collect();
  expect(reference.deref()).toBeDefined();
  expect(session.memory).toBe(4);
  await session.dispose();
  // A weak reference holds until the present task is over.
  await new Promise((resolve) => setTimeout(resolve));
  collect();
  expect(reference.deref()).toBeUndefined();
  expect(session.memory).toBe(0);
  await expect(session.run(new Float32Array(1))).rejects.toThrow('disposed of');
});
