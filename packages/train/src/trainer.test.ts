/** Tests the trainer on a task that it learns in a second: which third of a noisy picture is bright. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runInNewContext } from 'node:vm';
import {
  type Backend,
  batchNorm,
  conv2d,
  dropout,
  FileFormatError,
  flatten,
  initialise,
  linear,
  module,
  pipe,
  referenceBackend,
  relu,
  tensor,
  type Weights,
  wasmBackend,
  writeSafetensors,
} from '@cnn/core';
import { random } from '@cnn/core/graph';
import { readSafetensors } from '@cnn/core/io';
import { describe, expect, test } from 'vitest';
import { epochOrder, mixSeed } from './data.js';
import {
  adam,
  colorJitter,
  compose,
  crossEntropy,
  type Dataset,
  type Example,
  type FitOptions,
  type Progress,
  randomCrop,
  reduceOnPlateau,
  sgd,
  shuffled,
  type Trainer,
  type TrainerOptions,
  TrainingDiverged,
  trainer,
  trainingStep,
} from './index.js';

const dropped = dropout(0.2);
const model = module(
  { conv: conv2d(1, 4, 3, { padding: 1 }), norm: batchNorm(4), fc: linear(144, 3) },
  (m, x) => pipe(x, m.conv, m.norm, relu, flatten, dropped, m.fc),
);

const dataset = (size: number, seed: number, label = (index: number) => index % 3): Dataset => ({
  size,
  shape: [1, 6, 6],
  at(index) {
    const source = random(1000 * seed + index);
    const third = index % 3;
    const pixels = Float32Array.from(
      { length: 36 },
      (_, i) => source.uniform() + (Math.floor(i / 12) === third ? 0.5 : 0),
    );
    return { pixels, label: label(index) };
  },
});

const trained = dataset(60, 1);
/** A trainer on the calling thread, since workers take longer to start than such a run. */
const make = (options: Partial<TrainerOptions> = {}) =>
  trainer({
    model,
    weights: initialise(model, { seed: 3 }),
    optimizer: adam({ learningRate: 0.01 }),
    input: [8, 1, 6, 6],
    seed: 5,
    backend: wasmBackend({ workers: false }),
    ...options,
  });

test('learns, and generalises to other examples', async () => {
  await using run = make({ backend: 'auto' });
  const before = await run.evaluate(dataset(61, 2));
  const seen: Progress[] = [];
  for await (const progress of run.fit(trained, { epochs: 8 })) seen.push(progress);
  expect(seen.length).toBe(8 * 7);
  expect(seen.at(-1)).toMatchObject({ epoch: 8, step: 56, totalSteps: 56, epochDone: true });
  const after = await run.evaluate(dataset(61, 2));
  expect(after.loss).toBeLessThan(before.loss / 2);
  expect(after.accuracy).toBeGreaterThan(0.9);
});

test('a run that was interrupted within an epoch ends with the same bits as one that was not', async () => {
  await using whole = make();
  for await (const _ of whole.fit(trained, { epochs: 3 }));
  await using first = make();
  for await (const { step } of first.fit(trained, { epochs: 3 })) if (step === 10) break;
  await using second = make({ weights: initialise(model, { seed: 99 }), seed: 17 });
  await second.restore(await first.checkpoint());
  expect(second.step).toBe(10);
  for await (const _ of second.fit(trained, { epochs: 3 }));
  expect(await second.weights()).toEqual(await whole.weights());
  expect(await second.checkpoint()).toEqual(await whole.checkpoint());
});

test('a checkpoint stores the description of its run, by which restore may refuse it', async () => {
  await using first = make({ description: 'red, seed 5' });
  await using second = make();
  const refuse = (description: string | undefined) => {
    throw new Error(`not ${description}`);
  };
  await expect(second.restore(await first.checkpoint(), { check: refuse })).rejects.toThrow(
    'not red, seed 5',
  );
  await expect(first.restore(await second.checkpoint(), { check: refuse })).rejects.toThrow('not undefined');
});

