import { noise } from '@cnn/testing/fixtures';
import { describe, expect, test } from 'vitest';
import { Graph, type Node } from '../../../graph/graph.js';
import { printGraph } from '../../../graph/print.js';
import { relu } from '../../../ops/activation.js';
import { adaptiveAvgPool } from '../../../ops/adaptivePool.js';
import { add, mul } from '../../../ops/arithmetic.js';
import { concat, flatten, slice } from '../../../ops/arrange.js';
import { emit } from '../../../ops/define.js';
import { ops } from '../../../ops/index.js';
import { sizeOf } from '../../../tensor/shape.js';
import type { Tensor, Weights } from '../../../tensor/tensor.js';
import { detectFeatures, engineFor } from '../codegen/engine.js';
import { lowererFor } from '../ops/index.js';
import { planGraph } from '../planGraph.js';
import { wasmProgram } from '../program.js';
import { callingThreadRunner } from '../runtime/callingThread.js';
import { layOutMemory } from '../runtime/memoryImage.js';
import { wasmBackend } from '../wasm.js';
import { type TiledGraph, tileBatch } from './batchTile.js';

/** A graph under construction. Its weights do not depend on the batch size. */
class Network {
  readonly graph = new Graph();
  readonly weights: Weights = new Map();
  readonly x: Node;

  constructor(shape: readonly number[], build: (network: Network) => Node) {
    this.x = this.graph.input('x', shape);
    this.graph.outputs.set('y', build(this));
  }

  parameter(shape: readonly number[]): Node {
    const name = `w${this.weights.size}`;
    const scale = 1 / Math.sqrt(sizeOf(shape.slice(1)));
    this.weights.set(name, {
      shape,
      data: noise(sizeOf(shape), this.weights.size + 1).map((value) => value * scale),
    });
    return this.graph.parameter(name, shape, true);
  }

  conv(
    x: Node,
    channels: number,
    {
      kernel = 1,
      stride = 1,
      groups = 1,
      other,
    }: Partial<Record<'kernel' | 'stride' | 'groups', number>> & {
      readonly other?: Node;
    } = {},
  ): Node {
    const inputs = [
      this.parameter([channels, x.shape[1]! / groups, kernel, kernel]),
      this.parameter([channels]),
    ];
    const pad = (kernel - 1) >> 1;
    return emit(ops.conv2d, [x, ...inputs, ...(other ? [other] : [])], {
      stride: [stride, stride],
      padding: [pad, pad, pad, pad],
      dilation: [1, 1],
      groups,
      activation: { fn: 'relu' },
      residual: other ? true : undefined,
    });
  }

  linear(x: Node, features: number): Node {
    return emit(ops.linear, [x, this.parameter([features, x.shape[1]!])], {});
  }

  maxPool(x: Node): Node {
    const [pair, padding] = [[2, 2] as const, [0, 0, 0, 0] as const];
    return emit(ops.maxPool, [x], { kernel: pair, stride: pair, padding, dilation: [1, 1], ceilMode: false });
  }
}

/**
 * Two convolutions with small weights, then a fully connected layer whose weights are larger than its
 * activations.
 */
const small = (images: number, build?: (network: Network, x: Node) => Node): Network =>
  new Network([images, 1, 8, 8], (network) => {
    const x = network.conv(network.conv(network.x, 8), 8);
    return network.linear(flatten(build?.(network, x) ?? network.maxPool(x)), 64);
  });

const tilesOf = ({ graph }: Network, cachedBytes?: number) => tileBatch(graph, cachedBytes).tiling?.tiles;

