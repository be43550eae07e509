/** Tests classifiers and embedders in Node, with small networks, against the steps that they are made of. */
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  compile,
  conv2d,
  flatten,
  globalAvgPool,
  initialise,
  leakyRelu,
  linear,
  type ModelEntry,
  type Module,
  named,
  probabilities,
  readWeights,
  relu,
  softmax,
  type Transform,
  tensor,
  topK,
  torchvisionWeights,
  type WeightsRecord,
  writeSafetensors,
} from '@cnn/core';
import { encodePng, imagenetLabels, imagenetWnids, transform } from '@cnn/image';
import { models as lenets } from '@cnn/lenet';
import { models as mobilenets, renames } from '@cnn/mobilenet';
import { models as nins } from '@cnn/nin';
import { models as resnets } from '@cnn/resnet';
import { realData } from '@cnn/testing';
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest';
import { type ClassifierOptions, type Classify, ClassifyError, classifier, embedder } from './index.js';

const preset: Transform = {
  resize: 16,
  crop: 12,
  interpolation: 'bilinear',
  mean: [0.4, 0.5, 0.6],
  std: [0.2, 0.3, 0.4],
};
const names = ['cat', 'dog', 'cup'];

interface TinyOptions {
  readonly numClasses?: number;
}

/** A network of two layers. */
const build = ({ numClasses = 3 }: TinyOptions = {}): Module =>
  named({
    conv: conv2d(3, 4, 3, { stride: 2 }),
    relu,
    pool: (x) => flatten(globalAvgPool(x)),
    fc: linear(4, numClasses),
  });

