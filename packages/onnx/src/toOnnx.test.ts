/** The contents of exported files, and the errors. */
import { fromBinary } from '@bufbuild/protobuf';
import {
  add,
  batchNorm,
  concat,
  conv2d,
  dropout,
  flatten,
  globalAvgPool,
  initialise,
  linear,
  type Module,
  maxPool,
  module,
  parameters,
  pipe,
  relu,
  sequential,
  slice,
  type Tensor,
  tensor,
  trace,
  WeightsMismatch,
} from '@cnn/core';
import { emit, evaluateConstants, forTraining, Graph, ops, pair, simplify, symmetric } from '@cnn/core/graph';
import { differences, fillTensor } from '@cnn/testing';
import { describe, expect, test } from 'vitest';
import { loadOnnx, onnxRuntime, runOnnx } from '../test/onnxRuntime.js';
import { OnnxExportError } from './errors.js';
import { type GraphProto, ModelProtoSchema, type ValueInfoProto } from './onnx_pb.js';
import { type ToOnnxOptions, toOnnx } from './toOnnx.js';

const convNorm = (inC: number, outC: number) =>
  module({ conv: conv2d(inC, outC, 3, { padding: 1, bias: false }), bn: batchNorm(outC) }, (m, x) =>
    relu(m.bn(m.conv(x))),
  );
const residual = module({ stem: convNorm(2, 4), body: convNorm(4, 4), fc: linear(4, 3) }, (m, x) => {
  const stem = m.stem(x);
  return pipe(relu(add(m.body(stem), stem)), dropout(), globalAvgPool, m.fc);
});

const read = (model: Module, shape: readonly number[], options?: ToOnnxOptions) =>
  fromBinary(ModelProtoSchema, toOnnx(trace(model, shape, { name: 'small' }), initialise(model), options));
const shapeOf = (value: ValueInfoProto | undefined): readonly (bigint | string | undefined)[] =>
  value!.type!.value.value!.shape!.dim.map((dimension) => dimension.value.value);
const namesOf = ({ node }: GraphProto) => node.map(({ name, opType }) => [name, opType]);

describe('a file', () => {
  const file = read(residual, [5, 2, 6, 7]);
  const graph = file.graph!;

  test('holds labels and preprocessing as metadata, if they are given', async () => {
    expect(file.metadataProps).toEqual([]);
    const transform = {
      resize: 8,
      crop: 6,
      interpolation: 'bicubic',
      mean: [0.5, 0.25],
      std: [1, 2],
    } as const;
    const options = { labels: ['a', 'b "c"', '\u{1F600}'], transform };
    const { metadataProps } = read(residual, [1, 2, 6, 6], options);
    expect(metadataProps.map(({ key, value }) => [key, value])).toEqual([
      ['labels', '["a","b \\"c\\"","\u{1F600}"]'],
      ['mean', '[0.5,0.25]'],
      ['std', '[1,2]'],
      ['size', '6'],
      ['resize', '8'],
      ['interpolation', 'bicubic'],
    ]);
  });

  test('names its versions, its producer and itself', () => {
    expect([file.irVersion, file.opsetImport.map(({ domain, version }) => [domain, version])]).toEqual([
      8n,
      [['', 17n]],
    ]);
    expect([file.producerName, graph.name]).toEqual(['@cnn/onnx', 'small']);
    expect(file.producerVersion).toMatch(/^\d+\.\d+\.\d+$/);
    expect(file.docString).toBe('small, from x (5x2x6x7) to output (5x3), float32. Exported by @cnn/onnx.');
  });

  test('has nodes under the names of their modules, and parameters under those of the state dict', () => {
    expect(namesOf(graph)).toEqual([
      ['stem.conv', 'Conv'],
      ['stem.bn', 'BatchNormalization'],
      ['stem', 'Relu'],
      ['body.conv', 'Conv'],
      ['body.bn', 'BatchNormalization'],
      ['body', 'Relu'],
      ['Add', 'Add'],
      ['Relu', 'Relu'],
      ['GlobalAveragePool', 'GlobalAveragePool'],
      ['Flatten', 'Flatten'],
      ['fc', 'Gemm'],
    ]);
    expect(graph.initializer.map(({ name, dims }) => [name, dims.map(Number)]).sort()).toEqual(
      [...parameters(residual)].map(([name, { shape }]) => [name, shape]).sort(),
    );
  });

  test('says the shape of every value', () => {
    expect(graph.input.map((value) => [value.name, shapeOf(value)])).toEqual([['x', [5n, 2n, 6n, 7n]]]);
    expect(graph.output.map((value) => [value.name, shapeOf(value)])).toEqual([['output', [5n, 3n]]]);
    expect(shapeOf(graph.valueInfo.find(({ name }) => name === 'stem.bn'))).toEqual([5n, 4n, 6n, 7n]);
    const values = new Set(graph.valueInfo.map(({ name }) => name));
    for (const { output } of graph.node.slice(0, 8)) expect(values).toContain(output[0]);
  });

  test('has one name for every value, whatever modules are called', () => {
    const model = module({ x: conv2d(1, 1, 1), output: conv2d(1, 1, 1) }, (m, x) =>
      pipe(x, m.x, relu, m.output, relu, (y) => add(y, y)),
    );
    const { node, initializer } = read(model, [1, 1, 2, 2]).graph!;
    const names = [...node.flatMap(({ output }) => output), ...initializer.map(({ name }) => name), 'x'];
    expect(new Set(names).size).toBe(names.length);
    expect(node.map(({ name }) => name)).toEqual(['x/Conv', 'Relu', 'output/Conv', 'Relu_1', 'Add']);
  });

  test('keeps the constants that nodes share once', () => {
    const halves = module({}, (_, x) => concat([slice(1, 0, 2)(x), slice(1, 0, 2)(x), slice(1, 2, 4)(x)]));
    const { initializer } = read(halves, [1, 4, 2, 2]).graph!;
    expect(initializer.map(({ name }) => name).sort()).toEqual(
      ['axis/1', 'end/2', 'end/4', 'start/0', 'start/2', 'step/1'].sort(),
    );
  });
});

