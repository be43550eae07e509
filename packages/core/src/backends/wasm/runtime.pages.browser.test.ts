/**
 * Tests of the runners in a page, cross-origin isolated or not: the same bits, a responsive page, aborted
 * runs, lost workers, and disposal.
 */

import { convolutionChain } from '@cnn/testing/fixtures';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import type { Program } from '../backend.js';
import { type WasmOptions, wasmBackend } from './wasm.js';

/** All workers that were started. */
const started: Worker[] = [];
/** Workers that were ended with `terminate`. */
const ended = new Set<Worker>();
/** A message to a worker, as far as it is changed here. */
interface Message {
  readonly share?: object;
  readonly own?: object;
}
/** Changes the messages to workers; those that become undefined are not posted. */
let change: ((message: Message) => Message | undefined) | undefined;
/** True if no worker can be started. */
let refused = false;
const OriginalWorker = globalThis.Worker;
beforeAll(() => {
  globalThis.Worker = class extends OriginalWorker {
    constructor(...parameters: ConstructorParameters<typeof Worker>) {
      if (refused) throw new Error('no more threads');
      super(...parameters);
      started.push(this);
    }
    override postMessage(message: Message, transfer?: Transferable[] | StructuredSerializeOptions): void {
      const changed = change ? change(message) : message;
      if (changed) super.postMessage(changed, transfer as Transferable[]);
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
afterEach(() => {
  change = undefined;
  refused = false;
});

const compile = (
  { graph, weights }: ReturnType<typeof convolutionChain>,
  options: WasmOptions = {},
  threads?: number,
  signal?: AbortSignal,
): Promise<Program> => wasmBackend(options).compile(graph, weights, { threads, signal });

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

  const small = () => convolutionChain(2, 24, 13);
  /** Number of workers of a program. */
  const threads = crossOriginIsolated ? 2 : 1;
  /** Drops the first messages of workers, so that they never answer. */
  const silence = (message: Message) => ('share' in message || 'own' in message ? undefined : message);
  const allEnded = (first: number): boolean => started.slice(first).every((worker) => ended.has(worker));
  /** Compiles a program whose last worker is lost. */
  const compileAndLose = async (net = small()) => {
    const program = await compile(net, options, threads);
    const expected = await program.run(net.feeds);
    started.at(-1)!.dispatchEvent(new ErrorEvent('error', { message: 'unreachable' }));
    return { net, program, expected };
  };

  /** Gives workers another module. */
  const exchange =
    (module?: WebAssembly.Module) =>
    ({ share, own, ...others }: Message): Message => ({
      ...others,
      ...(share && { share: { ...share, module } }),
      ...(own && { own: { ...own, module } }),
    });

  test('a worker that throws at its start is heard at once: it runs on the calling thread', async () => {
    const first = started.length;
    change = exchange();
    const program = await compile(small(), options, threads);
    expect(program.fallbackReason).toMatch(/a worker could not be started \(.*TypeError.*calling thread/);
    expect(started.length).toBe(first + threads);
    expect(allEnded(first)).toBe(true);
    await program.dispose();
  }, 20_000);

  test('a worker that throws during a run makes the run reject, and the next one works', async () => {
    const net = small();
    // An empty module, which has no function to execute.
    change = exchange(new WebAssembly.Module(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0)));
    const program = await compile(net, options, threads);
    await expect(program.run(net.feeds)).rejects.toThrow(
      /worker of the wasm back end is gone \(.*TypeError.*\); the next run starts new ones/,
    );
    change = undefined;
    const alone = await compile(net, { workers: false });
    expect(same(await program.run(net.feeds), await alone.run(net.feeds))).toBe(true);
    await program.dispose();
    await alone.dispose();
  }, 20_000);

  test('a compilation is aborted while workers start that never answer', async () => {
    const first = started.length;
    change = silence;
    const controller = new AbortController();
    const compiling = compile(small(), options, threads, controller.signal);
    const reason = new Error('enough');
    const aborted = expect(compiling).rejects.toBe(reason);
    await vi.waitUntil(() => started.length === first + threads);
    controller.abort(reason);
    await aborted;
    expect(allEnded(first)).toBe(true);
  }, 10_000);

  test('a run is aborted while new workers start that never answer, and the next one works', async () => {
    const { net, program, expected } = await compileAndLose();
    const first = started.length;
    change = silence;
    const controller = new AbortController();
    const reason = new Error('enough');
    const aborted = expect(program.run(net.feeds, controller.signal)).rejects.toBe(reason);
    await vi.waitUntil(() => started.length === first + threads);
    controller.abort(reason);
    await aborted;
    expect(allEnded(first)).toBe(true);
    change = undefined;
    expect(same(await program.run(net.feeds), expected)).toBe(true);
    await program.dispose();
  }, 20_000);

  test('a program is disposed of while new workers start that never answer', async () => {
    const { net, program } = await compileAndLose();
    const first = started.length;
    change = silence;
    const running = expect(program.run(net.feeds)).rejects.toThrow('disposed');
    await vi.waitUntil(() => started.length === first + threads);
    await program.dispose();
    await running;
    expect(allEnded(first)).toBe(true);
  }, 10_000);

  test('if no new worker can be started, the run rejects with both reasons, and a later one works', async () => {
    const { net, program, expected } = await compileAndLose();
    refused = true;
    for (let repeat = 0; repeat < 2; repeat++)
      await expect(program.run(net.feeds)).rejects.toThrow(
        /is gone \(unreachable\), and a new one could not be started \(no more threads\); the next run tries/,
      );
    refused = false;
    expect(same(await program.run(net.feeds), expected)).toBe(true);
    await program.dispose();
  }, 20_000);
});
