/** Compares optimizers, clipping and schedules with PyTorch's numbers (`goldens/pytorch.json`). */
import { referenceBackend, type Tensor, tensor } from '@cnn/core';
import { Graph } from '@cnn/core/graph';
import { describe, expect, test } from 'vitest';
import golden from '../goldens/pytorch.json' with { type: 'json' };
import {
  adam,
  adamW,
  cosine,
  type Optimizer,
  oneCycle,
  reduceOnPlateau,
  rmsprop,
  type Schedule,
  sgd,
  stepDecay,
  warmUp,
} from './index.js';
import { clipped, slotName } from './step.js';

const gradientAt = (step: number): Tensor =>
  tensor(
    Float32Array.from({ length: 4 }, (_, i) => Math.sin(3 * step + 2 * i) * (i + 0.5)),
    [4],
  );

/** Gives four numbers after five steps of an optimizer. */
async function optimized(optimizer: Optimizer): Promise<Float32Array> {
  const graph = new Graph();
  const parameter = graph.parameter('p', [4], true);
  const slots = Object.fromEntries(
    optimizer.slots.map((slot) => [slot, graph.parameter(slotName(slot, 'p'), [4], false)]),
  );
  const updated = optimizer.update({
    parameter,
    slots,
    group: 0,
    gradient: graph.input('gradient', [4]),
    rate: graph.input('rate', [1]),
    corrections: graph.input('corrections', [2]),
  });
  graph.updates.set('p', updated.parameter);
  for (const slot of optimizer.slots) graph.updates.set(slotName(slot, 'p'), updated.slots[slot]!);
  const zero = tensor([0, 0, 0, 0], [4]);
  const program = await referenceBackend().compile(
    graph,
    new Map([
      ['p', tensor([0.7, -1.3, 0.2, 5], [4])],
      ...optimizer.slots.map((slot) => [slotName(slot, 'p'), zero] as const),
    ]),
  );
  for (let step = 1; step <= 5; step++)
    await program.run(
      new Map([
        ['gradient', gradientAt(step)],
        ['rate', tensor([optimizer.learningRate], [1])],
        ['corrections', tensor([...optimizer.corrections(step)], [2])],
      ]),
    );
  return (await program.parameters()).get('p')!.data;
}

const decay = { weightDecay: 0.1 };
const rate = { learningRate: 0.02 };
const optimizers: Record<keyof typeof golden.optimizers, Optimizer> = {
  sgd: sgd(rate),
  'sgd, momentum and decay': sgd({ ...rate, ...decay, momentum: 0.9 }),
  'sgd, nesterov and decay': sgd({ ...rate, ...decay, momentum: 0.9, nesterov: true }),
  adam: adam(),
  'adam, betas, eps and decay': adam({ ...rate, ...decay, betas: [0.8, 0.95], eps: 1e-3 }),
  adamW: adamW(),
  'adamW, decay': adamW({ ...rate, ...decay }),
  rmsprop: rmsprop(),
  'rmsprop, alpha, eps and decay': rmsprop({ ...rate, ...decay, alpha: 0.9, eps: 1e-3 }),
  'rmsprop, momentum and decay': rmsprop({ ...rate, ...decay, momentum: 0.9 }),
};

test.each(Object.entries(optimizers))('%s', async (name, optimizer) => {
  const expected = golden.optimizers[name as keyof typeof golden.optimizers];
  const actual = await optimized(optimizer);
  // Rates, gradients and the result are float32 here, float64 in PyTorch.
  for (const [i, value] of expected.entries()) expect(actual[i]).toBeCloseTo(value, 6);
});

test.each([
  [() => sgd({ learningRate: -1 }), "'learningRate' of sgd is -1"],
  [() => adam({ eps: Number.NaN }), "'eps' of adam is NaN"],
  [() => adamW({ betas: [0.9, 1] }), 'A beta of adamW is 1'],
  [() => rmsprop({ alpha: 2 }), 'The alpha of rmsprop is 2'],
  [() => rmsprop({ weightDecay: Infinity }), "'weightDecay' of rmsprop is Infinity"],
] as const)('options out of range are refused: %#', (make, message) => {
  expect(make).toThrow(message);
});

test('gradients are clipped by the norm of all of them together', async () => {
  const graph = new Graph();
  const gradients = new Map(['a', 'b'].map((name) => [name, graph.input(name, [4])]));
  for (const [name, node] of clipped(gradients, 1.5)) graph.outputs.set(name, node);
  const program = await referenceBackend().compile(graph, new Map());
  const results = await program.run(
    new Map([
      ['a', gradientAt(1)],
      ['b', gradientAt(2)],
    ]),
  );
  for (const [index, name] of ['a', 'b'].entries())
    for (const [i, value] of golden.clip.gradients[index]!.entries())
      expect(results.get(name)!.data[i]).toBeCloseTo(value, 6);
});

describe('schedules', () => {
  /** Gives the factors of a run of `count` steps. */
  const factors = (schedule: Schedule, count: number, stepsPerEpoch = 1): number[] =>
    Array.from({ length: count }, (_, step) =>
      schedule.factor({ step, stepsPerEpoch, totalSteps: count }, schedule.memory ?? []),
    );
  const stepwise: Record<string, Schedule> = {
    'stepDecay, every 3': stepDecay({ epochs: 3, gamma: 0.5 }),
    'stepDecay, at 2 and 5': stepDecay({ epochs: [2, 5] }),
    cosine: cosine({ end: 0.1 }),
    oneCycle: oneCycle(),
    'oneCycle, linear': oneCycle({ rise: 0.25, startDivisor: 10, endDivisor: 100, anneal: 'linear' }),
    'warmUp, then cosine': warmUp({ steps: 4, after: cosine() }),
  };
  test.each(Object.entries(stepwise))('%s', (name, schedule) => {
    const expected = golden.schedules[name as keyof typeof golden.schedules];
    const actual = factors(schedule, expected.length);
    for (const [i, value] of expected.entries()) expect(actual[i], `step ${i}`).toBeCloseTo(value, 9);
  });

  test('reduceOnPlateau', () => {
    const schedule = reduceOnPlateau({ gamma: 0.5, patience: 2, minimum: 0.1 });
    let memory = schedule.memory!;
    for (const [i, expected] of golden.schedules.reduceOnPlateau.entries()) {
      const moment = { step: i, stepsPerEpoch: 1, totalSteps: 100 };
      expect(schedule.factor(moment, memory), `epoch ${i}`).toBeCloseTo(expected, 9);
      memory = schedule.observe!(memory, golden.losses[i]!);
    }
  });

  test('reduceOnPlateau never takes a loss that is not finite as the best', () => {
    const { factor, memory, observe } = reduceOnPlateau({ patience: 1, gamma: 0.5 });
    const moment = { step: 0, stepsPerEpoch: 1, totalSteps: 9 };
    let now = memory!;
    const factors = [Number.NaN, 3, 2, 2, 2].map((loss) => {
      now = observe!(now, loss);
      return factor(moment, now);
    });
    expect(factors).toEqual([1, 1, 1, 1, 0.5]);
  });

  test('stepDecay counts epochs, the others steps', () => {
    expect(factors(stepDecay({ epochs: 1 }), 4, 2)).toEqual([1, 1, 0.1, 0.1]);
    expect(factors(cosine(), 4, 2)).toEqual(factors(cosine(), 4, 1));
  });
});
