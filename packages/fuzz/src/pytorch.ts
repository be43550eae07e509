/** Compares the reference back end with PyTorch: output and all gradients of a random graph, in float64. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type Node, ShapeError, sizeOf } from '@cnn/core';
import {
  differentiate,
  forInference,
  forTraining,
  type Graph,
  isInput,
  isParameter,
  prune,
  rewrite,
  type Values,
} from '@cnn/core/graph';
import type { Finding } from './check.js';
import { Draw } from './draw.js';
import type { RandomCase } from './randomGraph.js';
import { valuesOf } from './rounding.js';

/** Relative tolerance. Both sides compute in float64; cancellation in sums loses some digits. */
const TOLERANCE = 1e-9;

interface Answer {
  readonly count: number;
  readonly skipped?: string;
  readonly problem?: string;
}

/** A Python process with PyTorch that answers one request at a time. */
export class PyTorch {
  readonly #process: ChildProcess;
  #received = Buffer.alloc(0);
  #arrived: () => void = () => undefined;
  #ended: string | undefined;

  private constructor(python: string) {
    this.#process = spawn(python, [new URL('pytorch.py', import.meta.url).pathname], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    let errorText = '';
    this.#process.stderr!.on('data', (part: Buffer) => {
      errorText = (errorText + part).slice(-2000);
    });
    this.#process.stdout!.on('data', (part: Buffer) => {
      this.#received = Buffer.concat([this.#received, part]);
      this.#arrived();
    });
    const end = (reason: string): void => {
      this.#ended = reason;
      this.#arrived();
    };
    // Errors of writing to an ended process are ignored: its end is reported by 'close'.
    this.#process.stdin!.on('error', () => undefined);
    this.#process.once('error', ({ message }) => end(message));
    this.#process.once('close', (code) =>
      end(errorText.trim().split('\n').at(-1) || `it ended with ${code}`),
    );
  }

  /**
   * Starts the process and tests it with one request.
   * @throws Error with the reason if PyTorch does not work.
   */
  static async start(python: string): Promise<PyTorch> {
    const started = new PyTorch(python);
    await started.ask(
      { nodes: [{ op: 'input', inputs: [], attrs: {}, shape: [1] }], leaves: [], output: 0, training: false },
      [Float32Array.of(1, 1)],
    );
    return started;
  }

  async ask(
    request: object,
    floats: readonly Float32Array[],
  ): Promise<Answer & { readonly values: Float64Array }> {
    const count = floats.reduce((sum, { length }) => sum + length, 0);
    const input = this.#process.stdin!;
    input.write(`${JSON.stringify({ ...request, floats: count })}\n`);
    for (const { buffer, byteOffset, byteLength } of floats)
      input.write(new Uint8Array(buffer, byteOffset, byteLength));
    const line = await this.#receive(() => this.#received.indexOf(10) + 1);
    const answer = JSON.parse(line.toString()) as Answer;
    const bytes = answer.count === 0 ? Buffer.alloc(0) : await this.#receive(() => 8 * answer.count);
    return { ...answer, values: new Float64Array(Uint8Array.from(bytes).buffer) };
  }

  /** Waits for the next bytes. @param length - number of bytes; 0 while it is unknown. */
  async #receive(length: () => number): Promise<Buffer> {
    for (;;) {
      const wanted = length();
      if (wanted > 0 && this.#received.length >= wanted) {
        const taken = this.#received.subarray(0, wanted);
        this.#received = this.#received.subarray(wanted);
        return taken;
      }
      if (this.#ended !== undefined) throw new Error(this.#ended);
      await new Promise<void>((resolve) => {
        this.#arrived = resolve;
      });
    }
  }

  async stop(): Promise<void> {
    if (this.#ended !== undefined) return;
    const closed = once(this.#process, 'close');
    this.#process.stdin!.end();
    await closed;
  }
}

/** A forward graph with its weights and inputs. */
type Forward = Pick<RandomCase, 'graph' | 'weights' | 'runs'>;

/** Removes the ops that are random in training. */
const withoutDropout = (graph: Graph): Graph => prune(forInference(graph));

/** Compares output and gradients of the reference with PyTorch's, for running and for batch statistics. */
export async function checkPyTorch(
  pytorch: PyTorch,
  { graph, weights, runs }: Forward,
  seed: number,
): Promise<Finding> {
  const forward = withoutDropout(graph);
  const draw = new Draw(seed);
  const upstream = draw.values(forward.output.shape);
  const value = (node: Node): Float32Array => {
    if (isParameter(node)) return weights.get(node.attrs.name)!.data;
    return isInput(node) ? runs[0]!.get(node.attrs.name)!.data : new Float32Array(0);
  };
  const indexOf = new Map(forward.nodes.map((node, index) => [node, index]));
  const isLeaf = (node: Node): boolean => isInput(node) || (isParameter(node) && node.attrs.trainable);
  const leaves = forward.nodes.filter(isLeaf);
  for (const training of [false, true]) {
    if (training && !forward.nodes.some(({ op }) => op === 'batchNorm')) continue;
    const ours = training
      ? trainingForm(forward)
      : rewrite(forward, (_node, _inputs, _target, copy) => copy());
    if (!ours) continue;
    const answer = await pytorch.ask(
      {
        nodes: forward.nodes.map(({ op, inputs, attrs, shape }) => ({
          op,
          attrs,
          shape,
          inputs: inputs.map((input) => indexOf.get(input)),
        })),
        leaves: leaves.map((leaf) => indexOf.get(leaf)),
        output: indexOf.get(forward.output),
        training,
      },
      [...forward.nodes.map(value), upstream],
    );
    if (answer.skipped) return { skipped: answer.skipped };
    if (answer.problem) return { problem: answer.problem };
    const problem = compare(ours, leaves, upstream, answer.values, (node) => value(node));
    if (problem)
      return { problem: `the reference ${training ? 'with batch statistics' : 'for inference'}: ${problem}` };
  }
  return {};
}

function trainingForm(graph: Graph): Graph | undefined {
  try {
    return forTraining(graph);
  } catch (error) {
    if (error instanceof ShapeError) return undefined;
    throw error;
  }
}

/** Differentiates and evaluates the graph, and compares output and gradients with PyTorch's values. */
function compare(
  graph: Graph,
  leaves: readonly Node[],
  upstream: Float32Array,
  values: Float64Array,
  leafValue: (node: Node) => Float32Array,
): string | undefined {
  const { output } = graph;
  const nameOf = (node: Node): string =>
    isInput(node) || isParameter(node) ? `${node.op} ${node.attrs.name}` : '';
  const nodes = new Map(graph.nodes.map((node) => [nameOf(node), node]));
  const targets = leaves.map((leaf) => nodes.get(nameOf(leaf))!);
  const gradients = differentiate(output, targets, graph.input('upstream', output.shape));
  const leafValues = graph.nodes.filter((node) => isInput(node) || isParameter(node));
  const feeds = new Map(
    leafValues
      .filter(isInput)
      .map((node) => [
        node.attrs.name,
        { shape: node.shape, data: node.attrs.name === 'upstream' ? upstream : leafValue(node) },
      ]),
  );
  const parameters = new Map<string, Values>(
    leafValues.filter(isParameter).map((node) => [node.attrs.name, Float64Array.from(leafValue(node))]),
  );
  const computed = valuesOf(graph, parameters, feeds);
  const results = [
    ['the output', output] as const,
    ...targets.flatMap((target) =>
      gradients.has(target) ? [[`the gradient of ${nameOf(target)}`, gradients.get(target)!] as const] : [],
    ),
  ];
  let first = 0;
  for (const [what, node] of results) {
    const ours = computed.get(node)!;
    const theirs = values.subarray(first, first + sizeOf(node.shape));
    first += sizeOf(node.shape);
    if (theirs.length !== ours.length)
      return `${what} has ${ours.length} values, PyTorch has ${theirs.length}`;
    const size = theirs.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
    const wrong = theirs.findIndex(
      (value, i) =>
        !(Math.abs(value - ours[i]!) <= TOLERANCE * size) && !(Number.isNaN(value) && Number.isNaN(ours[i])),
    );
    if (wrong >= 0) return `${what} is ${ours[wrong]} in [${wrong}], PyTorch has ${theirs[wrong]}`;
  }
  if (first !== values.length)
    return `PyTorch has ${values.length} values for output and gradients, the reference ${first}`;
  return undefined;
}
