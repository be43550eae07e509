/** Tests the course of a run with parts that only tell what they are asked: order of events, progress, saves. */
import { mkdtempSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { countIn, countingBackend, pictures, tinyOptions, tinyState } from '../test/tinyRun.js';
import { readCheckpoint } from './checkpoint.js';
import { epochOrder } from './data.js';
import type { Evaluation } from './evaluate.js';
import type { FitOptions, Progress, RunOptions } from './options.js';
import { afterStep } from './position.js';
import { checkpointOf, dispose, fit, type Run, restore } from './run.js';
import { cosine } from './schedules.js';

const folder = mkdtempSync(join(tmpdir(), 'cnn-run-'));
afterAll(() => rmSync(folder, { recursive: true }));

const evaluation = (loss: number): Evaluation => ({
  count: 4,
  loss,
  accuracy: 0.5,
  topK: new Map(),
  confusion: [],
  imagesPerSecond: 1,
});

/** Makes a run whose steps have the losses 1, 2, 3, ... and whose evaluations have the given ones. */
function make(losses: readonly number[] = [], options: Partial<RunOptions> = {}) {
  const events: string[] = [];
  const rest = [...losses];
  const all = tinyOptions({ backend: countingBackend().backend, ...options });
  const run: Run = {
    options: all,
    names: [...all.weights.keys()],
    state: tinyState(all),
    stepper: {
      async take(state, { order, signal, stepsPerEpoch, totalSteps }) {
        signal?.throwIfAborted();
        events.push(`step ${state.position.step} of ${stepsPerEpoch}/${totalSteps} [${order.join(' ')}]`);
        const loss = state.position.step + 1;
        await state.advance(async () => {
          await (await state.tensors.program()).run(new Map());
          return afterStep(state.position, { size: 4, batch: 2, loss, rate: 0.5, right: 1 });
        });
      },
      async clear() {
        events.push('clear steps');
      },
    },
    evaluation: {
      async evaluate(_, dataset, { signal }) {
        signal?.throwIfAborted();
        events.push(`evaluate ${dataset.size}`);
        return evaluation(rest.shift()!);
      },
      async clear() {
        events.push('clear evaluation');
      },
    },
    busy: false,
  };
  return { run, events };
}

/** Runs to the end and gives the progress. */
async function progressOf(run: Run, options: FitOptions): Promise<Progress[]> {
  const seen: Progress[] = [];
  for await (const progress of fit(run, pictures, options)) seen.push(progress);
  return seen;
}

test('an epoch takes its steps in its order, evaluates, and saves before it tells', async () => {
  const { run, events } = make([7, 8]);
  const path = join(folder, 'epochs');
  for await (const { step } of fit(run, pictures, {
    epochs: 2,
    validation: pictures,
    checkpoint: { path },
  })) {
    const saved = await readFile(path).then(
      (bytes) => readCheckpoint(bytes).position,
      () => undefined,
    );
    events.push(`told ${step}, saved ${saved?.step}`);
  }
  const orders = [0, 1].map((epoch) => [...epochOrder(3, epoch, 4)].join(' '));
  expect(events).toEqual([
    `step 0 of 2/4 [${orders[0]}]`,
    'told 1, saved undefined',
    `step 1 of 2/4 [${orders[0]}]`,
    'evaluate 4',
    'told 2, saved 2',
    `step 2 of 2/4 [${orders[1]}]`,
    'told 3, saved 2',
    `step 3 of 2/4 [${orders[1]}]`,
    'evaluate 4',
    'told 4, saved 4',
  ]);
});

test('progress tells the means of the epoch, and the evaluation at its end', async () => {
  const seen = await progressOf(make([7, 8]).run, { epochs: 2, validation: pictures });
  const told = seen.map(({ epoch, step, loss, batchLoss, accuracy, epochDone, validation }) => [
    epoch,
    step,
    loss,
    batchLoss,
    accuracy,
    epochDone,
    validation?.loss,
  ]);
  expect(told).toEqual([
    [1, 1, 1, 1, 0.5, false, undefined],
    [1, 2, 1.5, 2, 0.5, true, 7],
    [2, 3, 3, 3, 0.5, false, undefined],
    [2, 4, 3.5, 4, 0.5, true, 8],
  ]);
  for (const { totalSteps, learningRate, stopped } of seen)
    expect([totalSteps, learningRate, stopped]).toEqual([4, 0.5, false]);
});

test('checkpoints within an epoch come at their interval', async () => {
  const { run } = make();
  const path = join(folder, 'steps');
  const saved: number[] = [];
  for await (const _ of fit(run, pictures, { epochs: 2, checkpoint: { path, everySteps: 3 } }))
    saved.push(
      await readFile(path).then(
        (bytes) => readCheckpoint(bytes).position.step,
        () => 0,
      ),
    );
  expect(saved).toEqual([0, 2, 3, 4]);
});

test('a run that was stopped in the evaluation of an epoch begins with it', async () => {
  const first = make();
  first.run.evaluation.evaluate = () => Promise.reject(new Error('stopped'));
  const stopped = progressOf(first.run, { epochs: 1, validation: pictures });
  await expect(stopped).rejects.toThrow('stopped');
  expect(first.run.state.position).toMatchObject({ step: 2, within: 2, epoch: 0 });
  const second = make([7]);
  await restore(second.run, await checkpointOf(first.run));
  const [end, ...rest] = await progressOf(second.run, { epochs: 1, validation: pictures });
  expect(second.events).toEqual(['clear steps', 'clear evaluation', 'evaluate 4']);
  expect(end).toMatchObject({ step: 2, epoch: 1, loss: 1.5, epochDone: true, imagesPerSecond: 0 });
  expect(rest).toEqual([]);
});

test('early stopping keeps the weights of the best epoch, and ends the run', async () => {
  const { run } = make([5, 4, 6, 3]);
  const seen = await progressOf(run, { epochs: 9, validation: pictures, earlyStopping: { patience: 1 } });
  expect(seen.map(({ stopped }) => stopped)).toEqual([false, false, false, false, false, true]);
  // The second epoch ended after the fourth step.
  expect(countIn(run.state.best!)).toBe(4);
});

test('one loop trains at a time; leaving it pauses the run', async () => {
  const { run } = make();
  const loop = fit(run, pictures, { epochs: 2 });
  await loop.next();
  await expect(fit(run, pictures, { epochs: 2 }).next()).rejects.toThrow('already training');
  await expect(restore(run, new Uint8Array())).rejects.toThrow('end that loop before restoring');
  await loop.return();
  expect((await progressOf(run, { epochs: 2 })).map(({ step }) => step)).toEqual([2, 3, 4]);
});

test('a refused checkpoint changes nothing', async () => {
  const { run, events } = make();
  await progressOf(run, { epochs: 1 });
  const before = await run.state.whole();
  const other = make([], { schedule: cosine() });
  await expect(restore(run, await checkpointOf(other.run))).rejects.toThrow('the schedule cosine');
  expect(await run.state.whole()).toEqual(before);
  expect(events).not.toContain('clear steps');
});

test('disposal frees the program and the caches', async () => {
  const { run, events } = make();
  await progressOf(run, { epochs: 1 });
  events.length = 0;
  await dispose(run);
  expect(events).toEqual(['clear steps', 'clear evaluation']);
  expect(run.state.tensors.selected).toBeUndefined();
  await expect(checkpointOf(run)).rejects.toThrow('has been disposed of');
});