test('a simplified graph is exported with its folded weights', async () => {
  const weights = new Map(
    [...initialise(residual)].map(([name, { shape }]) => [name, fillTensor(name, shape, 0.5, 1)]),
  );
  const simplified = simplify(trace(residual, [1, 2, 6, 7], { name: 'small' }));
  for (const { graph, weights: values } of [
    { graph: simplified, weights },
    evaluateConstants(simplified, weights),
  ]) {
    const file = fromBinary(ModelProtoSchema, toOnnx(graph, values));
    expect(namesOf(file.graph!).map(([, opType]) => opType)).toEqual([
      'Conv',
      'Relu',
      'Conv',
      'Relu',
      'Add',
      'Relu',
      'GlobalAveragePool',
      'Flatten',
      'Gemm',
    ]);
    const runs = [new Map([['x', fillTensor('x', [1, 2, 6, 7])]])];
    expect(await differences(onnxRuntime(), { name: 'simplified', graph, weights: values, runs })).toEqual(
      [],
    );
  }
});

test('every output has its name, also if it is an input or a repeated value', async () => {
  const graph = new Graph({ name: 'outputs' });
  const x = graph.input('x', [1, 3]);
  const y = relu(x);
  for (const [name, node] of [
    ['y', y],
    ['same', y],
    ['x too', x],
    ['w', graph.parameter('weight', [2], true)],
  ] as const)
    graph.outputs.set(name, node);
  const session = await loadOnnx(toOnnx(graph, new Map([['weight', tensor([4, 5], [2])]])));
  const results = await runOnnx(session, new Map([['x', tensor([-1, 0, 2], [1, 3])]]));
  expect([...results].map(([name, { data }]) => [name, ...data])).toEqual([
    ['y', 0, 0, 2],
    ['same', 0, 0, 2],
    ['x too', -1, 0, 2],
    ['w', 4, 5],
  ]);
});

