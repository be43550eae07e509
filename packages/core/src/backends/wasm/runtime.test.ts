/** Tests of the three runners: the same bits, aborted runs, recovery from errors, and disposal. */
import workerThreads, { type Worker } from 'node:worker_threads';
import { convolutionChain } from '@cnn/testing/fixtures';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { Graph, type Node, parametersOf } from '../../graph/graph.js';
import { add } from '../../ops/arithmetic.js';
import { emit } from '../../ops/define.js';
import { ops } from '../../ops/index.js';
import { sizeOf } from '../../tensor/shape.js';
import { tensor } from '../../tensor/tensor.js';
import type { Program } from '../backend.js';
import { Command, control } from './runtime/controlWords.js';
import { type WasmOptions, wasmBackend } from './wasm.js';

const runners: readonly (readonly [string, WasmOptions, number])[] = [
  ['workers that share memory', {}, 2],
  ['a worker with its own memory', { sharedMemory: false }, 1],
  ['the calling thread', { workers: false }, 1],
];

describe.each(runners)('%s', (_, options, threads) => {
  const compile = ({ graph, weights }: ReturnType<typeof convolutionChain>): Promise<Program> =>
    wasmBackend(options).compile(graph, weights, { threads });

  test('gives the same bits as the calling thread', async () => {
    const net = convolutionChain(3, 24, 13);
    const program = await compile(net);
    const alone = await wasmBackend({ workers: false }).compile(net.graph, net.weights, { threads: 1 });
    expect(program.threads).toBe(threads);
    expect(program.fallbackReason).toBeUndefined();
    for (let repeat = 0; repeat < 3; repeat++)
      expect(await program.run(net.feeds)).toEqual(await alone.run(net.feeds));
    await program.dispose();
    await alone.dispose();
  });

  // Retried, since another process may take the core while the run is aborted.
  test('a run is aborted in the middle, and the next one works', { retry: 3 }, async () => {
    const net = convolutionChain(64, 96, 56);
    const program = await compile(net);
    const started = performance.now();
    const expected = await program.run(net.feeds);
    const whole = performance.now() - started;
    const controller = new AbortController();
    const reason = new Error('enough');
    const aborted = program.run(net.feeds, controller.signal);
    setTimeout(() => controller.abort(reason), whole / 10);
    const again = performance.now();
    await expect(aborted).rejects.toBe(reason);
    expect(performance.now() - again).toBeLessThan(whole * 0.8);
    expect(await program.run(net.feeds)).toEqual(expected);
    await program.dispose();
  });

  test('a run in progress rejects when the program is disposed of', async () => {
    const net = convolutionChain(24, 96, 56);
    const program = await compile(net);
    const running = expect(program.run(net.feeds)).rejects.toThrow('disposed');
    await new Promise((resolve) => setTimeout(resolve, 20));
    await program.dispose();
    await running;
  });

  test('two programs run at the same time, each with its own results', async () => {
    const nets = [convolutionChain(3, 24, 13), convolutionChain(4, 16, 9)];
    const programs = await Promise.all(nets.map(compile));
    const alone = [];
    for (const [i, program] of programs.entries()) alone.push(await program.run(nets[i]!.feeds));
    expect(await Promise.all(programs.map((program, i) => program.run(nets[i]!.feeds)))).toEqual(alone);
    await Promise.all(programs.map((program) => program.dispose()));
  });

  test('the event loop handles timers during a run', async () => {
    const net = convolutionChain(24, 96, 56);
    const program = await compile(net);
    await program.run(net.feeds);
    let ticks = 0;
    const timer = setInterval(() => ticks++, 2);
    await program.run(net.feeds);
    clearInterval(timer);
    expect(ticks).toBeGreaterThan(1);
    await program.dispose();
  });

  test('a profile has the time, the algorithm and the FLOPs of each layer', async () => {
    const net = convolutionChain(2, 24, 13);
    const program = await compile(net);
    const { steps, notes } = await program.profile(net.feeds);
    expect(notes[0]).toMatch(/^(128|256)-bit SIMD$/);
    expect(steps.filter(({ op }) => op === 'conv2d + relu').map(({ path }) => path)).toEqual([
      'layer0',
      'layer1',
    ]);
    for (const { algorithm, flops, milliseconds } of steps) {
      expect(algorithm).not.toBe('');
      expect(milliseconds).toBeGreaterThanOrEqual(0);
      expect(flops).toBeGreaterThanOrEqual(0);
    }
    await program.dispose();
  });

  test('a profile of a training step applies the updates and has their times', async () => {
    const graph = new Graph();
    const [rate, gradient] = [graph.input('rate', [1]), graph.input('gradient', [3, 5])];
    const descend = (name: string) =>
      emit(ops.descend, [graph.parameter(name, [3, 5], true), gradient, rate], { index: 0 });
    graph.outputs.set('doubled', add(gradient, gradient));
    // The second new value is an output too, so it is computed before the updates and copied.
    for (const name of ['chained', 'copied']) graph.updates.set(name, descend(name));
    graph.outputs.set('new', graph.updates.get('copied')!);
    const values = (value: number, shape: readonly number[]) =>
      tensor(new Float32Array(sizeOf(shape)).fill(value), shape);
    const weights = new Map(['chained', 'copied'].map((name) => [name, values(2, [3, 5])]));
    const feeds = new Map([
      ['rate', values(0.5, [1])],
      ['gradient', values(1, [3, 5])],
    ]);
    const program = await wasmBackend(options).compile(graph, weights, { threads: 2 });
    const { steps } = await program.profile(feeds);
    expect(steps.filter(({ op }) => op === 'updates').map(({ algorithm }) => algorithm)).toEqual([
      'copy',
      'elementwise',
    ]);
    for (const { milliseconds } of steps) expect(milliseconds).toBeGreaterThanOrEqual(0);
    expect(steps.at(-1)!.flops).toBe(30);
    await program.run(feeds);
    for (const [, { data }] of await program.parameters()) expect([...data]).toEqual(Array(15).fill(1));
    await program.dispose();
  });

  test('a disposed program has no memory, rejects runs, and may be disposed of again', async () => {
    const net = convolutionChain(1, 8, 4);
    const program = await compile(net);
    expect(program.memory).toBeGreaterThan(0);
    await program.dispose();
    await program.dispose();
    expect(program.memory).toBe(0);
    await expect(program.run(net.feeds)).rejects.toThrow('disposed');
  });
});

