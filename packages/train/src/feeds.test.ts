/** Tests the feeds of steps: seed and position determine them. */
import { dropout, flatten, linear, module, pipe } from '@cnn/core';
import { expect, test } from 'vitest';
import { pictures, tinyOptions } from '../test/tinyRun.js';
import { stepFeeds } from './feeds.js';
import { adam } from './optimizers.js';
import type { RunOptions } from './options.js';
import { startOf } from './position.js';
import { planStep } from './program.js';

const source = { dataset: pictures, order: Uint32Array.of(3, 0, 2, 1), stepsPerEpoch: 2, totalSteps: 4 };
const start = startOf(3, 2);

const make = (options: Partial<RunOptions> = {}) => {
  const all = tinyOptions(options);
  const feeds = stepFeeds(planStep(all), all);
  return async (position = start) => {
    const made = await feeds.at(position, source, all.weights);
    const values = new Map([...made.feeds].map(([name, { data }]) => [name, [...data]]));
    return { rate: made.rate, values };
  };
};

test('a step takes the next examples of the order', async () => {
  const at = make();
  const { values } = await at();
  expect(values.get('labels')).toEqual([1, 0]);
  expect(values.get('x')).toEqual([3, 0, 0, 0]);
  const next = await at({ ...start, step: 1, within: 1 });
  expect(next.values.get('labels')).toEqual([0, 1]);
  expect(next.values.get('x')).toEqual([2, 0, 1, 0]);
});

test('the schedule scales the rates of all groups, and a warmed-up average has its share', async () => {
  const at = make({
    schedule: { factor: ({ step, totalSteps }, [half]) => half! * (step / totalSteps), memory: [0.5] },
    groups: [{ paths: ['fc.bias'], learningRate: 8 }],
    ema: 0.9,
    emaWarmUp: true,
  });
  const { rate, values } = await at({ ...start, step: 2, memory: [0.5] });
  expect(values.get('rate')!.slice(0, 2)).toEqual([2, 0.125]);
  // After two steps the average weighs (1 + 2) / (10 + 2).
  expect(values.get('rate')![2]).toBeCloseTo(0.75, 6);
  expect(rate).toBe(0.125);
});

test("the optimizer's corrections count steps from 1", async () => {
  const at = make({ optimizer: adam({ betas: [0.5, 0.75] }) });
  expect((await at()).values.get('corrections')).toEqual([0.5, 0.25]);
  expect((await at({ ...start, step: 1 })).values.get('corrections')).toEqual([0.75, 0.4375]);
});

test('the mask of a dropout changes with seed and step, and with nothing else', async () => {
  const dropped = dropout(0.5);
  const model = module({ fc: linear(2, 2) }, (m, x) => pipe(x, flatten, dropped, m.fc));
  const at = make({ model });
  const seedAt = async (position: typeof start) => (await at(position)).values.get('seed');
  const first = await seedAt(start);
  expect(await seedAt({ ...start, lossSum: 9, epoch: 3 })).toEqual(first);
  expect(await seedAt({ ...start, step: 1 })).not.toEqual(first);
  expect(await seedAt({ ...start, seed: 4 })).not.toEqual(first);
});

test('the augmentation of an example changes with seed, epoch and example', async () => {
  const at = make({
    augment: ({ shape, data }, random) => ({ shape, data: data.map(() => random.uniform()) }),
  });
  const [first, second] = [await at(), await at({ ...start, epoch: 1 })];
  expect(await at({ ...start, step: 9 })).toMatchObject({ rate: 0.5 });
  const x = ({ values }: typeof first) => values.get('x')!;
  expect(x(await at({ ...start, step: 9 }))).toEqual(x(first));
  expect(x(second)).not.toEqual(x(first));
  expect(x(await at({ ...start, seed: 4 }))).not.toEqual(x(first));
  expect(x(first).slice(0, 2)).not.toEqual(x(first).slice(2));
});

test('a schedule without a finite factor is refused with the step', async () => {
  const at = make({ schedule: { factor: () => Number.NaN } });
  await expect(at({ ...start, step: 4 })).rejects.toThrow(
    'The schedule gives the learning rate of step 5 the factor NaN',
  );
});