describe('dynamicBatch', () => {
  test('accepts any number of pictures, and each has the same result as alone', async () => {
    const model = sequential(residual.children.stem, maxPool(2), flatten, linear(36, 3));
    const weights = initialise(model, { seed: 3 });
    const file = toOnnx(trace(model, [1, 2, 6, 7]), weights, { dynamicBatch: true });
    const { input, output, valueInfo } = fromBinary(ModelProtoSchema, file).graph!;
    expect(shapeOf(input[0])).toEqual(['batch', 2n, 6n, 7n]);
    expect(shapeOf(output[0])).toEqual(['batch', 3n]);
    expect(valueInfo.every((value) => shapeOf(value)[0] === 'batch')).toBe(true);
    const session = await loadOnnx(file);
    const pictures = [0, 1, 2].map((i) => fillTensor(`picture ${i}`, [1, 2, 6, 7]));
    const run = async (x: Tensor) => (await runOnnx(session, new Map([['x', x]]))).get('output')!;
    const together = await run(
      tensor(
        pictures.flatMap(({ data }) => [...data]),
        [3, 2, 6, 7],
      ),
    );
    expect(together.shape).toEqual([3, 3]);
    const alone = await Promise.all(pictures.map(run));
    expect([...together.data].map((value) => value.toFixed(5))).toEqual(
      alone.flatMap(({ data }) => [...data].map((value) => value.toFixed(5))),
    );
  });

  test.each([
    ['slice', module({}, (_, x) => slice(0, 0, 1)(x))],
    ['concat', module({}, (_, x) => concat([x, x], 0))],
    ['reshape', module({}, (_, x) => emit(ops.reshape, [x], { shape: [4] }))],
  ])('a %s that mixes pictures is refused', (op, inner) => {
    const model = module({ inner }, (m, x) => m.inner(x));
    const graph = trace(model, [1, 4], { name: 'mix' });
    expect(toOnnx(graph, new Map()).length).toBeGreaterThan(0);
    expect(() => toOnnx(graph, new Map(), { dynamicBatch: true })).toThrow(
      new RegExp(`^mix/inner: ${op} to .* only works for a batch of 1,`),
    );
  });
});

describe('refuses', () => {
  const weights = initialise(residual);

  test('a training step, naming an updated parameter and the op', () => {
    const step = forTraining(trace(residual, [5, 2, 6, 7], { name: 'small', mode: 'training' }));
    expect(() => toOnnx(step, weights)).toThrow(
      'small: the graph is a training step, it updates stem.bn.running_mean.',
    );
    step.updates.clear();
    expect(() => toOnnx(step, weights)).toThrow(
      /^small\/stem\.bn: (channelMean|batchNormTrain) cannot be exported to ONNX/,
    );
    expect(() => toOnnx(step, weights)).toThrow(OnnxExportError);
  });

  test('missing weights and wrong shapes, naming each; accepts additional weights', () => {
    const graph = trace(residual, [1, 2, 6, 7], { name: 'small' });
    const broken = new Map([...weights, ['fc.bias', tensor([1], [1])] as const]);
    broken.delete('stem.conv.weight');
    expect(() => toOnnx(graph, broken)).toThrow(WeightsMismatch);
    expect(() => toOnnx(graph, broken)).toThrow(/stem\.conv\.weight.*\n.*fc\.bias: model 3, weights 1/);
    expect(
      toOnnx(graph, new Map([...weights, ['aux.weight', tensor([1], [1])] as const])).length,
    ).toBeGreaterThan(0);
    const wrapped = new Map([...weights].map(([name, value]) => [`module.${name}`, value] as const));
    expect(() => toOnnx(graph, wrapped)).toThrow("The names in the weights have the prefix 'module.'");
    const short = new Map([...weights, ['fc.bias', { shape: [3], data: new Float32Array(2) }] as const]);
    expect(() => toOnnx(graph, short)).toThrow('fc.bias: model 3, weights 3 with 2 values');
  });

  test('files over the limit of protobuf, before they are allocated', () => {
    const graph = new Graph({ name: 'giant' });
    // 34 names for the same 64 MiB.
    const value = tensor(new Float32Array(2 ** 24), [2 ** 12, 2 ** 12]);
    const names = Array.from({ length: 34 }, (_, i) => `w${i}`);
    const layers = names.map((name) => graph.parameter(name, value.shape, true));
    graph.outputs.set(
      'output',
      layers.reduce((x, w) => emit(ops.linear, [x, w], {}), graph.input('x', [1, 2 ** 12])),
    );
    const giant = new Map(names.map((name) => [name, value]));
    expect(() => toOnnx(graph, giant)).toThrow(
      /^giant: the ONNX file would have 2,281,\d{3},\d{3} bytes, but protobuf/,
    );
  });

  test('an average over a dilated window', () => {
    const window = { kernel: pair(2), stride: pair(2), padding: symmetric(0), dilation: pair(2) };
    const pool = module({}, (_, x) =>
      emit(ops.avgPool, [x], { ...window, ceilMode: false, countIncludePad: true }),
    );
    const graph = trace(
      module({ pool }, (m, x) => m.pool(x)),
      [1, 1, 8, 8],
    );
    expect(() => toOnnx(graph, new Map())).toThrow(/^pool: avgPool with dilation 2, 2 cannot be exported/);
  });
});
