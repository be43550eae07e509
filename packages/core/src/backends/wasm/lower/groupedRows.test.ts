import { describe, expect, test } from 'vitest';
import { Graph, type Node } from '../../../graph/graph.js';
import { type Activation, emit, ops } from '../../../ops/index.js';
import { sizeOf } from '../../../tensor/shape.js';
import type { Tensor, Weights } from '../../../tensor/tensor.js';
import { referenceBackend } from '../../reference/reference.js';
import { enginesToTry, noise } from '../kernels/testKernel.js';
import { wasmBackend } from '../wasm.js';

interface GroupedShape {
  readonly input: readonly [number, number, number, number];
  readonly out: number;
  readonly groups: number;
  readonly kernel?: number;
  readonly stride?: number;
  readonly dilation?: number;
  readonly padding?: number;
  readonly residual?: boolean;
  readonly fn?: 'relu' | 'silu';
}

/** A convolution in groups behind an activation, as the host's tensor lies in another order. */
function graphOf({ input, out, groups, residual, fn, ...window }: GroupedShape) {
  const { kernel = 3, stride = 1, dilation = 1, padding = 1 } = window;
  const graph = new Graph();
  const weights: Weights = new Map();
  const parameter = (shape: readonly number[]): Node => {
    const name = `w${weights.size}`;
    weights.set(name, { shape, data: noise(sizeOf(shape), weights.size + 1) });
    return graph.parameter(name, shape, true);
  };
  const x = graph.input('x', input);
  const conv = (residuals: readonly Node[]): Node =>
    emit(
      ops.conv2d,
      [x, parameter([out, input[1] / groups, kernel, kernel]), parameter([out]), ...residuals] as [
        Node,
        ...Node[],
      ],
      {
        stride: [stride, stride],
        padding: [padding, padding, padding, padding],
        dilation: [dilation, dilation],
        groups,
        activation: fn && ({ fn } as Activation),
        residual: residuals.length > 0 ? true : undefined,
      },
    );
  graph.outputs.set('y', conv(residual ? [conv([])] : []));
  return {
    graph,
    weights,
    feeds: new Map<string, Tensor>([['x', { shape: input, data: noise(sizeOf(input), 99) }]]),
  };
}

async function runOn(
  backend: ReturnType<typeof wasmBackend>,
  { graph, weights, feeds }: ReturnType<typeof graphOf>,
  threads?: number,
) {
  const program = await backend.compile(graph, weights, { threads });
  try {
    const { data } = (await program.run(feeds)).get('y')!;
    return { data, algorithm: (await program.profile(feeds)).steps.at(-1)!.algorithm };
  } finally {
    await program.dispose();
  }
}

const cases: Readonly<Record<string, GroupedShape>> = {
  'four channels a group': { input: [1, 24, 9, 15], out: 24, groups: 6, fn: 'relu' },
  'four channels a group, stride 2, residual, two pictures': {
    ...{ input: [2, 16, 8, 17], out: 16, groups: 4, stride: 2, residual: true, fn: 'relu' },
  },
  'eight channels a group': { input: [1, 32, 7, 7], out: 32, groups: 4, fn: 'silu' },
  'eight channels a group, stride 2': { input: [1, 32, 16, 30], out: 32, groups: 4, stride: 2 },
  'sixteen outputs of three inputs a group': { input: [1, 9, 20, 8], out: 48, groups: 3, residual: true },
  'many channels a group on a picture smaller than the window': {
    input: [1, 64, 2, 1],
    out: 64,
    groups: 2,
    kernel: 5,
    padding: 2,
  },
  'dilation, two pictures, large weights': {
    input: [2, 128, 6, 5],
    out: 128,
    groups: 4,
    dilation: 2,
    padding: 2,
  },
  'no padding, 7x7': { input: [1, 16, 10, 23], out: 16, groups: 2, kernel: 7, padding: 0 },
};

describe('convolutions in groups, row by row', () => {
  test.each(Object.entries(cases))('%s', async (_, shape) => {
    const built = graphOf(shape);
    const expected = (await runOn(referenceBackend(), built)).data;
    const largest = Math.max(...expected.map(Math.abs));
    for (const [kind, engine] of enginesToTry()) {
      const { data, algorithm } = await runOn(wasmBackend({ workers: false, engine }), built);
      expect(algorithm).toMatch(/^grouped /);
      for (const [i, value] of expected.entries())
        if (!(Math.abs(data[i]! - value) <= 1e-5 * largest))
          expect.fail(`${kind}: element ${i} is ${data[i]}, the reference has ${value}`);
    }
  });

  test('give the same bits on one, two and three threads, and NaN where there is one', async () => {
    for (const shape of Object.values(cases)) {
      const built = graphOf(shape);
      built.feeds.get('x')!.data[0] = Number.NaN;
      const one = await runOn(wasmBackend({ workers: false }), built);
      expect(one.data.some(Number.isNaN)).toBe(true);
      for (const threads of [2, 3])
        expect(new Uint32Array((await runOn(wasmBackend(), built, threads)).data.buffer)).toEqual(
          new Uint32Array(one.data.buffer),
        );
    }
  });
});
