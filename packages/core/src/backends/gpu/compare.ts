/** Verifies a program against the CPU back end on one run: some GPU drivers compute wrong results. */

import { VerificationFailed } from '../../errors.js';
import { type Graph, inputsOf } from '../../graph/graph.js';
import { random } from '../../tensor/random.js';
import { sizeOf } from '../../tensor/shape.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { Program } from '../backend.js';

/** Allowed deviation, as a fraction of the largest value: far above rounding, far below a wrong kernel. */
const TOLERANCE = 1e-3;

/**
 * Runs a program and one of the CPU back end on the same noise, uniform in [-1, 1), and compares all outputs.
 * @param cpu - the same graph on the CPU back end.
 * @throws VerificationFailed if a value differs by more than 0.001 of the output's largest value.
 */
export async function compareWithCpu(
  program: Program,
  cpu: Program,
  graph: Graph,
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
  for (const [name, expected] of await cpu.run(feeds, signal)) {
    const problem = disagreement(expected.data, got.get(name)!.data);
    if (problem)
      throw new VerificationFailed(
        program.backend,
        `${graph.at('')}: on ${program.backend} the output '${name}' is not the CPU's: ${problem}. Use backend: 'wasm', and report the device and its driver.`,
      );
  }
}

/** Describes the largest deviation, as part of a sentence; undefined if it is allowed. */
function disagreement(expected: Float32Array, got: Float32Array): string | undefined {
  let [worst, at, size] = [0, 0, 0];
  for (const [index, value] of expected.entries()) {
    const distance = Object.is(got[index], value) ? 0 : Math.abs(got[index]! - value);
    // NaN in only one of the two counts as an infinite deviation.
    if (!(distance <= worst)) [worst, at] = [Number.isNaN(distance) ? Infinity : distance, index];
    if (Number.isFinite(value)) size = Math.max(size, Math.abs(value));
  }
  if (worst <= TOLERANCE * size) return undefined;
  return `it deviates by up to ${worst.toPrecision(3)} (at ${at}: ${got[at]} for ${expected[at]}), where ${(TOLERANCE * size).toPrecision(3)} is allowed`;
}