test('a program says why it runs on one thread if memory cannot be shared', async () => {
  const net = convolutionChain(1, 8, 4);
  const program = await wasmBackend({ sharedMemory: false }).compile(net.graph, net.weights, { threads: 4 });
  expect(program.threads).toBe(1);
  expect(program.fallbackReason).toMatch(/1 thread, not 4: memory cannot be shared/);
  await program.dispose();
});

/** Returns a step of Adam on parameters so large that the updates can be observed. */
function training(): ReturnType<typeof convolutionChain> {
  const graph = new Graph();
  const size = [2_000_000];
  const inputs = new Map([
    ['rate', tensor([0.5], [1])],
    ['corrections', tensor([1, 1], [2])],
  ]);
  const [rate, corrections] = [...inputs].map(([name, { shape }]) => graph.input(name, shape)) as [
    Node,
    Node,
  ];
  const ones = tensor(new Float32Array(size[0]!).fill(1), size);
  const parameter = (name: string): Node => graph.parameter(name, size, true);
  for (const name of ['a', 'b', 'c', 'd', 'e', 'f'])
    graph.updates.set(
      name,
      emit(
        ops.adaptiveDescend,
        [parameter(name), parameter('direction'), parameter('squares'), rate, corrections],
        { index: 0, eps: 1, decay: 0 },
      ),
    );
  graph.outputs.set('rate', rate);
  const weights = new Map([...parametersOf(graph).keys()].map((name) => [name, ones]));
  return { graph, weights, feeds: inputs };
}