test('augmentation and dropout are resumed with the same bits', async () => {
  const augment = compose(randomCrop(6, { padding: 1 }), colorJitter({ brightness: 0.5 }));
  const options = { augment, normalise: { mean: [0.5], std: [0.3] } };
  await using whole = make(options);
  for await (const _ of whole.fit(trained, { epochs: 2 }));
  await using first = make(options);
  for await (const { step } of first.fit(trained, { epochs: 2 })) if (step === 4) break;
  await using second = make(options);
  await second.restore(await first.checkpoint());
  for await (const _ of second.fit(trained, { epochs: 2 }));
  expect(await second.checkpoint()).toEqual(await whole.checkpoint());
  await using plain = make({ normalise: options.normalise });
  for await (const _ of plain.fit(trained, { epochs: 2 }));
  expect(await plain.weights()).not.toEqual(await whole.weights());
});

test('an abort ends the wait for an example, in training and evaluation', async () => {
  await using run = make();
  const hang = () => {
    const controller = new AbortController();
    const at = () => {
      setTimeout(() => controller.abort());
      return new Promise<never>(() => undefined);
    };
    return { pending: { ...trained, at }, signal: controller.signal };
  };
  const fitted = async () => {
    const { pending, signal } = hang();
    for await (const _ of run.fit(pending, { epochs: 1, signal }));
  };
  await expect(fitted()).rejects.toThrow('aborted');
  const { pending, signal } = hang();
  await expect(run.evaluate(pending, { signal })).rejects.toThrow('aborted');
});

test('options and examples of wrong kinds are named', async () => {
  await using run = make();
  const fitted = async (set: Dataset, signal?: AbortSignal) => {
    for await (const _ of run.fit(set, { epochs: 1, signal: signal! }));
  };
  await expect(fitted({ ...trained, at: () => undefined as never })).rejects.toThrow(
    / is undefined; 'at' of the dataset must give \{ pixels, label \}\./,
  );
  await expect(fitted(trained, {} as AbortSignal)).rejects.toThrow("'signal' is an AbortSignal, got a plain");
  expect(() => make({ clip: '1' as never })).toThrow("'clip' is 1; the largest norm must be above 0.");
  expect(() => sgd({ momentum: null as never })).toThrow('The momentum of sgd is null; give a number from 0');
});

test('a run that was stopped during the evaluation of an epoch continues with it', async () => {
  const validation = dataset(30, 2);
  await using whole = make();
  const seen: Progress[] = [];
  for await (const progress of whole.fit(trained, { epochs: 2, validation })) seen.push(progress);
  await using first = make();
  const interrupted = new AbortController();
  const stopping: Dataset = {
    ...validation,
    at(index) {
      if (index === 9) interrupted.abort();
      return validation.at(index);
    },
  };
  const stopped = async () => {
    const options = { epochs: 2, validation: stopping, signal: interrupted.signal };
    for await (const _ of first.fit(trained, options));
  };
  await expect(stopped()).rejects.toThrow('aborted');
  expect([first.step, first.epoch]).toEqual([7, 0]);
  await using second = make();
  await second.restore(await first.checkpoint());
  const rest: Progress[] = [];
  for await (const progress of second.fit(trained, { epochs: 2, validation })) rest.push(progress);
  const told = ({ step, epoch, loss, batchLoss, learningRate }: Progress) =>
    ({ step, epoch, loss, batchLoss, learningRate }) as const;
  expect(rest.map(told)).toEqual(seen.slice(6).map(told));
  expect(await second.checkpoint()).toEqual(await whole.checkpoint());
  expect(second.history.map(({ epoch }) => epoch)).toEqual([1, 2]);
  expect(second.history[1]!.validation!.loss).toBe(seen.at(-1)!.validation!.loss);
});

