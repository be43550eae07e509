/** The conformance suite for back ends: ops, whole graphs, and the contract of programs. */
import { add, type Backend, relu, tensor, type Weights } from '@cnn/core';
import {
  type CompileOptions,
  crossEntropyLoss,
  emit,
  Graph,
  isInput,
  isParameter,
  type OpName,
  ops,
  type Program,
} from '@cnn/core/graph';
import { describe, expect, test } from 'vitest';
import { type ConformanceCase, differences, differencesTogether, type Feeds } from './conformance.js';
import { networkConformance, poisonedConformance } from './conformanceNetworks.js';
import { nonFiniteConformance, opConformance, opNames } from './conformanceOps.js';
import { fillTensor } from './scheme.js';

/** Options of {@link testBackend}. */
export interface TestBackendOptions {
  /** Options of compiling, such as the number of threads. */
  readonly compile?: CompileOptions;
  /**
   * True if NaN and infinities are preserved. Default true; false for shading languages, which do not
   * guarantee it.
   */
  readonly nonFinite?: boolean;
  /** Returns true if the back end supports an op. Cases with other ops are skipped. Default: all ops. */
  readonly has?: (op: OpName) => boolean;
  /**
   * Way to test single ops, besides whole graphs: each case as a program (`each`, the default), all cases of an op as
   * one program (`together`, where programs start slowly), or not at all.
   */
  readonly ops?: 'each' | 'together' | 'none';
}

/**
 * Declares the tests of a back end.
 * @example
 * testBackend('reference in float32', referenceBackend({ precision: 'float32' }));
 */
export function testBackend(
  name: string,
  backend: Backend,
  { compile = {}, nonFinite = true, has = () => true, ops: how = 'each' }: TestBackendOptions = {},
): void {
  const runs = ({ graph }: ConformanceCase): boolean =>
    graph.nodes.every((node) => isInput(node) || isParameter(node) || has(node.op as OpName));
  const conform = (cases: readonly ConformanceCase[]): void => {
    for (const subject of cases)
      test.runIf(runs(subject))(subject.name, async () =>
        expect(await differences(backend, subject, compile)).toEqual([]),
      );
  };

  describe(name, () => {
    if (how === 'each') describe.each(opNames)('%s', (op) => conform(opConformance(op)));
    if (how === 'together')
      test.each(opNames.filter(has))('%s', async (op) =>
        expect(await differencesTogether(backend, opConformance(op).filter(runs), compile)).toEqual([]),
      );
    describe('whole graphs', () => conform(networkConformance()));
    describe.runIf(nonFinite)('NaN and infinities', () => {
      conform(nonFiniteConformance());
      conform(poisonedConformance());
    });
    describe('the contract of programs', () => testContract(backend, compile));
  });
}

const shape = [2, 5, 6, 7];

/** Builds y = relu(conv(x, w, b)) and z = y + y; outputs are z, y, y under a second name, and the input x. */
function forwardGraph(): { graph: Graph; weights: Weights } {
  const graph = new Graph({ name: 'forward' });
  const x = graph.input('x', shape);
  const [w, b] = [graph.parameter('w', [8, 5, 3, 3], true), graph.parameter('b', [8], true)];
  const attrs = { stride: [1, 1], padding: [1, 1, 1, 1], dilation: [1, 1], groups: 1 } as const;
  const y = relu(emit(ops.conv2d, [x, w, b], attrs, 'conv'));
  graph.outputs.set('z', add(y, y)).set('y', y).set('again', y).set('x', x);
  return {
    graph,
    weights: new Map([
      ['w', fillTensor('w', w.shape)],
      ['b', fillTensor('b', b.shape)],
      // Back ends ignore weights that the graph does not use.
      ['unused', fillTensor('unused', [3])],
    ]),
  };
}

/** Builds a graph that swaps two parameters in each run, and adds its input to a counter. */
function updatingGraph(): { graph: Graph; weights: Weights } {
  const graph = new Graph({ name: 'updating' });
  const [a, b] = [graph.parameter('a', [5], true), graph.parameter('b', [5], true)];
  const counter = graph.parameter('counter', [1], false);
  graph.outputs.set('a', emit(ops.reshape, [a], { shape: [1, 5] }));
  graph.updates
    .set('a', b)
    .set('b', a)
    .set('counter', add(counter, graph.input('by', [1])));
  return {
    graph,
    weights: new Map([
      ['a', tensor([1, 2, 3, 4, 5], [5])],
      ['b', tensor([-1, -2, -3, -4, -5], [5])],
      ['counter', tensor([10], [1])],
    ]),
  };
}

