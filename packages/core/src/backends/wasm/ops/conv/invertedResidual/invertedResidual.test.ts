/** Inverted residual blocks, row-wise and channel-wise, against the reference. */
import { enginesToTry, noise } from '@cnn/testing/fixtures';
import { describe, expect, test } from 'vitest';
import { Graph, type Node } from '../../../../../graph/graph.js';
import type { Activation } from '../../../../../ops/activation.js';
import { adaptiveAvgPool } from '../../../../../ops/adaptivePool.js';
import { mul } from '../../../../../ops/arithmetic.js';
import { emit } from '../../../../../ops/define.js';
import { ops } from '../../../../../ops/index.js';
import { sizeOf } from '../../../../../tensor/shape.js';
import type { Tensor, Weights } from '../../../../../tensor/tensor.js';
import { referenceBackend } from '../../../../reference/reference.js';
import { wasmBackend } from '../../../wasm.js';

interface BlockShape {
  readonly input: readonly [number, number, number, number];
  readonly hidden?: number;
  readonly out: number;
  readonly kernel: number;
  readonly stride: number;
  readonly squeezed?: number;
  /** True if the expansion is a first convolution: 3x3, stride 2, of the NCHW input. */
  readonly firstConv?: boolean;
  /** Stride of a depthwise convolution after the block. */
  readonly filter?: number;
  /** True if the depthwise convolution has no padding. */
  readonly unpadded?: boolean;
  /** Additional rows of padding below depthwise convolutions. */
  readonly below?: number;
  readonly residual?: boolean;
}

/** Graph with its weights and feeds. */
interface Built {
  readonly graph: Graph;
  readonly weights: Weights;
  readonly feeds: Map<string, Tensor>;
}

/** Builds the graph of one block as the pass `fuse` leaves it. */
function blockOf(shape: BlockShape): Built {
  const built: Built = { graph: new Graph(), weights: new Map(), feeds: new Map() };
  addBlock(shape, 'y', built);
  return built;
}

/** Adds a block to a graph. @param name - of its output. */
function addBlock(shape: BlockShape, name: string, { graph, weights, feeds }: Built): void {
  const {
    input,
    hidden,
    out,
    kernel,
    stride,
    squeezed,
    residual,
    firstConv,
    filter,
    unpadded,
    below = 0,
  } = shape;
  const parameter = (shape: readonly number[], scale: number): Node => {
    const name = `w${weights.size}`;
    const data = noise(sizeOf(shape), weights.size + 1).map((value) => value * scale);
    weights.set(name, { shape, data });
    return graph.parameter(name, shape, true);
  };
  const conv = (
    x: Node,
    channels: number,
    size = 1,
    groups = 1,
    fn?: Activation['fn'],
    shortcut?: Node,
    step = 1,
  ): Node => {
    const each = x.shape[1]! / groups;
    const pad = unpadded ? 0 : (size - 1) / 2;
    const weight = parameter([channels, each, size, size], 2 / Math.sqrt(each * size * size));
    const inputs: [Node, ...Node[]] = [
      x,
      weight,
      parameter([channels], 0.5),
      ...(shortcut ? [shortcut] : []),
    ];
    return emit(ops.conv2d, inputs, {
      stride: [step, step],
      padding: [pad, pad, pad + (groups > 1 ? below : 0), pad],
      dilation: [1, 1],
      groups,
      activation: fn && ({ fn } as Activation),
      residual: shortcut ? true : undefined,
    });
  };
  const x = graph.input(`${name}/x`, input);
  feeds.set(`${name}/x`, { shape: input, data: noise(sizeOf(input), 99) });
  const wide = hidden ? conv(x, hidden, firstConv ? 3 : 1, 1, 'silu', undefined, firstConv ? 2 : 1) : x;
  let middle = conv(wide, wide.shape[1]!, kernel, wide.shape[1]!, 'hardSwish', undefined, stride);
  if (squeezed) {
    const mean = adaptiveAvgPool(1)(middle);
    middle = mul(middle, conv(conv(mean, squeezed, 1, 1, 'relu'), middle.shape[1]!, 1, 1, 'hardSigmoid'));
  }
  const projected = conv(middle, out, 1, 1, undefined, residual ? x : undefined);
  graph.outputs.set(name, filter ? conv(projected, out, 3, out, 'relu', undefined, filter) : projected);
}

async function runOn(backend: ReturnType<typeof wasmBackend>, built: Built, threads?: number) {
  const program = await backend.compile(built.graph, built.weights, { threads });
  try {
    const results = await program.run(built.feeds);
    return { results, profile: await program.profile(built.feeds) };
  } finally {
    await program.dispose();
  }
}

