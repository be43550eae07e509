/** Every op on every sample of its own: against the reference, for one thread and for several. */

import { enginesToTry, noise } from '@cnn/testing/fixtures';
import { type Sample, type SampleInput, samplesOf } from '@cnn/testing/samples';
import { describe, expect, test } from 'vitest';
import { Graph, type Node } from '../../graph/graph.js';
import { emit, type OpDefinition } from '../../ops/define.js';
import { type OpName, ops } from '../../ops/index.js';
import { sizeOf } from '../../tensor/shape.js';
import type { Tensor, Weights } from '../../tensor/tensor.js';
import { referenceBackend } from '../reference/reference.js';
import { type WasmOptions, wasmBackend } from './wasm.js';

/** Largest error, against the largest value. F(4x4) of Winograd's method has the most. */
const TOLERANCE = 1e-5;

const tensorOf = ({ shape, scale = 1, offset = 0, values }: SampleInput, seed: number): Tensor => ({
  shape,
  data: values ? Float32Array.from(values) : noise(sizeOf(shape), seed).map((u) => offset + scale * u),
});

/** A graph of one op. With `constant`, all inputs but the first are parameters, as weights are. */
function graphOf(definition: OpDefinition, sample: Sample, constant: boolean) {
  const graph = new Graph({ name: sample.name });
  const feeds = new Map<string, Tensor>();
  const weights: Weights = new Map();
  const inputs = sample.inputs.map((input, index): Node => {
    const name = `input${index}`;
    const parameter = constant && index > 0;
    (parameter ? weights : feeds).set(name, tensorOf(input, index + 1));
    return parameter ? graph.parameter(name, input.shape, false) : graph.input(name, input.shape);
  });
  const node =
    inputs.length > 0
      ? emit(definition, inputs as [Node, ...Node[]], sample.attrs)
      : graph.add(definition.op, [], sample.attrs, definition.shape([], sample.attrs));
  graph.outputs.set('y', node);
  return { graph, feeds, weights };
}

async function runOn(
  backend: ReturnType<typeof wasmBackend>,
  { graph, feeds, weights }: ReturnType<typeof graphOf>,
  threads?: number,
): Promise<Tensor> {
  const program = await backend.compile(graph, weights, { threads });
  try {
    return (await program.run(feeds)).get('y')!;
  } finally {
    await program.dispose();
  }
}

const names = Object.keys(ops) as OpName[];

describe.each(names)('%s', (name) => {
  const definition = ops[name] as unknown as OpDefinition;
  const cases = samplesOf(name).flatMap((sample) =>
    [false, ...(sample.inputs.length > 1 ? [true] : [])].map((constant) => [sample, constant] as const),
  );
  const onThisThread: WasmOptions = { workers: false };

  test.each(
    cases.map(
      ([sample, constant]) =>
        [`${sample.name}${constant ? ', constant weights' : ''}`, sample, constant] as const,
    ),
  )('%s', async (_, sample, constant) => {
    const built = graphOf(definition, sample, constant);
    const expected = await runOn(referenceBackend(), built);
    const largest = Math.max(1, ...expected.data.map(Math.abs));
    for (const [kind, engine] of enginesToTry()) {
      const got = await runOn(wasmBackend({ ...onThisThread, engine }), built);
      expect(got.shape).toEqual(expected.shape);
      for (const [i, value] of expected.data.entries())
        if (!(Math.abs(got.data[i]! - value) <= TOLERANCE * largest))
          expect.fail(`${kind}: element ${i} is ${got.data[i]}, the reference has ${value}`);
    }
  });

  test('gives the same bits on three threads', async () => {
    for (const [sample, constant] of cases.filter((_, index) => index % 7 === 0)) {
      const built = graphOf(definition, sample, constant);
      const one = await runOn(wasmBackend(onThisThread), built);
      const three = await runOn(wasmBackend(), built, 3);
      expect(new Uint32Array(three.data.buffer)).toEqual(new Uint32Array(one.data.buffer));
    }
  });
});
