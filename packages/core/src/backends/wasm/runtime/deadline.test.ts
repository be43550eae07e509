/** Tests that waits for workers end where the platform does not notice that a worker has died. */
import { convolutionChain } from '@cnn/testing/fixtures';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { wasmBackend } from '../wasm.js';
import { runMilliseconds, startDeadline } from './deadline.js';

/** Requests that the workers answer; all others they leave unanswered. */
let answered: (request: object) => boolean;
let terminated = 0;

/** A worker of a page without Web Locks. */
class PageWorker extends EventTarget {
  postMessage(request: object): void {
    if (answered(request))
      queueMicrotask(() => this.dispatchEvent(new MessageEvent('message', { data: 'ready' })));
  }
  terminate(): void {
    terminated++;
  }
}

beforeEach(() => {
  const { getBuiltinModule } = process;
  vi.spyOn(process, 'getBuiltinModule').mockImplementation(((name: string) =>
    name === 'node:worker_threads' ? undefined : getBuiltinModule(name)) as typeof getBuiltinModule);
  vi.stubGlobal('Worker', PageWorker);
  vi.stubGlobal('navigator', {});
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  terminated = 0;
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

/** Lets promises settle that wait for more than microtasks, such as compiled modules. */
const settle = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
/** Waits, in real time, until something that is going on has set a deadline. */
const untilTimer = async () => {
  while (vi.getTimerCount() === 0) await settle();
};

const net = convolutionChain(1, 8, 4);

test.each([
  ['with a memory of its own', { sharedMemory: false }, 1],
  ['that shares memory', {}, 2],
])(
  'a worker %s that never starts: runs on the calling thread after 30 seconds',
  async (_, options, threads) => {
    answered = () => false;
    const compiling = wasmBackend(options).compile(net.graph, net.weights, { threads });
    await untilTimer();
    await vi.advanceTimersByTimeAsync(30_000);
    const program = await compiling;
    expect(program.fallbackReason).toContain(
      'a worker could not be started (it has not answered for 30 seconds)',
    );
    expect(terminated).toBe(threads);
    await program.run(net.feeds);
    await program.dispose();
  },
);

test.each([
  ['with a memory of its own', { sharedMemory: false }, 1],
  ['that shares memory', {}, 2],
])('a worker %s that never starts: an abort ends the wait at once', async (_, options, threads) => {
  answered = () => false;
  const controller = new AbortController();
  const { signal } = controller;
  const compiling = wasmBackend(options).compile(net.graph, net.weights, { threads, signal });
  const reason = new Error('enough');
  const aborted = expect(compiling).rejects.toBe(reason);
  await untilTimer();
  controller.abort(reason);
  await aborted;
  expect(terminated).toBe(threads);
  expect(vi.getTimerCount()).toBe(0);
});

test.each([
  ['with a memory of its own', { sharedMemory: false }, 1],
  ['that shares memory', {}, 2],
])('a worker %s that stops answering: the run rejects after a minute', async (_, options, threads) => {
  answered = (request) => 'own' in request || 'share' in request;
  const program = await wasmBackend(options).compile(net.graph, net.weights, { threads });
  expect(program.fallbackReason ?? '').not.toContain('calling thread');
  const run = expect(program.run(net.feeds)).rejects.toThrow(
    /worker of the wasm back end is gone \(it has not answered for 61 seconds\); the next run starts/,
  );
  await untilTimer();
  await vi.advanceTimersByTimeAsync(61_000);
  await run;
  // New workers that never start: an abort ends the wait, as does `dispose`.
  answered = () => false;
  const controller = new AbortController();
  const reason = new Error('enough');
  const aborted = expect(program.run(net.feeds, controller.signal)).rejects.toBe(reason);
  await untilTimer();
  controller.abort(reason);
  await aborted;
  const disposed = expect(program.run(net.feeds)).rejects.toThrow('disposed');
  await untilTimer();
  await program.dispose();
  await disposed;
  expect(terminated).toBe(3 * threads);
  expect(vi.getTimerCount()).toBe(0);
});

test('a deadline expires after its time, unless it is cancelled', async () => {
  const expire = vi.fn();
  const cancel = startDeadline(10, expire);
  await vi.advanceTimersByTimeAsync(9);
  cancel();
  await vi.advanceTimersByTimeAsync(100);
  expect(expire).not.toHaveBeenCalled();
  startDeadline(10, expire);
  await vi.advanceTimersByTimeAsync(10);
  expect(expire).toHaveBeenCalledOnce();
  expect(runMilliseconds(8e9)).toBe(140_000);
});

test('an answer that arrives while the event loop is blocked is in time', async () => {
  vi.useRealTimers();
  const expire = vi.fn();
  // Afterwards, timers that are due run before immediates.
  await new Promise((resolve) => setImmediate(resolve));
  const cancel = startDeadline(20, expire);
  const answered = new Promise<void>((resolve) => {
    setImmediate(() => {
      cancel();
      resolve();
    });
  });
  for (const end = performance.now() + 60; performance.now() < end; );
  await answered;
  await new Promise((resolve) => setTimeout(resolve, 60));
  expect(expire).not.toHaveBeenCalled();
});
