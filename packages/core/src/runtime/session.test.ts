/** A session lets go of its program when it is disposed of, so that one that is kept by mistake keeps no weights. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import type { Program } from '../backends/backend.js';
import { createSession } from './session.js';

/** A session on a program that nobody else knows. */
function withProgram(run?: Program['run']) {
  const y = { shape: [1], data: new Float32Array(1) };
  const program: Program = {
    backend: 'reference',
    threads: 1,
    memory: 4,
    run: run ?? (async () => new Map([['output', y]])),
    parameters: async () => new Map(),
    profile: async () => ({ backend: 'reference', threads: 1, notes: [], steps: [] }),
    dispose: async () => undefined,
  };
  return { session: createSession(program, [1], [1]), reference: new WeakRef(program) };
}

test('a run that waits for another and is aborted rejects at once, and what follows keeps its turn', async () => {
  const y = { shape: [1], data: new Float32Array(1) };
  let finish: () => void = () => undefined;
  const seen: number[] = [];
  const { session } = withProgram((feeds) => {
    seen.push(feeds.get('x')!.data[0]!);
    return new Promise((resolve) => {
      finish = () => resolve(new Map([['output', y]]));
    });
  });
  const controller = new AbortController();
  const reason = new Error('enough');
  const first = session.run(Float32Array.of(1));
  const second = session.run(Float32Array.of(2), { signal: controller.signal });
  const third = session.run(Float32Array.of(3));
  controller.abort(reason);
  // The first has not ended yet.
  await expect(second).rejects.toBe(reason);
  expect(seen).toEqual([1]);
  finish();
  await first;
  while (seen.length === 1) await Promise.resolve();
  finish();
  await third;
  expect(seen).toEqual([1, 3]);
});

test('a batch of no pictures is refused with both shapes', async () => {
  const { session } = withProgram();
  await expect(session.run({ shape: [0], data: new Float32Array(0) })).rejects.toThrow(
    'The session was compiled for an input of 1, got 0; compile the model for that shape.',
  );
});

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
