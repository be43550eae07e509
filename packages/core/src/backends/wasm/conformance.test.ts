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

/** A sample of an op. */
interface Case {
  readonly name: string;
  readonly op: OpName;
  readonly sample: Sample;
  /** True if all inputs but the first are parameters, as weights are. */
  readonly constant: boolean;
}

/** A graph with an output for each case, by the case's name. */
function graphOf(cases: readonly Case[]) {
  const graph = new Graph();
  const feeds = new Map<string, Tensor>();
  const weights: Weights = new Map();
  for (const { name, op, sample, constant } of cases) {
    const definition = ops[op] as unknown as OpDefinition;
    const inputs = sample.inputs.map((input, index): Node => {
      const operand = `${name}/input${index}`;
      const parameter = constant && index > 0;
      (parameter ? weights : feeds).set(operand, tensorOf(input, index + 1));
      return parameter ? graph.parameter(operand, input.shape, false) : graph.input(operand, input.shape);
    });
    const node =
      inputs.length > 0
        ? emit(definition, inputs as [Node, ...Node[]], sample.attrs)
        : graph.add(op, [], sample.attrs, definition.shape([], sample.attrs));
    graph.outputs.set(name, node);
  }
  return { graph, feeds, weights };
}

async function runOn(
  backend: ReturnType<typeof wasmBackend>,
  { graph, feeds, weights }: ReturnType<typeof graphOf>,
  threads?: number,
): Promise<ReadonlyMap<string, Tensor>> {
  const program = await backend.compile(graph, weights, { threads });
  try {
    return await program.run(feeds);
  } finally {
    await program.dispose();
  }
}

const names = Object.keys(ops) as OpName[];
const casesOf = (op: OpName): readonly Case[] =>
  samplesOf(op).flatMap((sample) =>
    [false, ...(sample.inputs.length > 1 ? [true] : [])].map((constant) => ({
      name: `${sample.name}${constant ? ', constant weights' : ''}`,
      op,
      sample,
      constant,
    })),
  );
const onThisThread: WasmOptions = { workers: false };

describe.each(names)('%s', (op) => {
  test.each(casesOf(op))('$name', async (subject) => {
    const built = graphOf([subject]);
    const expected = (await runOn(referenceBackend(), built)).get(subject.name)!;
    const largest = Math.max(1, ...expected.data.map(Math.abs));
    for (const [kind, engine] of enginesToTry()) {
      const got = (await runOn(wasmBackend({ ...onThisThread, engine }), built)).get(subject.name)!;
      expect(got.shape).toEqual(expected.shape);
      for (const [i, value] of expected.data.entries())
        if (!(Math.abs(got.data[i]! - value) <= TOLERANCE * largest))
          expect.fail(`${kind}: element ${i} is ${got.data[i]}, the reference has ${value}`);
    }
  });
});

// One program, as workers take longer to start than such an op to run.
test('every op gives the same bits on three threads', async () => {
  const built = graphOf(
    names.flatMap((op) =>
      casesOf(op)
        .filter((_, index) => index % 7 === 0)
        .map((subject) => ({ ...subject, name: `${op}: ${subject.name}` })),
    ),
  );
  const one = await runOn(wasmBackend(onThisThread), built);
  const three = await runOn(wasmBackend(), built, 3);
  expect(one.size).toBeGreaterThanOrEqual(names.length);
  for (const [name, { data }] of one)
    expect(new Uint32Array(three.get(name)!.data.buffer), name).toEqual(new Uint32Array(data.buffer));
});