const cases: Readonly<Record<string, BlockShape>> = {
  'row-wise, residual': { input: [1, 16, 14, 14], hidden: 40, out: 16, kernel: 3, stride: 1, residual: true },
  'row-wise, stride 2, two images': { input: [2, 12, 13, 9], hidden: 24, out: 20, kernel: 5, stride: 2 },
  'row-wise, no expansion': { input: [1, 24, 12, 30], out: 16, kernel: 3, stride: 1 },
  'row-wise, windows entirely in the padding below the image': {
    input: [1, 16, 16, 6],
    hidden: 24,
    out: 16,
    kernel: 3,
    stride: 1,
    below: 3,
  },
  'row-wise, squeeze-excitation': {
    input: [1, 16, 18, 10],
    hidden: 48,
    out: 24,
    kernel: 3,
    stride: 1,
    squeezed: 8,
  },
  'row-wise, squeeze-excitation, no padding': {
    input: [1, 16, 14, 30],
    hidden: 32,
    out: 24,
    kernel: 3,
    stride: 1,
    squeezed: 8,
    unpadded: true,
  },
  'first conv, row-wise, two images': {
    input: [2, 3, 31, 22],
    hidden: 16,
    out: 24,
    kernel: 3,
    stride: 1,
    firstConv: true,
  },
  'first conv, squeeze-excitation': {
    input: [1, 3, 30, 50],
    hidden: 16,
    out: 8,
    kernel: 3,
    stride: 2,
    firstConv: true,
    squeezed: 8,
  },
  'first conv, channel-wise': {
    input: [1, 3, 9, 9],
    hidden: 32,
    out: 16,
    kernel: 3,
    stride: 1,
    firstConv: true,
  },
  'row-wise, a fused depthwise convolution': {
    input: [1, 16, 128, 9],
    hidden: 24,
    out: 20,
    kernel: 3,
    stride: 1,
    filter: 2,
  },
  'first conv and depthwise convolution fused': {
    input: [1, 3, 260, 12],
    hidden: 16,
    out: 20,
    kernel: 3,
    stride: 1,
    firstConv: true,
    filter: 2,
  },
  'row-wise, then a depthwise convolution': {
    input: [1, 16, 24, 9],
    hidden: 24,
    out: 20,
    kernel: 3,
    stride: 1,
    filter: 2,
  },
  'channel-wise, then a depthwise convolution': {
    input: [1, 40, 7, 7],
    hidden: 64,
    out: 48,
    kernel: 3,
    stride: 1,
    filter: 1,
  },
  'channel-wise': { input: [1, 40, 7, 7], hidden: 200, out: 40, kernel: 3, stride: 1, residual: true },
  'channel-wise, squeeze-excitation, two images': {
    input: [2, 16, 5, 7],
    hidden: 72,
    out: 24,
    kernel: 5,
    stride: 1,
    squeezed: 10,
  },
  'channel-wise, a single pixel': { input: [1, 24, 1, 1], hidden: 24, out: 24, kernel: 3, stride: 1 },
  'channel-wise, large weights': {
    input: [1, 160, 7, 7],
    hidden: 480,
    out: 160,
    kernel: 5,
    stride: 1,
    squeezed: 24,
  },
};

describe('inverted residuals', () => {
  test.each(Object.entries(cases))('%s', async (_, shape) => {
    const built = blockOf(shape);
    const expected = (await runOn(referenceBackend(), built)).results.get('y')!.data;
    const largest = Math.max(...expected.map(Math.abs));
    for (const [kind, engine] of enginesToTry()) {
      const { results } = await runOn(wasmBackend({ workers: false, engine }), built);
      const { data } = results.get('y')!;
      for (const [i, value] of expected.entries())
        if (!(Math.abs(data[i]! - value) <= 1e-5 * largest))
          expect.fail(`${kind}: element ${i} is ${data[i]}, the reference has ${value}`);
    }
  });

  test('give the same bits on one, two and three threads, and propagate NaN', async () => {
    // All blocks are one program, since workers take longer to start than a block to run.
    const built: Built = { graph: new Graph(), weights: new Map(), feeds: new Map() };
    for (const [name, shape] of Object.entries(cases)) addBlock(shape, name, built);
    for (const { data } of built.feeds.values()) data[5] = Number.NaN;
    const [one, two, three] = await Promise.all([
      runOn(wasmBackend({ workers: false }), built),
      runOn(wasmBackend(), built, 2),
      runOn(wasmBackend(), built, 3),
    ]);
    for (const [name, { data }] of one.results) {
      expect(data.some(Number.isNaN), name).toBe(true);
      for (const { results } of [two, three])
        expect(new Uint32Array(results.get(name)!.data.buffer), name).toEqual(new Uint32Array(data.buffer));
    }
  });

  test('are fused row-wise with a first and a depthwise convolution where that pays', async () => {
    const algorithms = async (name: string, threads: number) => {
      const { profile } = await runOn(wasmBackend(), blockOf(cases[name]!), threads);
      return profile.steps.map(({ algorithm }) => algorithm);
    };
    expect(await algorithms('first conv and depthwise convolution fused', 2)).toEqual([
      'first conv, depthwise 3x3, project, depthwise 3x3 row-wise',
    ]);
    expect(await algorithms('first conv, channel-wise', 2)).toEqual([
      'first conv, depthwise 3x3 channel-wise, project',
    ]);
  });

  test('are one step of a profile, with the operations of all parts', async () => {
    const built = blockOf(cases['row-wise, squeeze-excitation']!);
    const { profile } = await runOn(wasmBackend({ workers: false }), built);
    expect(profile.steps.map(({ algorithm }) => algorithm)).toEqual([
      'expand, depthwise 3x3 row-wise, squeeze-excitation, project',
    ]);
    const flops = (steps: typeof profile.steps) => steps.reduce((sum, step) => sum + step.flops, 0);
    const reference = (await runOn(referenceBackend(), built)).profile;
    expect(flops(profile.steps)).toBe(flops(reference.steps));
  });
});