const folder = mkdtempSync(join(tmpdir(), 'classify-'));
const servers: Server[] = [];
const opened: { dispose(): Promise<void> }[] = [];
afterAll(() => {
  rmSync(folder, { recursive: true });
  for (const server of servers) server.close();
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((one) => one.dispose()));
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

const weights = initialise(build(), { seed: 1 });
const file = writeSafetensors(weights);
const path = join(folder, 'tiny.safetensors');
writeFileSync(path, file);

const record = (url: string, more: Partial<WeightsRecord> = {}): WeightsRecord => ({
  url,
  sha256: createHash('sha256').update(file).digest('hex'),
  licence: 'MIT',
  transform: preset,
  categories: names,
  ...more,
});

const entry = (records: Readonly<Record<string, WeightsRecord>> = {}): ModelEntry<TinyOptions> => ({
  name: 'tiny',
  build,
  input: [1, 3, 12, 12],
  minimum: 5,
  parameters: 127,
  macs: 1,
  paper: { title: '', authors: '', year: 2026, url: '' },
  weights: records,
});

/** Makes a classifier on one thread, which is disposed of after the test. */
async function open(
  from: ModelEntry<TinyOptions> = entry(),
  options: ClassifierOptions<TinyOptions> = { weights, transform: preset, labels: names },
): Promise<Classify> {
  const made = await classifier(from, { backend: 'reference', ...options });
  opened.push(made);
  return made;
}

/** Starts a server on the loopback address; gives its address. */
async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  servers.push(server);
  await new Promise((resolve) => server.once('listening', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Pictures of different colours and sizes. */
const pictureOf = (seed: number) => {
  const [width, height] = [20 + seed, 30 - seed];
  const data = Uint8Array.from(
    { length: 3 * width * height },
    (_, i) => (i * (seed + 7) + ((i * i) >> 5)) % 256,
  );
  return { width, height, data };
};
const pictures = Array.from({ length: 7 }, (_, seed) => pictureOf(seed));

/** The logits of a picture, by the steps that a classifier is made of. */
async function logitsOf(picture: ReturnType<typeof pictureOf>): Promise<Float32Array> {
  await using session = await compile(build(), { weights, input: [1, 3, 12, 12], backend: 'reference' });
  return (await session.run(transform(picture, preset))).data;
}

describe('classifier', () => {
  test('gives the classes of a picture, the most likely first', async () => {
    const classify = await open();
    const picture = pictureOf(3);
    const expected = topK(probabilities(await logitsOf(picture)), 3).map(({ index, value }) => ({
      label: names[index],
      index,
      probability: value,
    }));
    expect(await classify(picture)).toEqual(expected);
    expect(await classify(encodePng(picture), { top: 1 })).toEqual(expected.slice(0, 1));
    expect(classify.session.backend).toBe('reference');
    expect(classify.session.input).toEqual([1, 3, 12, 12]);
  });

  test('reads weights from everything that holds them', async () => {
    const site = await serve((_, response) => response.end(file));
    const expected = await (await open())(pictures[0]!);
    const copy = Uint8Array.from(file);
    for (const given of [
      weights,
      path,
      `${site}/w.safetensors`,
      new URL(`${site}/w`),
      new Blob([copy]),
      copy,
      copy.buffer,
    ])
      expect(
        await (await open(entry(), { weights: given, transform: preset, labels: names }))(pictures[0]!),
      ).toEqual(expected);
  });

  test('takes preparation and labels of published weights, by default of the first', async () => {
    const records = {
      A: record(path),
      B: record(path, { transform: { ...preset, crop: 8 }, categories: ['x', 'y', 'z'] }),
    };
    const [a, b] = [await open(entry(records), {}), await open(entry(records), { weights: 'B' })];
    const expected = await (await open())(pictures[1]!);
    expect(await a(pictures[1]!)).toEqual(expected);
    expect(b.session.input).toEqual([1, 3, 8, 8]);
    expect((await b(pictures[1]!)).map(({ label }) => label).sort()).toEqual(['x', 'y', 'z']);
    const cut = await open(entry(records), { weights: 'B', transform: { crop: 10 } });
    expect(cut.session.input).toEqual([1, 3, 10, 10]);
  });

  test('recognises published weights in a file by the hash in its name', async () => {
    const named = join(folder, 'tiny-0a1b2c3d.safetensors');
    writeFileSync(named, file);
    const records = {
      A: record('https://example.org/a.pth', { sha256: 'ffffffff' }),
      B: record('https://example.org/b.pth', { sha256: '0a1b2c3d', transform: { ...preset, crop: 9 } }),
    };
    expect((await open(entry(records), { weights: named })).session.input).toEqual([1, 3, 9, 9]);
    const blob = new File([Uint8Array.from(file)], 'tiny-0a1b2c3d.safetensors');
    expect((await open(entry(records), { weights: blob })).session.input).toEqual([1, 3, 9, 9]);
    // The published ones differ, so neither is assumed.
    expect((await open(entry(records), { weights: path })).session.input).toEqual([1, 3, 12, 12]);
  });

  test('renames keys by the rule of published weights, if only that fits', async () => {
    const old = new Map([...weights].map(([name, value]) => [name.replace('fc.', 'head.'), value]));
    const records = { A: record('https://example.org/a', { rename: [[/^head\./, 'fc.']] }) };
    const classify = await open(entry(records), { weights: old });
    expect(await classify(pictures[0]!)).toEqual(await (await open())(pictures[0]!));
    await expect(open(entry(), { weights: old })).rejects.toMatchObject({ code: 'ERR_WEIGHTS_MISMATCH' });
  });

  test('passes options to the builder', async () => {
    const many = initialise(build({ numClasses: 1000 }), { seed: 1 });
    const options = { weights: many, build: { numClasses: 1000 }, transform: preset };
    const [best] = await (await open(entry(), options))(pictures[0]!);
    expect(best).toMatchObject({ label: imagenetLabels[best!.index], wnid: imagenetWnids[best!.index] });
    // Labels of weights with another number of outputs do not apply.
    const [other] = await (await open(entry({ A: record(path) }), options))(pictures[0]!);
    expect(other).toEqual({
      index: best!.index,
      label: `class ${best!.index}`,
      probability: best!.probability,
    });
    const [own] = await (await open(entry({ A: record(path) }), { ...options, labels: 'imagenet' }))(
      pictures[0]!,
    );
    expect(own).toEqual(best);
  });

  test.each<readonly [string, string]>([
    ['lines', 'cat\r\ndog\ncup\n'],
    ['a list', '["cat", "dog", "cup"]'],
    ["ImageNet's index", '{"0": ["n1", "cat"], "2": ["n3", "cup"], "1": ["n2", "dog"]}'],
  ])('reads labels from a file of %s, and from its address', async (_, text) => {
    const site = await serve((_request, response) => response.end(text));
    const place = join(folder, 'labels');
    writeFileSync(place, text);
    for (const labels of [`${site}/labels`, place, new Blob([text])]) {
      const found = await (await open(entry(), { weights, labels }))(pictures[0]!);
      for (const { label, index, wnid } of found) {
        expect(label).toBe(names[index]);
        expect(wnid).toBe(text.startsWith('{') ? `n${index + 1}` : undefined);
      }
    }
  });

  test.each<readonly [string, ClassifierOptions, string, string]>([
    [
      'no weights',
      {},
      'ERR_NO_WEIGHTS',
      'No weights are published for tiny. Give some with the option weights',
    ],
    [
      'an unknown name',
      { weights: 'IMAGENET' },
      'ERR_UNKNOWN_WEIGHTS',
      "neither a file nor published weights called 'IMAGENET' for tiny; published are: none.",
    ],
    ['two labels', { weights, labels: ['a', 'b'] }, 'ERR_LABELS', 'has 3 outputs, but there are 2 labels'],
    [
      'labels of numbers',
      { weights, labels: [1, 2, 3] as never },
      'ERR_LABELS',
      'Labels are texts, got a Number',
    ],
    ['a web page as labels', { weights, labels: new Blob(['<html>']) }, 'ERR_LABELS', 'is a web page or XML'],
    ['damaged labels', { weights, labels: new Blob(['["a",']) }, 'ERR_LABELS', 'damaged JSON'],
    ['missing labels', { weights, labels: 'none.txt' }, 'ERR_SOURCE_NOT_FOUND', 'There is no file none.txt'],
  ])('%s', async (_, options, code, sentence) => {
    const error: unknown = await classifier(entry(), { backend: 'reference', ...options }).catch(
      (reason) => reason,
    );
    expect(error).toMatchObject({ code, message: expect.stringContaining(sentence) });
  });

  test('weights that cannot be downloaded are a sentence that names the option', async () => {
    const site = await serve((_, response) => response.writeHead(403).end());
    await expect(open(entry({ A: record(`${site}/w.pth`) }), {})).rejects.toMatchObject({
      code: 'ERR_NO_WEIGHTS',
      message: expect.stringMatching(
        /^The published weights of tiny .* 403.* Give them with the option weights: /,
      ),
    });
    await expect(open(entry({ A: record('package:@cnn/none/w.safetensors') }), {})).rejects.toMatchObject({
      code: 'ERR_NO_WEIGHTS',
      message:
        'The weights of tiny are the file @cnn/none/w.safetensors, which is not found from here. Give its path with the option weights.',
    });
    // A record's hash is checked.
    const wrong = torchvisionWeights('tiny-00000000.pth', 1, 2);
    await expect(open(entry({ A: { ...wrong, url: path } }), {})).rejects.toMatchObject({
      code: 'ERR_FILE_FORMAT',
    });
  });

  test('pictures and options that are none are refused', async () => {
    const classify = await open();
    await expect(classify(undefined as never)).rejects.toMatchObject({ code: 'ERR_SOURCE_TYPE' });
    await expect(classify('none.jpg')).rejects.toMatchObject({ code: 'ERR_SOURCE_NOT_FOUND' });
    for (const top of [0, 1.5, Number.NaN, '3'])
      await expect(classify(pictures[0]!, { top: top as number })).rejects.toMatchObject({
        code: 'ERR_OPTION',
      });
    for (const options of [{ batch: 0 }, { concurrency: 0.5 }, { top: 0 }])
      expect(() => classify.many(pictures, options)).toThrow(ClassifyError);
    for (const sources of ['photo.jpg', Uint8Array.of(1), undefined, {}])
      expect(() => classify.many(sources as never)).toThrow(
        /Many pictures are given as a list or a generator, got/,
      );
  });

  test('outputs that are not numbers are an error, also of one of many', async () => {
    const damaged = new Map(weights).set('fc.bias', tensor(new Float32Array(3).fill(Number.NaN), [3]));
    const classify = await open(entry(), { weights: damaged, transform: preset });
    await expect(classify(pictures[0]!)).rejects.toMatchObject({ code: 'ERR_NOT_NUMBERS' });
    for await (const { error } of classify.many(pictures.slice(0, 2)))
      expect(error).toMatchObject({ code: 'ERR_NOT_NUMBERS' });
  });

  test('can be stopped, and disposed of twice', async () => {
    const reason = new Error('enough');
    const signal = AbortSignal.abort(reason);
    await expect(open(entry(), { weights, signal })).rejects.toBe(reason);
    const classify = await open();
    await expect(classify(pictures[0]!, { signal })).rejects.toBe(reason);
    await classify.dispose();
    await classify[Symbol.asyncDispose]();
    await expect(classify(pictures[0]!)).rejects.toMatchObject({ code: 'ERR_DISPOSED' });
    expect(() => classify.many(pictures)).toThrow('has been disposed of');
  });

  test("LeNet's own weights are found, and read a digit", async () => {
    const data = new Uint8Array(28 * 28);
    for (let y = 5; y < 23; y++) data.fill(255, 28 * y + 13, 28 * y + 15);
    await using classify = await classifier(lenets.lenet5, { threads: 1 });
    const [best] = await classify({ width: 28, height: 28, data });
    expect(best).toMatchObject({ label: '1', index: 1 });
    expect(best!.probability).toBeGreaterThan(0.9);
  });
});

describe('many', () => {
  /** Collects an iteration. */
  async function all<T>(results: AsyncIterable<T>): Promise<T[]> {
    const found: T[] = [];
    for await (const result of results) found.push(result);
    return found;
  }

  test.each([
    [1, 1],
    [1, 3],
    [2, 2],
    [3, 1],
    [4, 4],
    [20, 2],
  ])(
    'batches of %i, %i decoded at a time: the same classes in the same order',
    async (batch, concurrency) => {
      const classify = await open();
      const expected = await Promise.all(pictures.map((picture) => classify(picture)));
      const found = await all(classify.many(pictures, { batch, concurrency }));
      expect(found.map(({ source }) => source)).toEqual(pictures);
      expect(found.map(({ classes }) => classes)).toEqual(expected);
    },
  );

  test('a picture that cannot be read has an error, and the others go on', async () => {
    const classify = await open();
    const sources = ['none.png', pictures[0]!, Uint8Array.of(1, 2), pictures[1]!, pictures[2]!, 'none.png'];
    for (const batch of [1, 2, 3]) {
      const found = await all(classify.many(sources, { batch, top: 1 }));
      expect(found.map(({ source }) => source)).toEqual(sources);
      expect(found.map(({ error }) => (error as { code?: string } | undefined)?.code)).toEqual([
        'ERR_SOURCE_NOT_FOUND',
        undefined,
        'ERR_FILE_FORMAT',
        undefined,
        undefined,
        'ERR_SOURCE_NOT_FOUND',
      ]);
      expect(found.map(({ classes }) => classes?.length)).toEqual([undefined, 1, undefined, 1, 1, undefined]);
    }
  });

  test('takes few pictures ahead of the reader, and ends the source when the reader leaves', async () => {
    const classify = await open();
    let [taken, ended, read] = [0, 0, 0];
    function* sources() {
      try {
        for (;;) {
          taken++;
          yield pictures[taken % 7]!;
        }
      } finally {
        ended++;
      }
    }
    for await (const { classes } of classify.many(sources(), { batch: 2, concurrency: 3 })) {
      expect(classes).toHaveLength(3);
      await new Promise((resolve) => setTimeout(resolve, 2));
      read++;
      // Two batches, and those that wait for their batch.
      expect(taken - read).toBeLessThanOrEqual(2 * 2 + 2 + 3);
      if (read === 20) break;
    }
    await vi.waitFor(() => expect(ended).toBe(1));
  });

  test('gives the first classes before the source has a second picture', async () => {
    const classify = await open();
    let release: (() => void) | undefined;
    async function* camera() {
      yield pictures[0]!;
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      yield pictures[1]!;
    }
    const results = classify.many(camera());
    expect((await results.next()).value.classes).toHaveLength(3);
    release!();
    expect((await results.next()).value.source).toBe(pictures[1]);
    expect((await results.next()).done).toBe(true);
  });

  test('an error of the source comes after the pictures before it', async () => {
    const classify = await open();
    async function* sources() {
      yield pictures[0]!;
      yield pictures[1]!;
      throw new Error('the camera is gone');
    }
    const found: unknown[] = [];
    await expect(
      (async () => {
        for await (const { classes } of classify.many(sources())) found.push(classes);
      })(),
    ).rejects.toThrow('the camera is gone');
    expect(found).toHaveLength(2);
  });

  test('a signal ends the wait for a source that gives nothing', async () => {
    const classify = await open();
    const stop = new AbortController();
    async function* silent() {
      yield pictures[0]!;
      await new Promise(() => undefined);
    }
    const reason = new Error('enough');
    const found: unknown[] = [];
    await expect(
      (async () => {
        for await (const { classes } of classify.many(silent(), { signal: stop.signal })) {
          found.push(classes);
          setTimeout(() => stop.abort(reason), 20);
        }
      })(),
    ).rejects.toBe(reason);
    expect(found).toHaveLength(1);
    await expect(all(classify.many(pictures, { signal: stop.signal }))).rejects.toBe(reason);
  });

  test('the network runs while the next picture is read', async () => {
    const classify = await open();
    const events: string[] = [];
    const site = await serve(({ url }, response) => {
      events.push(`asked ${url}`);
      setTimeout(() => response.end(encodePng(pictures[0]!)), 20);
    });
    const addresses = Array.from({ length: 4 }, (_, i) => `${site}/${i}`);
    for await (const { source } of classify.many(addresses))
      events.push(`got ${(source as string).slice(site.length)}`);
    expect(events.indexOf('asked /1')).toBeLessThan(events.indexOf('got /0'));
    expect(events.filter((event) => event.startsWith('got'))).toEqual(addresses.map((_, i) => `got /${i}`));
  });
});

describe('embedder', () => {
  const embedding = async (at?: string) => {
    const embed = await embedder(entry(), {
      weights,
      transform: preset,
      backend: 'reference',
      ...(at === undefined ? {} : { at }),
    });
    opened.push(embed);
    return embed;
  };

  test('gives the values before the head, from which the head makes the logits', async () => {
    const embed = await embedding();
    expect(embed.size).toBe(4);
    const features = await embed(pictures[2]!);
    const [matrix, bias] = [weights.get('fc.weight')!.data, weights.get('fc.bias')!.data];
    const logits = Array.from(bias, (value, c) =>
      features.reduce((sum, feature, i) => sum + feature * matrix[4 * c + i]!, value),
    );
    const expected = await logitsOf(pictures[2]!);
    for (const [c, logit] of logits.entries()) expect(logit).toBeCloseTo(expected[c]!, 5);
  });

  test('gives the output of a module, averaged over its pixels', async () => {
    const embed = await embedding('conv');
    await using session = await compile(build(), {
      weights,
      input: [1, 3, 12, 12],
      outputs: ['conv'],
      backend: 'reference',
    });
    const { data } = (await session.runAll(transform(pictures[2]!, preset))).get('conv')!;
    const features = await embed(pictures[2]!);
    expect(features).toHaveLength(4);
    for (const [c, value] of features.entries())
      expect(value).toBeCloseTo(
        data.subarray(25 * c, 25 * c + 25).reduce((sum, x) => sum + x / 25, 0),
        5,
      );
    const results: unknown[] = [];
    for await (const { features: row } of embed.many([pictures[2]!, pictures[3]!], { batch: 2 }))
      results.push(row);
    expect(results).toHaveLength(2);
    expect(results[0]).toEqual(features);
  });

  test.each<readonly [string, () => Promise<number>, number]>([
    ['resnet18', () => sizeOf(resnets.resnet18), 512],
    ['resnet18 at layer3', () => sizeOf(resnets.resnet18, 'layer3'), 256],
    ['mobilenet_v3_small', () => sizeOf(mobilenets.mobilenet_v3_small), 1024],
    ['lenet5', () => sizeOf(lenets.lenet5), 84],
    // The head is a convolution, whose outputs are averaged.
    ['nin', () => sizeOf(nins.nin), 1000],
  ])('the features of %s', async (_, size, expected) => {
    expect(await size()).toBe(expected);
  });

  /** Number of features of a network with random weights on small pictures. */
  async function sizeOf<Options extends object>(from: ModelEntry<Options>, at?: string): Promise<number> {
    const [, , side] = from.input as readonly [number, number, number];
    const crop = Math.min(side, Math.max(from.minimum, 64));
    await using embed = await embedder(from, {
      weights: initialise(from.build(), { seed: 1 }),
      transform: { resize: crop, crop },
      threads: 1,
      backend: 'wasm',
      ...(at === undefined ? {} : { at }),
    });
    expect(await embed(pictures[0]!)).toHaveLength(embed.size);
    return embed.size;
  }

  test('networks without a head, and modules that are not there, are sentences', async () => {
    await expect(embedding('layer9')).rejects.toMatchObject({
      code: 'ERR_NO_FEATURES',
      message: "tiny has no module at 'layer9' to take features of; there are conv, fc.",
    });
    const headless = { ...entry(), build: () => named({ flatten, softmax }) };
    await expect(embedder(headless, { weights: new Map(), backend: 'reference' })).rejects.toMatchObject({
      code: 'ERR_NO_FEATURES',
      message: expect.stringContaining('Name a module with the option at.'),
    });
  });
});

const data = realData();

describe.skipIf(!data)('real photos (skipped where the data is absent)', () => {
  test("a checkpoint of MobileNetV1 gives PyTorch's classes", { timeout: 120_000 }, async () => {
    const { results } = JSON.parse(
      readFileSync(join(data!, 'expected/mobilenetv1_025_photos.json'), 'utf8'),
    ) as {
      results: readonly {
        readonly file: string;
        readonly top5: readonly { readonly index: number; readonly prob: number }[];
      }[];
    };
    const chosen = results.slice(0, 30);
    await using classify = await classifier(mobilenets.mobilenet_v1, {
      weights: await readWeights(join(data!, 'checkpoints/mobilenetv1_025_imagenet.tar'), {
        rename: renames.stages,
      }),
      build: { width: 0.25, activation: leakyRelu(0.1) },
      orientation: 'stored',
    });
    const files = chosen.map(({ file }) => join(data!, file));
    let at = 0;
    for await (const { classes } of classify.many(files, { batch: 4 })) {
      const { top5 } = chosen[at++]!;
      expect(classes!.map(({ index }) => index)).toEqual(top5.map(({ index }) => index));
      for (const [i, { probability, label, index, wnid }] of classes!.entries()) {
        expect(probability).toBeCloseTo(top5[i]!.prob, 4);
        expect([label, wnid]).toEqual([imagenetLabels[index], imagenetWnids[index]]);
      }
    }
    expect(at).toBe(30);
  });
});
