/**
 * Tests of the runners in a page, cross-origin isolated or not: the same bits, a responsive page, aborted
 * runs, lost workers, and disposal.
 */

import { convolutionChain } from '@cnn/testing/fixtures';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Program } from '../backend.js';
import { type WasmOptions, wasmBackend } from './wasm.js';

/** All workers that were started. */
const started: Worker[] = [];
/** Workers that were ended with `terminate`. */
const ended = new Set<Worker>();
const OriginalWorker = globalThis.Worker;
beforeAll(() => {
  globalThis.Worker = class extends OriginalWorker {
    constructor(...parameters: ConstructorParameters<typeof Worker>) {
      super(...parameters);
      started.push(this);
    }
    override terminate(): void {
      ended.add(this);
      super.terminate();
    }
  };
});
afterAll(() => {
  globalThis.Worker = OriginalWorker;
});

const compile = (
  { graph, weights }: ReturnType<typeof convolutionChain>,
  options: WasmOptions = {},
  threads?: number,
): Promise<Program> => wasmBackend(options).compile(graph, weights, { threads });

/** Runs long enough to be aborted, even if another process takes the core for a while. */
const large = () => convolutionChain(64, 96, 56);

/** The runners in a page of this kind. */
const runners: readonly (readonly [string, WasmOptions])[] = crossOriginIsolated
  ? [['workers that share memory', {}]]
  : [
      ['a worker with its own memory', {}],
      ['the calling thread', { workers: false }],
    ];

/** True if two results are the same bit for bit. Faster than `toEqual` on long ones. */
const same = (a: Results, b: Results): boolean => {
  const [x, y] = [a, b].map((results) => new Uint32Array(results.get('y')!.data.buffer));
  return x!.length === y!.length && x!.every((bits, index) => bits === y![index]);
};
type Results = Awaited<ReturnType<Program['run']>>;

test('a program says on how many threads it runs, and why', async () => {
  const program = await compile(convolutionChain(1, 8, 4), {}, 3);
  expect(program.threads).toBe(crossOriginIsolated ? 3 : 1);
  if (crossOriginIsolated) expect(program.fallbackReason).toBeUndefined();
  else expect(program.fallbackReason).toMatch(/1 thread, not 3: .* a page has to be cross-origin isolated/);
  await program.dispose();
});

test('all runners give the same bits on any number of threads', async () => {
  const net = convolutionChain(3, 24, 13);
  const alone = await compile(net, { workers: false });
  const expected = await alone.run(net.feeds);
  await alone.dispose();
  for (const options of [{}, { sharedMemory: false }])
    for (const threads of [1, 2, 3]) {
      const program = await compile(net, options, threads);
      for (let repeat = 0; repeat < 2; repeat++)
        expect(same(await program.run(net.feeds), expected)).toBe(true);
      await program.dispose();
    }
});

/** Retried, since another process may take the core at the moment of the measurement. */
const retry = { retry: 3 };

describe.each(runners)('%s', (_, options) => {
  test('the page stays responsive during a run', retry, async () => {
    const net = large();
    const program = await compile(net, options);
    await program.run(net.feeds);
    let [longest, before, running] = [0, performance.now(), true];
    const tick = (): void => {
      const now = performance.now();
      longest = Math.max(longest, now - before);
      before = now;
      if (running) setTimeout(tick);
    };
    const start = performance.now();
    setTimeout(tick);
    await program.run(net.feeds);
    tick();
    running = false;
    expect(longest).toBeLessThan((performance.now() - start) / 2);
    await program.dispose();
  });

  test('a run is aborted in the middle, and the next one works', retry, async () => {
    const net = large();
    const program = await compile(net, options);
    const start = performance.now();
    const expected = await program.run(net.feeds);
    const whole = performance.now() - start;
    const controller = new AbortController();
    const reason = new Error('enough');
    const again = performance.now();
    const aborted = program.run(net.feeds, controller.signal);
    setTimeout(() => controller.abort(reason), whole / 10);
    await expect(aborted).rejects.toBe(reason);
    expect(performance.now() - again).toBeLessThan(whole * 0.8);
    expect(same(await program.run(net.feeds), expected)).toBe(true);
    await program.dispose();
  });

  test('a disposed program has no workers and no memory', async () => {
    const first = started.length;
    const net = convolutionChain(2, 24, 13);
    const program = await compile(net, options);
    await program.run(net.feeds);
    await program.dispose();
    expect(program.memory).toBe(0);
    expect(started.slice(first).every((worker) => ended.has(worker))).toBe(true);
    await expect(program.run(net.feeds)).rejects.toThrow('disposed');
  });
});

describe.each(runners.slice(0, 1))('%s', (_, options) => {
  test.each<[string, (worker: Worker) => void]>([
    // A browser that is short of memory ends a worker without an event.
    ['is ended', (worker) => OriginalWorker.prototype.terminate.call(worker)],
    ['fails', (worker) => worker.dispatchEvent(new ErrorEvent('error', { message: 'unreachable' }))],
  ])('a worker that %s makes the run reject, and the next one works', async (_, kill) => {
    const net = large();
    const program = await compile(net, options);
    const expected = await program.run(net.feeds);
    setTimeout(() => kill(started.at(-1)!), 10);
    // An ended worker may continue for some time: it is lost once the browser releases its lock.
    const untilItFails = async (): Promise<void> => {
      for (;;) expect(same(await program.run(net.feeds), expected)).toBe(true);
    };
    await expect(untilItFails()).rejects.toThrow(/worker of the wasm back end is gone/);
    expect(same(await program.run(net.feeds), expected)).toBe(true);
    await program.dispose();
  });
});
