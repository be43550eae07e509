/** For tests of lowerings: a graph under construction, held to the reference on every engine and number of threads. */
import { expect } from 'vitest';
import { Graph, type Node } from '../../../graph/graph.js';
import { sizeOf } from '../../../tensor/shape.js';
import type { Weights } from '../../../tensor/tensor.js';
import { referenceBackend } from '../../reference/reference.js';
import { enginesToTry, noise } from '../kernels/testKernel.js';
import { wasmBackend } from '../wasm.js';

/** A graph of one input and one output. */
export class TestGraph {
  readonly graph = new Graph();
  readonly weights: Weights = new Map();
  readonly x: Node;
  readonly #input: Float32Array;

  constructor(input: readonly number[], build: (test: TestGraph) => Node) {
    this.x = this.graph.input('x', input);
    this.#input = noise(sizeOf(input), 99);
    this.graph.outputs.set('y', build(this));
  }

  /** A parameter of noise in [low, high). */
  parameter(shape: readonly number[], low = -1, high = 1): Node {
    const name = `w${this.weights.size}`;
    const values = noise(sizeOf(shape), this.weights.size + 1);
    const data = values.map((value) => low + ((value + 1) / 2) * (high - low));
    this.weights.set(name, { shape, data });
    return this.graph.parameter(name, shape, true);
  }

  async #run(backend: ReturnType<typeof wasmBackend>, data: Float32Array, threads?: number) {
    const program = await backend.compile(this.graph, this.weights, { threads });
    const feeds = new Map([['x', { shape: this.x.shape, data }]]);
    try {
      const y = (await program.run(feeds)).get('y')!;
      const { steps } = await program.profile(feeds);
      return { data: y.data, algorithms: steps.map(({ algorithm }) => algorithm) };
    } finally {
      await program.dispose();
    }
  }

  /** Expects what the reference gives, on every kind of engine, and the last step to be computed that way. */
  async expectReference(algorithm: RegExp): Promise<void> {
    const expected = (await this.#run(referenceBackend(), this.#input)).data;
    const largest = Math.max(...expected.map(Math.abs));
    for (const [kind, engine] of enginesToTry()) {
      const { data, algorithms } = await this.#run(wasmBackend({ workers: false, engine }), this.#input);
      expect(algorithms.at(-1)).toMatch(algorithm);
      for (const [i, value] of expected.entries())
        if (!(Math.abs(data[i]! - value) <= 1e-5 * largest))
          expect.fail(`${kind}: element ${i} is ${data[i]}, the reference has ${value}`);
    }
  }

  /** Expects the same bits on one, two and three threads, and NaN in the output if the input has one. */
  async expectSameBits(): Promise<void> {
    const input = this.#input.slice().fill(Number.NaN, 0, 1);
    const bits = ({ data }: { readonly data: Float32Array }) => new Uint32Array(data.buffer);
    const one = await this.#run(wasmBackend({ workers: false }), input);
    expect(one.data.some(Number.isNaN)).toBe(true);
    for (const threads of [2, 3])
      expect(bits(await this.#run(wasmBackend(), input, threads))).toEqual(bits(one));
  }
}
