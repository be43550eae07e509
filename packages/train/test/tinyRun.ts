/** Test helper: the parts of a run over four pictures of two pixels, on a back end that counts instead of computing. */
import {
  type Backend,
  flatten,
  initialise,
  linear,
  module,
  parameters,
  pipe,
  tensor,
  type Weights,
} from '@cnn/core';
import type { Dataset } from '../src/data.js';
import { crossEntropy } from '../src/loss.js';
import { sgd } from '../src/optimizers.js';
import type { RunOptions } from '../src/options.js';
import { startOf } from '../src/position.js';
import { initialState, planStep } from '../src/program.js';
import { ProgramState } from '../src/programState.js';
import { RunState } from '../src/runState.js';
import { constantRate } from '../src/schedules.js';

const model = module({ fc: linear(2, 2) }, (m, x) => pipe(x, flatten, m.fc));

/** Four pictures; the first pixel is the index, and the label its parity. */
export const pictures: Dataset = {
  size: 4,
  shape: [1, 1, 2],
  at: (index) => ({ pixels: Float32Array.of(index, 0), label: index % 2 }),
};

/** Options of a run in steps of two pictures. */
export const tinyOptions = (options: Partial<RunOptions> = {}): RunOptions => ({
  model,
  weights: initialise(model, { seed: 1 }),
  seed: 3,
  loss: crossEntropy(),
  schedule: constantRate(),
  optimizer: sgd({ learningRate: 0.5 }),
  input: [2, 1, 1, 2],
  ...options,
});

/** Calls of a {@link countingBackend}. */
export interface Calls {
  compiled: number;
  runs: number;
  disposed: number;
}

/**
 * Makes a back end whose programs count: after n runs every parameter holds n. All pictures get the class 0.
 * @param lossOf - loss of a run, counted from 1. Default: the count.
 * @param settle - awaited by a run after its update, before it resolves.
 */
export function countingBackend(
  lossOf = (run: number): number => run,
  settle: () => Promise<unknown> = async () => {},
): { readonly backend: Backend; readonly calls: Calls } {
  const calls: Calls = { compiled: 0, runs: 0, disposed: 0 };
  const backend: Backend = {
    name: 'counting',
    async compile() {
      calls.compiled++;
      let runs = 0;
      const counted = (): Weights =>
        new Map([...parameters(model)].map(([name, { shape }]) => [name, filled(shape, runs)] as const));
      return {
        backend: 'counting',
        threads: 1,
        memory: 0,
        async run(_, signal) {
          signal?.throwIfAborted();
          calls.runs = ++runs;
          await settle();
          return new Map([
            ['loss', tensor([lossOf(runs)], [])],
            ['logits', tensor([1, 0, 1, 0], [2, 2])],
          ]);
        },
        parameters: async () => counted(),
        profile: () => Promise.reject(new Error('A counting program has no profile.')),
        async dispose() {
          calls.disposed++;
        },
      };
    },
  };
  return { backend, calls };
}

const filled = (shape: readonly number[], value: number) => {
  const size = shape.reduce((product, extent) => product * extent, 1);
  return tensor(new Array<number>(size).fill(value), shape);
};

/** Gives the one number that all values of a counting program's state are. */
export const countIn = (tensors: Weights): number => tensors.get('fc.bias')!.data[0]!;

/** Makes the state of a run. */
export function tinyState(options: RunOptions): RunState {
  const plan = planStep(options);
  const tensors = new ProgramState(plan.graph, options, initialState(plan, options.weights, options));
  return new RunState(tensors, startOf(options.seed, 2, options.schedule.memory));
}