const feedsOf = (name: string): Feeds => new Map([['x', fillTensor(name, shape)]]);
const by = (value: number): Feeds => new Map([['by', tensor([value], [1])]]);

function testContract(backend: Backend, options: CompileOptions): void {
  /** Compiles a program, passes it to `use`, and disposes it. */
  const using = async (
    { graph, weights }: { graph: Graph; weights: Weights },
    use: (program: Program) => Promise<void>,
  ): Promise<void> => {
    const program = await backend.compile(graph, weights, options);
    try {
      await use(program);
    } finally {
      await program.dispose();
    }
  };
  const values = async (program: Program, name: string): Promise<readonly number[]> => [
    ...(await program.parameters()).get(name)!.data,
  ];

  test('it reports its back end, threads and memory', () =>
    using(forwardGraph(), async (program) => {
      expect(program.backend).toMatch(/^(reference|wasm|gpu:(webgpu|webgl2))$/);
      expect(program.threads).toBeGreaterThanOrEqual(1);
      expect(program.memory).toBeGreaterThanOrEqual((8 * 5 * 9 + 8) * 4);
    }));

  test('outputs may be inputs, have two names, and be read by other nodes', () =>
    using(forwardGraph(), async (program) => {
      const feeds = feedsOf('one');
      const results = await program.run(feeds);
      expect([...results.keys()]).toEqual(['z', 'y', 'again', 'x']);
      expect(results.get('x')!.data).toEqual(feeds.get('x')!.data);
      expect(results.get('again')!.data).toEqual(results.get('y')!.data);
      expect(results.get('z')!.data).toEqual(results.get('y')!.data.map((value) => 2 * value));
      expect(results.get('y')!.data.some((value) => value > 0)).toBe(true);
    }));

  test('a graph without an op returns its input', async () => {
    const graph = new Graph({ name: 'empty' });
    graph.outputs.set('y', graph.input('x', [1, 3, 2, 2]));
    const x = fillTensor('x', [1, 3, 2, 2]);
    await using({ graph, weights: new Map() }, async (program) => {
      expect((await program.run(new Map([['x', x]]))).get('y')).toEqual(x);
    });
  });

  test('a run depends on its feeds only, and does not modify feeds, weights or earlier results', async () => {
    const source = forwardGraph();
    const weightsBefore = [...source.weights.values()].map(({ data }) => data.slice());
    await using(source, async (program) => {
      const [one, two] = [feedsOf('one'), feedsOf('two')];
      const first = await program.run(one);
      const firstZ = first.get('z')!.data.slice();
      const second = await program.run(two);
      const third = await program.run(one);
      expect(first.get('z')!.data).toEqual(firstZ);
      expect(third.get('z')!.data).toEqual(firstZ);
      expect(second.get('z')!.data).not.toEqual(firstZ);
      expect(one).toEqual(feedsOf('one'));
      first.get('x')!.data.fill(0);
      expect(one).toEqual(feedsOf('one'));
    });
    expect([...source.weights.values()].map(({ data }) => data)).toEqual(weightsBefore);
  });

  test('later changes of the given weights have no effect', async () => {
    const source = forwardGraph();
    await using(source, async (program) => {
      const before = await program.run(feedsOf('one'));
      for (const { data } of source.weights.values()) data.fill(0);
      expect(await program.run(feedsOf('one'))).toEqual(before);
    });
  });

  test('two programs of one graph have separate state', () =>
    using(updatingGraph(), (first) =>
      using(updatingGraph(), async (second) => {
        await first.run(by(1));
        expect(await values(first, 'counter')).toEqual([11]);
        expect(await values(second, 'counter')).toEqual([10]);
      }),
    ));

  test('updates are applied all at once, after the run', () =>
    using(updatingGraph(), async (program) => {
      const first = await program.run(by(1));
      expect([...first.get('a')!.data]).toEqual([1, 2, 3, 4, 5]);
      expect(await values(program, 'a')).toEqual([-1, -2, -3, -4, -5]);
      expect(await values(program, 'b')).toEqual([1, 2, 3, 4, 5]);
      const second = await program.run(by(0.5));
      expect([...second.get('a')!.data]).toEqual([-1, -2, -3, -4, -5]);
      expect(await values(program, 'a')).toEqual([1, 2, 3, 4, 5]);
      expect(await values(program, 'counter')).toEqual([11.5]);
    }));

  test('an aborted run rejects with its reason, updates nothing, and the next run works', () =>
    using(updatingGraph(), async (program) => {
      const reason = new Error('enough');
      await expect(program.run(by(1), AbortSignal.abort(reason))).rejects.toBe(reason);
      expect(await values(program, 'counter')).toEqual([10]);
      await program.run(by(1));
      expect(await values(program, 'counter')).toEqual([11]);
    }));

  test('a run that is aborted while it runs applies all of its updates or none', () =>
    using(updatingGraph(), async (program) => {
      const reason = new Error('enough');
      const controller = new AbortController();
      const running = program.run(by(1), controller.signal).then(
        () => undefined,
        (error: unknown) => error,
      );
      controller.abort(reason);
      const outcome = await running;
      expect([undefined, reason]).toContain(outcome);
      expect(await values(program, 'counter')).toEqual([outcome ? 10 : 11]);
      expect(await values(program, 'a')).toEqual(outcome ? [1, 2, 3, 4, 5] : [-1, -2, -3, -4, -5]);
    }));

  test('a batch of another size or without pictures is rejected, and the next run works', () =>
    using(forwardGraph(), async (program) => {
      for (const pictures of [0, 1, 3]) {
        const feeds = new Map([['x', fillTensor('x', [pictures, ...shape.slice(1)])]]);
        const message = `forward: the input 'x' of 2x5x6x7 has 420 values, got ${210 * pictures}.`;
        await expect(program.run(feeds)).rejects.toThrow(message);
        await expect(program.profile(feeds)).rejects.toThrow(message);
      }
      await expect(program.run(new Map())).rejects.toThrow("forward: the run lacks the input 'x'.");
      expect((await program.run(feedsOf('one'))).size).toBe(4);
    }));

  test('a label that is not a class is rejected, and the next run works', async () => {
    const graph = new Graph();
    const labels = graph.input('labels', [2]);
    graph.outputs.set('loss', crossEntropyLoss(graph.input('x', [2, 3]), labels));
    const feeds = (label: number): Feeds =>
      new Map([
        ['x', tensor([1, 2, 3, 3, 2, 1], [2, 3])],
        ['labels', tensor([0, label], [2])],
      ]);
    await using({ graph, weights: new Map() }, async (program) => {
      for (const label of [3, -1, 0.5, Number.NaN]) {
        const message = `The label of row 1 is ${label}; with 3 classes labels go from 0 to 2.`;
        await expect(program.run(feeds(label))).rejects.toThrow(message);
        await expect(program.profile(feeds(label))).rejects.toThrow(message);
      }
      const { data } = (await program.run(feeds(1))).get('loss')!;
      expect(data[0]).toBeCloseTo(1.9076, 3);
    });
  });

  test('aborted compiling rejects with its reason', async () => {
    const { graph, weights } = forwardGraph();
    const reason = new Error('enough');
    const compiling = async () =>
      backend.compile(graph, weights, { ...options, signal: AbortSignal.abort(reason) });
    await expect(compiling()).rejects.toBe(reason);
  });

  test('a profile names every step and counts its work', () =>
    using(forwardGraph(), async (program) => {
      const profile = await program.profile(feedsOf('one'));
      expect(profile.backend).toBe(program.backend);
      expect(profile.threads).toBe(program.threads);
      const conv = profile.steps.find(({ path }) => path === 'conv');
      expect(conv?.op).toContain('conv2d');
      expect(conv?.algorithm).not.toBe('');
      expect(conv?.flops).toBeGreaterThanOrEqual(2 * 2 * 8 * 6 * 7 * 5 * 9);
      for (const { milliseconds } of profile.steps) expect(milliseconds).toBeGreaterThanOrEqual(0);
    }));

  test('a disposed program does not run, and may be disposed again', async () => {
    const { graph, weights } = forwardGraph();
    const program = await backend.compile(graph, weights, options);
    await program.dispose();
    await program.dispose();
    await expect(program.run(feedsOf('one'))).rejects.toThrow('disposed');
  });
}