describe('the boundary', () => {
  /** Bytes that a layer of `small` reads and writes for one image. */
  const imageBytes = 8 * 8 * 16 * 4;

  test('is where activations become smaller than weights; tiles are as large as the caches allow', () => {
    expect(
      printGraph(tileBatch(small(4).graph, 2 * imageBytes).graph)
        .split('\n')
        .slice(0, 6),
    ).toEqual([
      '%x = input : 2x1x8x8',
      expect.stringMatching(/^%1 = conv2d\(%x, .*: 2x8x8x8$/),
      expect.stringMatching(/^%2 = conv2d\(%1, .*: 2x8x8x8$/),
      expect.stringMatching(/^%3 = maxPool\(%2\) .*: 2x8x4x4$/),
      '%all tiles of x = input : 4x8x4x4',
      expect.stringMatching(/^%\d = reshape\(%all tiles of x\) .*: 4x128$/),
    ]);
  });

  test('divides the batch without remainder', () => {
    expect(tilesOf(small(6), 4 * imageBytes)).toBe(2);
    expect(tilesOf(small(7), 4 * imageBytes)).toBe(7);
  });

  test('is missing if the batch fits, images mix, weights change, or an early value is an output', () => {
    expect(tilesOf(small(4))).toBeUndefined();
    const mixed = new Network([4, 8, 8, 8], ({ x }) => relu(concat([x, x], 0)));
    expect(tilesOf(mixed, 1)).toBeUndefined();
    const noWeight = new Network([8, 8, 1, 1], ({ x }) =>
      emit(ops.conv2d, [x, x], { stride: [1, 1], padding: [0, 0, 0, 0], dilation: [1, 1], groups: 1 }),
    );
    expect(tilesOf(noWeight, 1)).toBeUndefined();
    const updated = small(4);
    updated.graph.updates.set('w0', updated.graph.parameter('w1', [8], true));
    expect(tilesOf(updated, imageBytes)).toBeUndefined();
    const observed = small(4);
    observed.graph.outputs.set('first', observed.graph.nodes.find(({ op }) => op === 'conv2d')!);
    expect(tilesOf(observed, imageBytes)).toBeUndefined();
  });
});

/**
 * Computes the output for a batch on the calling thread, and profiles it; `tile` tiles the graph or not.
 */
async function run({ graph, weights, x }: Network, data: Float32Array, tile: (graph: Graph) => TiledGraph) {
  const engine = engineFor(detectFeatures());
  const planned = planGraph(tile(graph), weights, engine, 1, await lowererFor(graph));
  const image = layOutMemory(planned.parts, false);
  const module = await WebAssembly.compile(image.module);
  const runner = await callingThreadRunner({ image, module, answerMilliseconds: 1000 });
  const program = wasmProgram(graph, weights, engine, { ...planned, image }, runner);
  const feeds = new Map<string, Tensor>([['x', { shape: x.shape, data }]]);
  return { y: (await program.run(feeds)).get('y')!.data, ...(await program.profile(feeds)) };
}

const networks: Readonly<Record<string, (images: number) => Network>> = {
  'a first convolution, a pool and a residual': (images) =>
    new Network([images, 3, 13, 11], (network) => {
      const x = network.maxPool(network.conv(network.x, 16, { kernel: 3 }));
      const y = network.conv(network.conv(x, 24, { kernel: 3 }), 16, { other: x });
      return network.linear(flatten(adaptiveAvgPool(1)(y)), 300);
    }),
  'parts of a concatenation': (images) =>
    new Network([images, 8, 9, 7], (network) => {
      const x = network.conv(network.x, 16);
      const y = concat([network.conv(x, 8), network.conv(x, 8, { kernel: 3 }), x]);
      return network.linear(flatten(adaptiveAvgPool(2)(y)), 300);
    }),
  'a concatenation that continues after the boundary': (images) =>
    new Network([images, 8, 3, 3], (network) => {
      const x = network.conv(network.x, 16);
      const features = concat([x, network.conv(x, 8)]);
      return concat([features, network.conv(features, 512)]);
    }),
  'channels that do not fill a block, slices and sums': (images) =>
    new Network([images, 5, 6, 10], (network) => {
      const x = network.conv(network.x, 12);
      const y = add(slice(1, 0, 6)(x), slice(1, 6, 12)(x));
      return network.linear(flatten(relu(y)), 300);
    }),
  'an inverted residual with squeeze-and-excitation': (images) =>
    new Network([images, 8, 14, 14], (network) => {
      const wide = network.conv(network.conv(network.x, 24), 24, { kernel: 3, groups: 24 });
      const gates = network.conv(network.conv(adaptiveAvgPool(1)(wide), 8), 24);
      const y = network.conv(mul(wide, gates), 8, { other: network.x });
      return network.linear(flatten(adaptiveAvgPool(1)(y)), 300);
    }),
};

describe.each(Object.entries(networks))('batch tiles of %s', (_, build) => {
  test('give the same bits as single tiles, and one step of a profile for each layer', async () => {
    // Images of the batch, cached bytes for each value of the input, and the allowed sizes of a tile.
    for (const [images, bytes, tileSizes] of [
      [3, 0, [1]],
      [8, 0, [1]],
      [8, 10, [2, 4]],
    ] as const) {
      const network = build(images);
      const cachedBytes = 1 + bytes * sizeOf(network.x.shape);
      const tiles = tilesOf(network, cachedBytes)!;
      expect(tileSizes).toContain(images / tiles);
      const data = noise(sizeOf(network.x.shape), 99);
      data[data.length >> 1] = Number.NaN;
      const tiled = await run(network, data, (graph) => tileBatch(graph, cachedBytes));
      const whole = await run(network, data, (graph) => ({ graph }));
      const each = data.length / tiles;
      const alone: number[] = [];
      for (let from = 0; from < data.length; from += each)
        alone.push(
          ...(await run(build(images / tiles), data.slice(from, from + each), (graph) => ({ graph }))).y,
        );
      expect([...tiled.y]).toEqual(alone);
      const steps = ({ steps }: typeof tiled) => steps.map(({ path, op, flops }) => ({ path, op, flops }));
      expect(steps(tiled)).toEqual(steps(whole));
    }
  });
});

test('a batch larger than the caches gives the bits of single images, on any number of threads', async () => {
  const build = (images: number): Network =>
    new Network([images, 3, 104, 104], (network) => {
      const y = network.maxPool(network.conv(network.conv(network.x, 32, { kernel: 3 }), 32, { kernel: 3 }));
      return network.linear(flatten(adaptiveAvgPool(1)(y)), 10);
    });
  const output = async ({ graph, weights, x }: Network, data: Float32Array, threads: number) => {
    const program = await wasmBackend({ workers: threads > 1 }).compile(graph, weights, { threads });
    const y = (await program.run(new Map([['x', { shape: x.shape, data }]]))).get('y')!.data;
    await program.dispose();
    return y;
  };
  const batch = build(9);
  expect(tilesOf(batch)).toBe(3);
  const data = noise(sizeOf(batch.x.shape), 5);
  const each = data.length / 9;
  const alone = [];
  for (let image = 0; image < 9; image++)
    alone.push(...(await output(build(1), data.slice(image * each, (image + 1) * each), 1)));
  for (const threads of [1, 2, 3]) expect([...(await output(batch, data, threads))]).toEqual(alone);
});