test('gradients above the bound are clipped, others are unchanged', async () => {
  const after = async (clip?: number) => {
    await using run = make({ optimizer: sgd({ learningRate: 1 }), ...(clip ? { clip } : {}) });
    const before = await run.weights();
    await run.fit(trained, { epochs: 1 }).next();
    const now = await run.weights();
    const moved = [...before]
      .filter(([name]) => !name.includes('running'))
      .map(([name, { data }]) => now.get(name)!.data.map((value, i) => value - data[i]!));
    return Float64Array.from(moved.flatMap((values) => [...values]));
  };
  const norm = (values: Float64Array) => Math.hypot(...values);
  const free = await after();
  const clipped = await after(norm(free) / 4);
  expect(norm(clipped)).toBeCloseTo(norm(free) / 4, 5);
  for (const [i, value] of free.entries()) expect(clipped[i]).toBeCloseTo(value / 4, 5);
  expect(await after(norm(free) * 2)).toEqual(free);
});

test('a checkpoint over the limit is refused before it is read', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'cnn-train-'));
  try {
    const path = join(folder, 'run.safetensors');
    writeFileSync(path, '');
    // A sparse file of a terabyte, which takes no space.
    truncateSync(path, 2 ** 40);
    await using run = make();
    await expect(run.restore(path)).rejects.toThrow(/over the limit maxBytes of 2,147,483,648/);
    await run.save(path);
    await expect(run.restore(path, { limits: { maxBytes: 100 } })).rejects.toThrow(/maxBytes of 100/);
    await run.restore(path);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('writing checkpoints leaves no other files behind', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'cnn-train-'));
  try {
    const path = join(folder, 'run.safetensors');
    await using run = make();
    for await (const _ of run.fit(trained, { epochs: 2, checkpoint: { path, everySteps: 3 } }));
    expect(readdirSync(folder)).toEqual(['run.safetensors']);
    await using other = make();
    await other.restore(path);
    expect([other.epoch, other.step]).toEqual([2, 14]);
    expect(await other.weights()).toEqual(await run.weights());
    await expect(run.save(join(folder, 'absent', 'run'))).rejects.toThrow('Cannot write the checkpoint');
    await using different = make({ optimizer: sgd({ learningRate: 0.1 }) });
    await expect(different.restore(path)).rejects.toThrow('optimizer adam, but this trainer has sgd');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('frozen parts keep weights and statistics', async () => {
  await using run = make({ freeze: ['conv', 'norm'] });
  const before = await run.weights();
  for await (const _ of run.fit(trained, { epochs: 1 }));
  const after = await run.weights();
  for (const [name, { data }] of before) {
    if (name.startsWith('fc.')) expect(after.get(name)!.data, name).not.toEqual(data);
    else expect(after.get(name)!.data, name).toEqual(data);
  }
});

test('stops when the validation loss no longer falls, and keeps the best weights', async () => {
  await using run = make({ optimizer: adam({ learningRate: 0.3 }) });
  const seen: Progress[] = [];
  const weights: Weights[] = [];
  const options = { epochs: 50, validation: dataset(30, 2), earlyStopping: { patience: 2 } };
  for await (const progress of run.fit(trained, options)) {
    if (!progress.epochDone) continue;
    seen.push(progress);
    weights.push(await run.weights());
  }
  expect(seen.map(({ stopped }) => stopped)).toEqual([...Array(seen.length - 1).fill(false), true]);
  expect(seen.length).toBeLessThan(50);
  const losses = seen.map(({ validation }) => validation!.loss);
  const best = losses.indexOf(Math.min(...losses));
  expect(best).toBe(seen.length - 3);
  expect(await run.bestWeights()).toEqual(weights[best]);
});

test('early stopping continues only with the value that it watched', async () => {
  const options = { epochs: 1, validation: dataset(30, 2), earlyStopping: { patience: 2 } };
  await using first = make();
  for await (const _ of first.fit(trained, options));
  const bytes = await first.checkpoint();
  await using second = make();
  await second.restore(bytes);
  const watching = (monitor: 'loss' | 'accuracy') =>
    second.fit(trained, { ...options, epochs: 2, earlyStopping: { patience: 2, monitor } }).next();
  await expect(watching('accuracy')).rejects.toThrow(
    "has watched the loss, and cannot compare its best value with the accuracy; continue with monitor: 'loss'",
  );
  await watching('loss');
  expect(second.step).toBe(8);
  const { weights, metadata } = readSafetensors(bytes);
  const restoreWith = (best: unknown) => {
    const position = JSON.stringify({ ...(JSON.parse(metadata.position!) as object), best });
    return first.restore(writeSafetensors(weights, { ...metadata, position }));
  };
  await expect(restoreWith({ monitor: 'lost', value: 1, waited: 0 })).rejects.toThrow(
    "has 'lost' as the monitor of 'best'",
  );
  await expect(restoreWith(null)).rejects.toThrow("has no numbers in 'best'");
});

test("a checkpoint of another model's names is refused as such", async () => {
  await using run = make();
  const { weights, metadata } = readSafetensors(await run.checkpoint());
  const renamed = new Map([...weights].map(([name, value], index) => [`${index}.${name}x`, value] as const));
  await expect(run.restore(writeSafetensors(renamed, metadata))).rejects.toThrow(
    "do not fit the trainer's model and options. No name matches",
  );
});

/** Trains until an error, and gives it. */
const failureOf = (run: Trainer, data: Dataset, options: FitOptions): Promise<unknown> =>
  (async () => {
    for await (const _ of run.fit(data, options));
  })().catch((error: unknown) => error);

describe('a loss that is not finite', () => {
  const diverging = { optimizer: sgd({ learningRate: 1e38 }) };

  test('stops the run, naming step, layer, remedy and the last good step', async () => {
    await using run = make(diverging);
    const error = await failureOf(run, trained, { epochs: 5 });
    expect(error).toBeInstanceOf(TrainingDiverged);
    const { message, step, path, lastGoodStep } = error as TrainingDiverged;
    expect(message).toMatch(/^The loss of step \d+ is (NaN|-?Infinity)\..*Lower the learning rate/);
    expect(step).toBeGreaterThan(1);
    expect(path).not.toBe('');
    expect(lastGoodStep).toBe(step - 1);
    expect(message).toContain(`After step ${lastGoodStep} all values were still finite.`);
  });

  test('leaves the checkpoint as it was, and the run is saved again after a restore', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'cnn-train-'));
    try {
      const path = join(folder, 'run.safetensors');
      await using run = make(diverging);
      await run.save(path);
      const before = readFileSync(path);
      const error = await failureOf(run, trained, { epochs: 5 });
      const refused = `Training diverged at step ${(error as TrainingDiverged).step}, so its state is not saved`;
      await expect(run.save(path)).rejects.toThrow(refused);
      await expect(run.checkpoint()).rejects.toThrow(refused);
      expect(readFileSync(path).equals(before)).toBe(true);
      await run.restore(path);
      expect(await run.checkpoint()).toEqual(new Uint8Array(before));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test('an abort ends the search for its cause, and the error says so', async () => {
    await using first = make(diverging);
    const { step } = (await failureOf(first, trained, { epochs: 5 })) as TrainingDiverged;
    const controller = new AbortController();
    let loaded = 0;
    const watched: Dataset = {
      ...trained,
      at(index) {
        // The search replays the steps from the first one on.
        if (++loaded === step * 8 + 1) controller.abort();
        return trained.at(index);
      },
    };
    await using second = make(diverging);
    const error = await failureOf(second, watched, { epochs: 5, signal: controller.signal });
    expect(error).toBeInstanceOf(TrainingDiverged);
    expect(error).toMatchObject({ step, path: '', lastGoodStep: undefined });
    expect((error as Error).message).toContain('The search for the layer was interrupted.');
    expect(loaded).toBe((step + 1) * 8);
    await expect(second.checkpoint()).rejects.toThrow(`Training diverged at step ${step}`);
  });
});

test('parameters that overflow in the last step of an epoch do not replace a checkpoint', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'cnn-train-'));
  try {
    const path = join(folder, 'run.safetensors');
    writeFileSync(path, 'good');
    // Activations of some 100 make gradients above 1.
    const weights = new Map(initialise(model, { seed: 3 })).set(
      'norm.weight',
      tensor([100, 100, 100, 100], [4]),
    );
    await using run = make({ optimizer: sgd({ learningRate: 3e38 }), weights });
    const error = await failureOf(run, dataset(8, 1), { epochs: 2, checkpoint: { path } });
    expect(error).toBeInstanceOf(TrainingDiverged);
    expect((error as Error).message).toMatch(
      /^The parameter (conv|norm|fc)\.\w+ holds -?Infinity after step 1, so the state is not saved\. Lower/,
    );
    expect(readFileSync(path, 'utf8')).toBe('good');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.each([
  [
    'a label without a class',
    dataset(60, 1, (index) => (index === 7 ? 3 : 0)),
    /Example 7 has the label 3, but the model has 3 classes/,
  ],
  ['fewer examples than a batch', dataset(5, 1), /5 examples, fewer than a batch of 8/],
])('refuses %s', async (_, data, message) => {
  await using run = make();
  const fit = async () => {
    for await (const _ of run.fit(data, { epochs: 1 }));
  };
  await expect(fit()).rejects.toThrow(message);
});

test.each<[string, Partial<FitOptions>, RegExp]>([
  ['epochs that are not a number', { epochs: Number.NaN }, /'epochs' is NaN/],
  ['an empty validation set', { validation: dataset(0, 1) }, /'size' of the validation set is 0/],
  [
    'patience below zero',
    { validation: dataset(8, 1), earlyStopping: { patience: -1 } },
    /'patience' of earlyStopping is -1/,
  ],
  ['zero steps between checkpoints', { checkpoint: { path: 'x', everySteps: 0 } }, /'everySteps' .* is 0/],
])('refuses %s before the first step', async (_, options, message) => {
  await using run = make();
  await expect(run.fit(trained, { epochs: 1, ...options }).next()).rejects.toThrow(message);
  expect(run.step).toBe(0);
});

test('refuses to train a batch norm on a single value for each channel, unless it is frozen', () => {
  const single = module({ norm: batchNorm(3), fc: linear(3, 3) }, (m, x) => pipe(x, m.norm, flatten, m.fc));
  const options = { model: single, input: [1, 3, 1, 1], optimizer: sgd() };
  expect(() => trainer(options)).toThrow('norm: batch norm cannot be trained on one value for each channel');
  expect(() => trainer({ ...options, freeze: ['norm'] })).not.toThrow();
});

test('NaN in the optimizer state is reported with the parameter that it reaches', async () => {
  await using run = make({ optimizer: sgd({ learningRate: 0.01, momentum: 0.9 }) });
  for await (const _ of run.fit(trained, { epochs: 1 })) break;
  const { weights, metadata } = readSafetensors(await run.checkpoint());
  weights.get('optimizer.velocity.fc.weight')!.data[5] = Number.NaN;
  await run.restore(writeSafetensors(weights, metadata));
  const fit = async () => {
    for await (const _ of run.fit(trained, { epochs: 1 }));
  };
  await expect(fit()).rejects.toThrow(/The parameter (optimizer\.velocity\.)?fc\.weight held NaN/);
});

test('frozen parts cost no backward pass', () => {
  const step = (freeze: readonly string[]) =>
    trainingStep(model, { input: [8, 1, 6, 6], loss: crossEntropy(), optimizer: sgd(), freeze });
  const backward = (freeze: readonly string[]) =>
    step(freeze).nodes.filter(({ op }) => /^(conv2d|batchNorm).*grad/i.test(op)).length;
  expect(backward([])).toBeGreaterThan(0);
  expect(backward(['conv', 'norm'])).toBe(0);
});

describe('with the features of frozen layers cached', () => {
  const options = { freeze: ['conv', 'norm'], optimizer: sgd({ learningRate: 0.1 }) };
  const frozenTo = async (run: Trainer, epochs: number) => {
    for await (const _ of run.fit(trained, { epochs }));
    return (await run.weights()).get('fc.weight')!.data;
  };

  test('training gives the same weights', async () => {
    await using plain = make(options);
    await using cached = make({ ...options, cacheFeatures: true });
    const expected = await frozenTo(plain, 2);
    const actual = await frozenTo(cached, 2);
    // Folding the frozen batch norm rounds differently.
    for (const [i, value] of expected.entries()) expect(actual[i]).toBeCloseTo(value, 5);
  });

  /** Makes a reference back end that counts the runs of graphs with a convolution. */
  const counting = () => {
    const counted = { runs: 0 };
    const backend: Backend = {
      name: 'reference',
      async compile(graph, weights, how) {
        const program = await referenceBackend().compile(graph, weights, how);
        const hasTrunk = graph.nodes.some(({ op }) => op === 'conv2d');
        return {
          ...program,
          run(...call) {
            if (hasTrunk) counted.runs++;
            return program.run(...call);
          },
        };
      },
    };
    return { backend, counted };
  };

  test('the trunk runs once per picture of the training and the validation set', async () => {
    const { backend, counted } = counting();
    const validation = dataset(29, 2);
    const evaluations = async (run: Trainer) => {
      const found: number[] = [];
      for await (const { validation: seen } of run.fit(dataset(32, 1), { epochs: 3, validation }))
        if (seen) found.push(seen.loss, seen.accuracy);
      return found;
    };
    await using cached = make({ ...options, backend, cacheFeatures: true });
    const actual = await evaluations(cached);
    // Four batches of training and four of validation, the last one not full.
    expect(counted.runs).toBe(8);
    await using plain = make({ ...options, backend });
    const expected = await evaluations(plain);
    expect(actual.length).toBe(6);
    for (const [i, value] of expected.entries()) expect(actual[i]).toBeCloseTo(value, 5);
    // Another dataset replaces the cached features, and so does the first one afterwards.
    const other = dataset(29, 3);
    expect((await cached.evaluate(other)).loss).toBeCloseTo((await plain.evaluate(other)).loss, 5);
    expect((await cached.evaluate(validation)).loss).toBeCloseTo(expected.at(-2)!, 5);
  });

  test('training on another dataset computes new features', async () => {
    const after = async (cacheFeatures: boolean) => {
      await using run = make({ ...options, cacheFeatures });
      for await (const _ of run.fit(trained, { epochs: 1 }));
      for await (const _ of run.fit(dataset(60, 9), { epochs: 2 }));
      return (await run.weights()).get('fc.weight')!.data;
    };
    const [cached, plain] = [await after(true), await after(false)];
    for (const [i, value] of plain.entries()) expect(cached[i]).toBeCloseTo(value, 5);
  });

  test('a restored run computes the features with the weights of the checkpoint', async () => {
    await using whole = make({ ...options, cacheFeatures: true });
    await using first = make({ ...options, cacheFeatures: true });
    await frozenTo(first, 1);
    const other = { weights: initialise(model, { seed: 99 }), cacheFeatures: true };
    await using second = make({ ...options, ...other });
    await second.restore(await first.checkpoint());
    expect(await frozenTo(second, 3)).toEqual(await frozenTo(whole, 3));
  });
});

describe('pixels of every type', () => {
  const values = Array.from({ length: 36 }, (_, i) => i / 36);
  const foreign = (type: string): Float32Array =>
    runInNewContext(`${type}.from(values)`, { values }) as Float32Array;
  const lossOf = async (pixels: Example['pixels']) => {
    await using run = make();
    return (await run.evaluate({ size: 1, shape: [1, 6, 6], at: () => ({ pixels, label: 0 }) })).loss;
  };

  test('floats are not scaled, whatever their precision and realm; bytes are', async () => {
    const expected = await lossOf(Float32Array.from(values));
    expect(await lossOf(Float64Array.from(values))).toBe(expected);
    expect(await lossOf(foreign('Float32Array'))).toBe(expected);
    const bytes = Uint8Array.from({ length: 36 }, (_, i) => 7 * i);
    const scaled = await lossOf(Float32Array.from(bytes, (byte) => byte / 255));
    expect(await lossOf(bytes)).toBe(scaled);
    expect(await lossOf(Uint8ClampedArray.from(bytes))).toBe(scaled);
  });

  test.each([
    ['a plain array', values],
    ['of the type Int32Array', new Int32Array(36)],
    ['of the type Undefined', undefined],
  ])('%s is refused', async (what, pixels) => {
    await expect(lossOf(pixels as unknown as Float32Array)).rejects.toThrow(
      `The pixels of an example are ${what}; give bytes as a Uint8Array`,
    );
  });

  test('an example may be promised by another realm', async () => {
    await using run = make();
    const at = (index: number) =>
      runInNewContext('Promise.resolve(value)', { value: trained.at(index) }) as Promise<Example>;
    const { count } = await run.evaluate({ size: 5, shape: [1, 6, 6], at });
    expect(count).toBe(5);
  });
});

test('groups have other learning rates, and the average follows the weights', async () => {
  const fixed = [{ paths: ['conv'], learningRate: 0 }];
  await using run = make({ optimizer: sgd({ learningRate: 0.1 }), groups: fixed, ema: 0.75 });
  const start = await run.weights();
  let average = start.get('fc.weight')!.data.slice();
  for await (const { step } of run.fit(trained, { epochs: 1 })) {
    const now = (await run.weights()).get('fc.weight')!.data;
    average = average.map((value, i) => 0.75 * value + 0.25 * now[i]!);
    if (step === 3) break;
  }
  expect((await run.weights()).get('conv.weight')).toEqual(start.get('conv.weight'));
  expect((await run.weights()).get('fc.weight')).not.toEqual(start.get('fc.weight'));
  const actual = (await run.averagedWeights()).get('fc.weight')!.data;
  for (const [i, value] of average.entries()) expect(actual[i]).toBeCloseTo(value, 6);
});

test('a warmed-up average follows the weights of a short run', async () => {
  const options = { optimizer: sgd({ learningRate: 0.1 }), ema: 0.999 };
  await using run = make({ ...options, emaWarmUp: true });
  let average = (await run.weights()).get('fc.weight')!.data.slice();
  for await (const { step } of run.fit(trained, { epochs: 2 })) {
    const now = (await run.weights()).get('fc.weight')!.data;
    const decay = Math.min(0.999, step / (9 + step));
    average = average.map((value, i) => decay * value + (1 - decay) * now[i]!);
    // The average continues from a checkpoint too.
    if (step === 5) await run.checkpoint();
  }
  const actual = (await run.averagedWeights()).get('fc.weight')!.data;
  for (const [i, value] of average.entries()) expect(actual[i]).toBeCloseTo(value, 6);
  await using cold = make(options);
  const start = (await cold.weights()).get('fc.weight')!.data;
  for await (const _ of cold.fit(trained, { epochs: 2 }));
  expect(await cold.weights()).toEqual(await run.weights());
  const distance = (values: Float32Array) => Math.hypot(...values.map((value, i) => value - start[i]!));
  const slow = (await cold.averagedWeights()).get('fc.weight')!.data;
  expect(distance(slow)).toBeLessThan(distance(actual) / 20);
});

test('a batch whose classes all have the weight 0 is named as the cause', async () => {
  const loss = crossEntropy({ classWeights: [0, 1, 0] });
  await using run = make({ loss, optimizer: sgd({ learningRate: 0.01 }) });
  const error = run.fit(
    dataset(16, 1, (index) => (index % 2) * 2),
    { epochs: 1 },
  );
  const failed = error.next();
  await expect(failed).rejects.toThrow(TrainingDiverged);
  await expect(failed).rejects.toThrow(
    'The loss of step 1 is NaN: all pictures of its batch belong to classes with the weight 0 (0, 2)',
  );
});

test('a checkpoint of another schedule is refused, and so is a schedule without a finite rate', async () => {
  await using first = make();
  for await (const _ of first.fit(trained, { epochs: 1 }));
  await using second = make({ schedule: reduceOnPlateau() });
  await expect(second.restore(await first.checkpoint())).rejects.toThrow(
    'was written by a run with the schedule constantRate, but this trainer has reduceOnPlateau; use the same',
  );
  await using third = make({ schedule: { factor: () => Number.NaN } });
  await expect(third.fit(trained, { epochs: 1 }).next()).rejects.toThrow(
    'The schedule gives the learning rate of step 1 the factor NaN',
  );
});

test('an evaluation loss of NaN is kept in the history, and the checkpoint continues', async () => {
  const broken: Dataset = {
    ...dataset(8, 2),
    at: () => ({ pixels: new Float32Array(36).fill(Number.NaN), label: 0 }),
  };
  const options = { epochs: 1, validation: broken };
  await using run = make({ schedule: reduceOnPlateau() });
  for await (const _ of run.fit(trained, options));
  expect(run.history[0]!.validation!.loss).toBeNaN();
  await using second = make({ schedule: reduceOnPlateau() });
  await second.restore(await run.checkpoint());
  expect(second.history).toEqual(run.history);
  for await (const _ of second.fit(trained, { ...options, epochs: 2 }));
  expect(second.epoch).toBe(2);
});

test('a run at the end of an epoch continues only with steps of the same size', async () => {
  await using first = make();
  for await (const _ of first.fit(trained, { epochs: 1 }));
  const bytes = await first.checkpoint();
  for (const [batch, size] of [
    [4, 60],
    [8, 70],
  ] as const) {
    await using second = make({ input: [batch, 1, 6, 6] });
    await second.restore(bytes);
    await expect(second.fit(dataset(size, 1), { epochs: 2 }).next()).rejects.toThrow(
      `trained for 7 steps on 60 examples in batches of 8, but this dataset has ${size} examples in batches of ${batch}`,
    );
  }
});

test('a run that stopped within an epoch continues only with the same data and batch', async () => {
  await using first = make();
  for await (const { step } of first.fit(trained, { epochs: 1 })) if (step === 3) break;
  const bytes = await first.checkpoint();
  for (const [input, data] of [
    [[32, 1, 6, 6], trained],
    [[8, 1, 6, 6], dataset(61, 1)],
  ] as const) {
    await using second = make({ input });
    await second.restore(bytes);
    await expect(second.fit(data, { epochs: 1 }).next()).rejects.toThrow(
      'continue with the same data and batch',
    );
  }
});

test.each([
  ['"within":3', '"within":9', /is 9 steps of 8 into an epoch of 60 examples/],
  ['"step":3', '"step":x', /position is not JSON/],
  ['"right":', '"wrong":', /has 'right' undefined/],
  ['"history":[]', '"history":{}', /has no list of epochs/],
])('a checkpoint with %s made %s is refused', async (from, to, message) => {
  await using run = make();
  for await (const { step } of run.fit(trained, { epochs: 1 })) if (step === 3) break;
  const bytes = await run.checkpoint();
  // The header is JSON in JSON, and the replacement has the same length.
  const [old, changed] = [from, to].map((text) => text.replaceAll('"', '\\"')) as [string, string];
  const at = Buffer.from(bytes).indexOf(old);
  expect(at).toBeGreaterThan(0);
  bytes.set(Buffer.from(changed), at);
  const restoring = run.restore(bytes);
  await expect(restoring).rejects.toThrow(FileFormatError);
  await expect(restoring).rejects.toThrow(message);
});

test.each([Number.NaN, 1.5, Infinity])('the seed %d is refused', (seed) => {
  expect(() => make({ seed })).toThrow(`'seed' is ${seed}; give a whole number.`);
});

test('a dataset of more than 100 million examples is refused before it is shuffled', async () => {
  await using run = make();
  await expect(run.fit({ ...trained, size: 1e9 }, { epochs: 1 }).next()).rejects.toThrow(
    "'size' of the dataset is 1,000,000,000; a run shuffles at most 100,000,000 examples.",
  );
});

test('the order of an epoch is the same as that of a shuffled list', () => {
  expect([...epochOrder(4, 2, 50)]).toEqual(shuffled(50, random(mixSeed(4, 1, 2))));
});

test.each<[string, object, string]>([
  ['no optimizer', {}, "'optimizer' is undefined; give one such as sgd({ learningRate: 0.1 })."],
  ['the name of an optimizer', { optimizer: 'sgd' }, "'optimizer' is sgd; give one"],
  [
    'the name of a loss',
    { optimizer: sgd({ learningRate: 0.1 }), loss: 'l1' },
    "'loss' is l1; give a function",
  ],
])('%s is refused in a sentence', (_, options, message) => {
  const net = module({ fc: linear(4, 2) }, (m, x) => m.fc(x));
  expect(() => trainer({ model: net, input: [1, 4], ...options } as never)).toThrow(message);
});