test.each(runners.slice(0, 2))(
  '%s: parameters that are read during a run are all of the same step',
  async (_, options, threads) => {
    const net = training();
    const program = await wasmBackend(options).compile(net.graph, net.weights, { threads });
    let running = true;
    const run = program.run(net.feeds).finally(() => {
      running = false;
    });
    while (running) {
      const all = await program.parameters();
      const values = ['a', 'b', 'c', 'd', 'e', 'f'].flatMap((name) => {
        const { data } = all.get(name)!;
        return [data[0], data.at(-1)];
      });
      expect(new Set(values).size).toBe(1);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await run;
    await program.dispose();
  },
);

describe('a worker that is lost', () => {
  const started: Worker[] = [];
  /** The memory that the workers share. */
  let shared: WebAssembly.Memory | undefined;
  /** True if no worker can be started. */
  let refused = false;
  /** Called with each worker before it gets its first message. */
  let prepare: (worker: Worker) => void = () => undefined;
  const Original = workerThreads.Worker;
  beforeAll(() => {
    workerThreads.Worker = class extends Original {
      constructor(...parameters: ConstructorParameters<typeof Worker>) {
        if (refused) throw new Error('no more threads');
        super(...parameters);
        started.push(this);
        prepare(this);
      }
      override postMessage(...parameters: Parameters<Worker['postMessage']>): void {
        shared = (parameters[0] as { readonly share?: { readonly memory: WebAssembly.Memory } }).share
          ?.memory;
        super.postMessage(...parameters);
      }
    };
  });
  afterAll(() => {
    workerThreads.Worker = Original;
  });
  afterEach(() => {
    refused = false;
    prepare = () => undefined;
  });

  test.each(runners.slice(0, 2))(
    '%s: the run rejects, and the next run works',
    async (_, options, threads) => {
      const net = convolutionChain(24, 96, 56);
      const program = await wasmBackend(options).compile(net.graph, net.weights, { threads });
      const expected = await program.run(net.feeds);
      const running = program.run(net.feeds);
      setTimeout(() => void started.at(-1)!.terminate(), 10);
      await expect(running).rejects.toThrow(/worker of the wasm back end is gone/);
      expect(await program.run(net.feeds)).toEqual(expected);
      await program.dispose();
    },
  );

  test.each(runners.slice(0, 2))(
    '%s: if no new one can be started, the run rejects with both reasons, and the next run tries again',
    async (_, options, threads) => {
      const net = convolutionChain(2, 24, 13);
      const program = await wasmBackend(options).compile(net.graph, net.weights, { threads });
      const expected = await program.run(net.feeds);
      await started.at(-1)!.terminate();
      refused = true;
      const refusal =
        /is gone \(it ended with code 1\), and a new one could not be started \(no more threads\); the next run/;
      await expect(program.run(net.feeds)).rejects.toThrow(refusal);
      await expect(program.run(net.feeds)).rejects.toThrow(refusal);
      refused = false;
      expect(await program.run(net.feeds)).toEqual(expected);
      await program.dispose();
    },
  );

  test.each(runners.slice(0, 2))(
    '%s: at its start, leaves the calling thread',
    async (_, options, threads) => {
      const first = started.length;
      prepare = (worker) => void worker.terminate();
      const net = convolutionChain(2, 24, 13);
      const program = await wasmBackend(options).compile(net.graph, net.weights, { threads });
      expect(program.fallbackReason).toMatch(/a worker could not be started \(it ended with code [01]\)/);
      expect(started.length).toBe(first + threads);
      await vi.waitUntil(() => started.slice(first).every(({ threadId }) => threadId === -1));
      await program.dispose();
    },
  );

  test('while others start, is noticed: none stays', async () => {
    const net = convolutionChain(2, 24, 13);
    const first = started.length;
    // The first worker goes when it has answered; the second one never gets its first message.
    prepare = (worker) => {
      if (started.length === first + 1) worker.once('message', () => void worker.terminate());
      else worker.postMessage = () => undefined;
    };
    const program = await wasmBackend().compile(net.graph, net.weights, { threads: 2 });
    expect(program.fallbackReason).toMatch(/a worker could not be started \(it ended with code [01]\)/);
    await vi.waitUntil(() => started.slice(first).every(({ threadId }) => threadId === -1));
    await program.dispose();
  });

  test.each(runners.slice(0, 2))(
    '%s: new ones end too if the program is disposed of while they start',
    async (_, options, threads) => {
      const net = convolutionChain(2, 24, 13);
      const program = await wasmBackend(options).compile(net.graph, net.weights, { threads });
      await started.at(-1)!.terminate();
      const first = started.length;
      const disposed = new Promise<void>((resolve) => {
        prepare = () => {
          if (started.length === first + threads) queueMicrotask(() => resolve(program.dispose()));
        };
      });
      await expect(program.run(net.feeds)).rejects.toThrow('disposed');
      await disposed;
      const ends = started.slice(first).map((worker) => worker.threadId);
      expect(ends).toEqual(Array(threads).fill(-1));
    },
  );

  test.each(runners.slice(0, 2))(
    '%s: if it is lost during an update, so are the parameters, and every later call rejects',
    { retry: 3 },
    async (_, options, threads) => {
      const net = training();
      const program = await wasmBackend(options).compile(net.graph, net.weights, { threads });
      const rejected = expect(program.run(net.feeds)).rejects.toThrow(/worker of the wasm back end is gone/);
      const words = threads > 1 ? new Int32Array(shared!.buffer) : undefined;
      while (words && Atomics.load(words, control.command / 4) !== Command.commit)
        await new Promise((resolve) => setImmediate(resolve));
      void started.at(-1)!.terminate();
      await rejected;
      const lost = /is gone (amid an update, and the parameters with it|with its parameters); compile again/;
      await expect(program.run(net.feeds)).rejects.toThrow(lost);
      await expect(program.parameters()).rejects.toThrow(lost);
      await expect(program.profile(net.feeds)).rejects.toThrow(lost);
      await program.dispose();
    },
  );
});
