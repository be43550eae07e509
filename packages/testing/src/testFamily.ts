/** The test suite of families: the registry is correct, and the networks give PyTorch's numbers. */
import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import {
  linear,
  type ModelEntry,
  type Module,
  type Node,
  parameters,
  replace,
  ShapeError,
  summary,
  trace,
} from '@cnn/core';
import { countParameters, differentiate, forTraining, isParameter, modules } from '@cnn/core/graph';
import { describe, expect, test } from 'vitest';
import { blockPicture } from './blockPicture.js';
import { readModelGolden } from './goldens.js';
import { checkRun, type ModelGolden, stateOf } from './modelGolden.js';
import { hasWebGpu } from './webGpu.js';

/** Options of {@link testFamily}. */
export interface FamilyOptions {
  readonly models: Readonly<Record<string, ModelEntry>>;
  /** Folder of golden files. */
  readonly goldens: string;
  /**
   * The part that `block.svg` in the README shows: a model, and the path of a module (empty for the whole
   * model).
   */
  readonly block: { readonly model: string; readonly path: string };
  /** Builder of the model of each golden file, by file name without extension. */
  readonly builders: Readonly<Record<string, () => Module>>;
  /** Variants of models, with the number of trainable parameters in PyTorch. */
  readonly counts?: Readonly<Record<string, readonly [parameters: number, build: () => Module]>>;
}

/** Declares the tests of a family. */
export function testFamily(options: FamilyOptions): void {
  if (process.env.CNN_BACKEND === 'gpu') testOnGpu(options);
  else testEverything(options);
}

function testEverything({ models, goldens, block, builders, counts = {} }: FamilyOptions): void {
  describe.each(Object.entries(models))('%s', (name, entry) => testEntry(name, entry));

  test('block.svg matches the graph (`vitest -u` redraws it)', async () => {
    const { build, input } = models[block.model]!;
    const picture = blockPicture(trace(build(), input, { name: block.model }), block.path);
    await expect(picture).toMatchFileSnapshot(join(goldens, '../block.svg'));
  });

  test.each(Object.entries(counts))('%s has as many parameters as in PyTorch', (_, [expected, build]) => {
    expect(countParameters(build())).toBe(expected);
  });

  const files = readdirSync(goldens).map((file) => basename(file, '.json'));
  test('every golden file has a builder, and every builder a file', () => {
    expect(Object.keys(builders).sort()).toEqual(files.sort());
  });
  describe.each(Object.entries(builders))('golden %s', (file, build) => {
    const golden = readModelGolden(join(goldens, `${file}.json`));
    testGolden(golden, build);
  });
}

function testEntry(name: string, entry: ModelEntry): void {
  const model = entry.build();

  test('has the stated parameters and multiply-adds', () => {
    expect(entry.name).toBe(name);
    expect(countParameters(model)).toBe(entry.parameters);
    const table = summary(model, entry.input);
    expect(table.macs).toBe(entry.macs);
    expect(table.parameters).toBe(table.rows.reduce((sum, row) => sum + row.parameters, 0));
    expect(String(table)).toContain(entry.parameters.toLocaleString('en-US'));
  });

  test('accepts pictures from its minimum size; the error for smaller ones states it', () => {
    const [, channels] = entry.input as readonly [number, number];
    const size = (pixels: number) => trace(model, [2, channels, pixels, pixels], { name }).output.shape;
    expect(size(entry.minimum).length).toBe(2);
    if (entry.minimum > 1) expect(() => size(entry.minimum - 1)).toThrow(ShapeError);
    // Networks for a single size fail in a linear layer, whose error does not know the picture size.
    if (entry.minimum > 1 && !['lenet5', 'lenet5_classic', 'alexnet_2012'].includes(name))
      expect(() => size(entry.minimum - 1)).toThrow(
        `The smallest square picture that works is ${entry.minimum}x${entry.minimum}`,
      );
    expect(() => trace(model, [1, channels + 1, ...entry.input.slice(2)], { name })).toThrow(
      new RegExp(`^${name}/.*expected ${channels} channels, got ${channels + 1}`),
    );
  });

  test('has the requested number of classes', () => {
    expect(trace(entry.build({ numClasses: 7 }), entry.input).output.shape).toEqual([1, 7]);
  });

  test('every trainable parameter gets a gradient', () => {
    const graph = forTraining(trace(model, entry.input, { mode: 'training' }));
    const targets = graph.nodes.filter((node) => isParameter(node) && node.attrs.trainable);
    const gradients = differentiate(graph.output, targets, graph.input('upstream', graph.output.shape));
    const without = targets.filter((node: Node) => !gradients.has(node));
    expect(without.map((node) => (isParameter(node) ? node.attrs.name : ''))).toEqual([]);
    expect(targets.length).toBe([...parameters(model)].filter(([, param]) => param.trainable).length);
  });

  test('its classifier can be replaced', () => {
    const weighted = [...modules(model)].filter(([, child]) => 'weight' in child.children).at(-1);
    const [path, last] = weighted!;
    const { shape } = new Map(parameters(last)).get('weight')!;
    const [classes, features, ...kernel] = shape;
    if (kernel.length > 0) return; // The classifier is a convolution, which a linear layer cannot replace.
    const replaced = replace(model, path, linear(features!, 7));
    expect(trace(replaced, entry.input).output.shape).toEqual([1, 7]);
    expect(trace(model, entry.input).output.shape).toEqual([1, classes]);
  });

  test('its weights records are complete', () => {
    for (const [key, { url, sha256, licence, transform }] of Object.entries(entry.weights)) {
      expect(url, key).toMatch(/^(https:|package:)/);
      expect(sha256, key).toMatch(/^[0-9a-f]{8,64}$/);
      expect(licence.length, key).toBeGreaterThan(0);
      expect(transform.crop, key).toBeLessThanOrEqual(transform.resize);
    }
  });
}

function testGolden(golden: ModelGolden, build: () => Module): void {
  const model = build();
  const state = stateOf(golden);

  test('has the names, shapes and order of the state dict', () => {
    expect([...parameters(model)].map(([name, { shape }]) => [name, shape])).toEqual(state);
    expect(countParameters(model)).toBe(golden.params);
  });

  test.each(golden.runs.map((run) => [run.input.join('x'), run] as const))(
    "gives PyTorch's logits for %s",
    { timeout: 600_000 },
    (_, run) => checkRun(golden, run, model),
  );
}

/**
 * Declares the golden tests on the GPU, in the project `gpu`: by default only the run with the fewest
 * multiply-adds, on its first image, if a software GPU computes it within seconds (GoogLeNet's it does not); all
 * runs with CNN_SLOW_TESTS=1.
 */
function testOnGpu({ goldens, builders }: FamilyOptions): void {
  const runs = Object.entries(builders)
    .flatMap(([file, build]) => {
      const golden = readModelGolden(join(goldens, `${file}.json`));
      return golden.runs.map((run) => ({ name: `${file}, ${run.input.join('x')}`, golden, run, build }));
    })
    .sort((a, b) => a.run.macsPerImage - b.run.macsPerImage);
  const everything = process.env.CNN_SLOW_TESTS === '1';
  const chosen = everything ? runs : runs.slice(0, 1);
  const soon = chosen.every(({ run }) => run.macsPerImage < 1e9);
  test.runIf(hasWebGpu() && (everything || soon)).each(chosen)(
    "$name gives PyTorch's logits on the GPU",
    { timeout: 600_000 },
    (row) => checkRun(row.golden, row.run, row.build(), { backend: 'gpu', images: 1 }),
  );
}
