/** Holds a program against the CPU path on one run, for those who do not want to trust a driver. */
import type { Program } from '../backends/backend.js';
import { compileOn } from '../backends/select.js';
import { VerificationFailed } from '../errors.js';
import { type Graph, inputsOf } from '../graph/graph.js';
import { random } from '../tensor/random.js';
import { sizeOf } from '../tensor/shape.js';
import type { Tensor, Weights } from '../tensor/tensor.js';

/** How far values may lie apart, as a share of the largest: far above rounding, far below a wrong kernel. */
const TOLERANCE = 1e-3;

/**
 * Runs the program and the CPU path on the same noise.
 * @throws VerificationFailed when they disagree, with the largest deviation.
 */
export async function compareWithCpu(
  program: Program,
  graph: Graph,
  weights: Weights,
  signal?: AbortSignal,
): Promise<void> {
  const noise = random(1);
  const feeds = new Map(
    [...inputsOf(graph)].map(([name, { shape }]): [string, Tensor] => [
      name,
      { shape, data: Float32Array.from({ length: sizeOf(shape) }, () => 2 * noise.uniform() - 1) },
    ]),
  );
  const got = await program.run(feeds, signal);
  const { program: cpu } = await compileOn('wasm', graph, weights, { signal });
  try {
    for (const [name, expected] of await cpu.run(feeds, signal)) {
      const problem = disagreement(expected.data, got.get(name)!.data);
      if (problem)
        throw new VerificationFailed(
          program.backend,
          `${graph.at('')}: on ${program.backend} the output '${name}' is not the CPU's: ${problem}. Use backend: 'wasm', and report the device and its driver.`,
        );
    }
  } finally {
    await cpu.dispose();
  }
}

/** What is wrong, as a part of a sentence; undefined when nothing is. */
function disagreement(expected: Float32Array, got: Float32Array): string | undefined {
  let [worst, at, size] = [0, 0, 0];
  for (const [index, value] of expected.entries()) {
    const distance = Object.is(got[index], value) ? 0 : Math.abs(got[index]! - value);
    // What is no number on one side only is as wrong as can be.
    if (!(distance <= worst)) [worst, at] = [Number.isNaN(distance) ? Infinity : distance, index];
    if (Number.isFinite(value)) size = Math.max(size, Math.abs(value));
  }
  if (worst <= TOLERANCE * size) return undefined;
  return `it deviates by up to ${worst.toPrecision(3)} (at ${at}: ${got[at]} for ${expected[at]}), where ${(TOLERANCE * size).toPrecision(3)} is allowed`;
}
