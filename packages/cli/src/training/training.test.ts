/** Tests training on the command line: results, interrupts, resumed runs, and errors. */
import {
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { initialise, parameters, tensor, writeSafetensors } from '@cnn/core';
import { readSafetensors } from '@cnn/core/io';
import { encodePng } from '@cnn/image';
import { lenet5 } from '@cnn/lenet';
import { realData } from '@cnn/testing';
import colours from 'picocolors';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { writeFolder, writeMnist } from '../../test/datasets.js';
import { words } from '../../test/words.js';
import { run } from '../program.js';
import { curves } from './chart.js';
import { classWeightsFor } from './classWeights.js';

const root = mkdtempSync(join(tmpdir(), 'cnn-training-'));
const at = (...path: string[]) => join(root, ...path);
afterAll(() => rmSync(root, { recursive: true }));

/** Runs a command line; `watch` gets every line when it is printed, and every line of progress. */
async function cnn(
  args: readonly string[],
  { signal, watch }: { signal?: AbortSignal; watch?: (line: string) => void } = {},
) {
  const [out, notes]: [string[], string[]] = [[], []];
  const into = (lines: string[]) => (line: string) => {
    lines.push(line);
    watch?.(line);
  };
  const code = await run(
    args,
    {
      print: into(out),
      note: into(notes),
      live: false,
      progress: (line) => watch?.(line),
      colours: colours.createColors(false),
    },
    signal,
  );
  return { code, out: out.join('\n'), notes: notes.join('\n') };
}

const mnist = at('mnist');
const digits = at('digits');
beforeAll(() => {
  writeMnist(mnist, 'train', 60);
  writeMnist(mnist, 't10k', 20);
  writeFolder(digits, { one: 1, seven: 7, zero: 0 }, 6);
});

const training = (out: string, ...more: string[]) => [
  ...words`
    train lenet5 --data ${mnist} --epochs 3 --batch 10 --lr 0.003
    --ema 0.9 --clip 1 --label-smoothing 0.1 --class-weights balanced
    --out ${at(out)} --seed 4
  `,
  ...more,
];

describe('train', () => {
  beforeAll(async () => {
    const { code, out } = await cnn(training('whole'));
    expect(code).toBe(0);
    expect(out).toMatch(/epoch 3\/3 {2}loss \d\.\d{4} {2}accuracy .* evaluation loss/);
    expect(out).toContain(`cnn classify <picture> --weights ${at('whole', 'model.safetensors')}`);
  });

  test('continues no checkpoint of another run, whose settings it names', async () => {
    const line = (out: string) => words`train lenet5 --data ${mnist} --batch 30 --out ${at(out)}`;
    expect((await cnn([...line('own'), '--epochs', '1'])).code).toBe(0);
    expect((await cnn([...line('foreign'), '--epochs', '1', '--seed', '5', '--lr', '0.1'])).code).toBe(0);
    copyFileSync(at('foreign', 'checkpoint.safetensors'), at('own', 'checkpoint.safetensors'));
    const { code, notes } = await cnn([...line('own'), '--epochs', '2', '--resume']);
    expect(code).toBe(2);
    expect(notes).toMatch(
      /own.checkpoint\.safetensors is the checkpoint of another run\. .*seed was 5 and is 0; lr was 0\.1 and is 0\.001/,
    );
    const { weights, metadata } = readSafetensors(readFileSync(at('foreign', 'checkpoint.safetensors')));
    const { description: _, ...undescribed } = metadata;
    writeFileSync(at('own', 'checkpoint.safetensors'), writeSafetensors(weights, undescribed));
    expect((await cnn([...line('own'), '--epochs', '2', '--resume'])).notes).toContain(
      'does not say of which run it is',
    );
  });

  test('leaves weights, a report and curves', () => {
    const page = readFileSync(at('whole', 'report.html'), 'utf8');
    expect(page).toContain('<h1>lenet5 on MNIST</h1>');
    expect(page).toContain('class="confusion"');
    const svg = readFileSync(at('whole', 'curves.svg'), 'utf8');
    expect(svg.match(/<circle/g)?.length).toBe(3 * 4);
    expect(svg).not.toContain('NaN');
  });

  test('an interrupted and resumed run ends with the same weights, bit for bit', async () => {
    const interrupted = new AbortController();
    const first = await cnn(training('parts'), {
      signal: interrupted.signal,
      watch: (line) => line.startsWith('epoch 1/3') && interrupted.abort(),
    });
    expect(first.code).toBe(130);
    expect(first.notes).toMatch(/Stopped after 6 steps, in epoch 2; .*\n {2}cnn train lenet5 .* --resume/);
    // The weights of the first epoch are usable.
    const soFar = ['evaluate', '--weights', at('parts', 'model.safetensors'), '--data', mnist];
    expect((await cnn(soFar)).out).toMatch(/^lenet5, on wasm \(\d+ threads?\): top-1 /);
    const state = await cnn(soFar.map((word) => word.replace('model.', 'checkpoint.')));
    expect([state.code, state.notes]).toEqual([2, expect.stringMatching(/weights are in model.safetensors/)]);
    const second = await cnn(training('parts', '--resume', '--json'));
    expect(second.code).toBe(0);
    const result = JSON.parse(second.out) as { history: unknown[]; evaluation: { count: number } };
    expect([result.history.length, result.evaluation.count]).toEqual([3, 20]);
    expect(readFileSync(at('parts', 'model.safetensors'))).toEqual(
      readFileSync(at('whole', 'model.safetensors')),
    );
  });

  test('an interrupt ends the decoding of pictures, and no run is begun', async () => {
    const photo = at('photo.png');
    writeFileSync(photo, encodePng({ width: 1000, height: 1000, data: new Uint8Array(3e6) }));
    mkdirSync(at('photos', 'one'), { recursive: true });
    // Without the interrupt they take a minute.
    for (let index = 0; index < 3000; index++) linkSync(photo, at('photos', 'one', `${index}.png`));
    const interrupted = new AbortController();
    const { code, out, notes } = await cnn(words`train lenet5 --data ${at('photos')} --out ${at('none')}`, {
      signal: interrupted.signal,
      watch: (line) => line.startsWith('pictures of photos') && interrupted.abort(),
    });
    expect([code, out, notes]).toEqual([130, '', 'Interrupted.']);
    expect(existsSync(at('none'))).toBe(false);
  });

  test.each([
    [training('whole'), /already holds a run. Add --resume/],
    [training('none', '--resume'), /There is no run to continue/],
    [training('whole', '--resume', '--lr', '0.1'), /lr was 0.003 and is 0.1/],
    [
      training('whole', '--resume').map((word) => (word === 'lenet5' ? 'lenet5_classic' : word)),
      /model was lenet5 and is lenet5_classic/,
    ],
    [training('x', '--lr', 'fast'), /--lr <rate>' argument 'fast' is invalid. Give a number from 0 up/],
    [training('whole', '--resume', '--ema', '0.99'), /ema was 0.9 and is 0.99/],
    [training('whole', '--resume', '--clip', '9'), /clip was 1 and is 9/],
    [training('x', '--size', '64'), /lenet5 does not accept --size 64 \(.*400.*\)\. The default is 32/],
    [training('x', '--ema', '1'), /Give a number above 0 and below 1/],
    [training('x', '--clip', '0'), /Give a number above 0/],
    [training('x', '--label-smoothing', '1.5'), /Give a number from 0 to 1/],
    [training('x', '--class-weights', '1,-2'), /Give balanced, weights by name .*; '-2' is none of them/],
    [training('x', '--class-weights', '1,7=2'), /Give either all weights by name, or a number for each/],
    [training('x', '--class-weights', '7=2,seven=2'), /names 'seven', but the classes are 0, 1, 2/],
    [training('x', '--class-weights', '1,2'), /gives 2 numbers for 10 classes/],
    [training('x', '--option', 'numClasses=5'), /number of classes follows from the data/],
    [training('x', '--optimizer', 'sgb'), /Allowed choices are sgd, adam, adamW, rmsprop/],
  ])('%j is a usage error', async (args, message) => {
    const { code, notes } = await cnn(args);
    expect(notes).toMatch(message);
    expect(code).toBe(2);
  });

  test.runIf(process.platform === 'linux')('a folder that the system does not allow is named', async () => {
    const { code, notes } = await cnn([...training('x'), '--out', '/proc/none/x']);
    expect(notes.split('\n').at(-1)).toBe(
      'cnn: Cannot make the folder /proc/none/x: the system allows no new folders there. Give another path.',
    );
    expect(code).toBe(1);
  });

  test('a file where the folder of the run should be is named', async () => {
    writeFileSync(at('file'), '');
    const { code, notes } = await cnn(training('file'));
    expect(notes).toMatch(/^cnn: Cannot make the folder .*file: a file of that name exists\. Give/m);
    expect(code).toBe(1);
  });

  test('a loss that is not finite ends the run, naming step, layer and remedy', async () => {
    const { code, notes } = await cnn(training('nan', '--optimizer', 'sgd', '--lr', '1e38'));
    expect(code).toBe(1);
    expect(notes).toMatch(/The loss of step \d+ is .*first appeared in .*Lower the learning rate/s);
  });

  test.each<[fault: string, change: (settings: Record<string, unknown>) => unknown, message: string]>([
    ['no JSON', () => '{', 'it is not JSON'],
    ['null', () => null, 'it is no object'],
    ['a list', () => [1], 'it is no object'],
    ['an unknown setting', (all) => ({ ...all, 'x\n': 1 }), "it has 'x\\n', which is no setting"],
    ['a missing setting', ({ lr: _, ...all }) => all, "its 'lr' is missing, and must be a number"],
    [
      'a text for a number',
      (all) => ({ ...all, batch: '10' }),
      'its \'batch\' is "10", and must be a number',
    ],
    [
      'a number for a list',
      (all) => ({ ...all, options: 5 }),
      "its 'options' is 5, and must be a list of texts",
    ],
    [
      'an unknown optimizer',
      (all) => ({ ...all, optimizer: 'sgb' }),
      'its \'optimizer\' is "sgb", and must be one of sgd, adam, adamW, rmsprop',
    ],
    [
      'no number for --ema',
      (all) => ({ ...all, ema: null }),
      "its 'ema' is null, and must be a number, or left out",
    ],
    [
      'no pictures',
      ({ pictures: _, ...all }) => all,
      "its 'pictures' are not the classes and files of the data",
    ],
    ['pictures 5', (all) => ({ ...all, pictures: 5 }), "its 'pictures' are not"],
    ['pictures without parts', (all) => ({ ...all, pictures: { classes: [] } }), "its 'pictures' are not"],
    [
      'pictures with an empty part',
      (all) => ({ ...all, pictures: { classes: ['0'], parts: { train: null } } }),
      "its 'pictures' are not",
    ],
    [
      'pictures without counts',
      (all) => ({ ...all, pictures: { classes: ['0'], parts: { train: { pictures: ['6'], labels: '' } } } }),
      "its 'pictures' are not",
    ],
  ])('settings of a run with %s are refused', async (_, change, message) => {
    mkdirSync(at('unset'), { recursive: true });
    const stored = JSON.parse(readFileSync(at('whole', 'run.json'), 'utf8')) as Record<string, unknown>;
    const changed = change(stored);
    writeFileSync(at('unset', 'checkpoint.safetensors'), '');
    writeFileSync(at('unset', 'run.json'), typeof changed === 'string' ? changed : JSON.stringify(changed));
    const { code, notes } = await cnn(training('unset', '--resume'));
    expect(notes).toContain(
      `${at('unset', 'run.json')} does not hold the settings of a run, without which it cannot continue: ${message}`,
    );
    expect(notes).toContain('Put back a copy of it, or begin again with another --out.');
    expect(code).toBe(2);
  });

  test('Ctrl-C while a divergence is reported leaves the checkpoint as it was', async () => {
    const args = (...more: string[]) => training('diverged', '--schedule', 'constant', ...more);
    expect((await cnn(args('--epochs', '1'))).code).toBe(0);
    const checkpoint = at('diverged', 'checkpoint.safetensors');
    const { weights, metadata } = readSafetensors(readFileSync(checkpoint));
    weights.get('conv1.weight')!.data[0] = Number.NaN;
    writeFileSync(checkpoint, writeSafetensors(weights, metadata));
    const before = readFileSync(checkpoint);
    const interrupted = new AbortController();
    const { code, notes } = await cnn(args('--resume', '--epochs', '2'), {
      signal: interrupted.signal,
      watch: (line) => line.startsWith('The last good state') && interrupted.abort(),
    });
    // The command failed by itself, so its error is shown.
    expect([code, notes]).toEqual([
      1,
      expect.stringMatching(/The last good state, after 6 steps, is in .*\ncnn: The loss of step 7 is NaN/),
    ]);
    expect(readFileSync(checkpoint).equals(before)).toBe(true);
  });

  test('a batch larger than the training set is noted', async () => {
    const { code, notes } = await cnn(training('few', '--epochs', '1', '--batch', '64'));
    expect(notes).toMatch(/^A step has 60 pictures, all that there are for training, instead of 64\.$/m);
    expect(code).toBe(0);
  });

  test('a label without a class is named', async () => {
    writeMnist(at('odd'), 'train', 20, (index) => (index === 7 ? 11 : 0));
    const { code, notes } = await cnn(['train', 'lenet5', '--data', at('odd'), '--out', at('x')]);
    expect(notes).toMatch(/label of example 7 is 11; there are 10 classes/);
    expect(code).toBe(1);
  });
});

test('an evaluation loss of NaN has no place in the curves, and no effect on them', () => {
  const record = (epoch: number, loss: number, evaluated: number) => ({
    epoch,
    loss,
    accuracy: 0.5,
    learningRate: 1,
    validation: { loss: evaluated, accuracy: 0.5 },
  });
  const svg = curves([record(1, 2, Number.NaN), record(2, 1, 3), record(3, 1, Infinity)]);
  expect(svg).not.toMatch(/NaN|undefined|Infinity/);
  // Three points of the training loss, one of the evaluation, three of each accuracy.
  expect(svg.match(/<circle/g)?.length).toBe(3 + 1 + 6);
  expect(curves([record(1, Number.NaN, Number.NaN)])).not.toMatch(/NaN|undefined|Infinity/);
});

describe('the effect of an option on a run of one step', () => {
  /** Trains one step on all 60 pictures without augmentation, and gives loss, weights and state. */
  async function oneStep(name: string, ...options: string[]) {
    const { code, out, notes } = await cnn([
      ...words`
        train lenet5 --data ${mnist} --epochs 1 --batch 60 --augment none
        --optimizer sgd --lr 0.1 --weight-decay 0 --out ${at(name)} --json
      `,
      ...options,
    ]);
    expect([code, notes.includes('Stopped')]).toEqual([0, false]);
    const { history } = JSON.parse(out) as { history: { loss: number }[] };
    const read = (file: string) => readSafetensors(readFileSync(at(name, file))).weights;
    return {
      loss: history[0]!.loss,
      weights: read('model.safetensors'),
      state: read('checkpoint.safetensors'),
    };
  }
  const start = initialise(lenet5(), { seed: 0 });
  const trained = [...parameters(lenet5())].flatMap(([name, { trainable }]) => (trainable ? [name] : []));

  test('--label-smoothing interpolates the loss between the target and all classes', async () => {
    const { loss: none } = await oneStep('smooth-none');
    const { loss: half } = await oneStep('smooth-half', '--label-smoothing', '0.5');
    const { loss: all } = await oneStep('smooth-all', '--label-smoothing', '1');
    expect(Math.abs(all - none)).toBeGreaterThan(1e-3);
    expect(half).toBeCloseTo((none + all) / 2, 5);
  });

  test('--class-weights: the loss is the weighted mean over the classes', async () => {
    const { loss: plain } = await oneStep('weights-none');
    // There are six pictures of each digit, so half of the classes is half of the loss.
    const { loss: low } = await oneStep('weights-low', '--class-weights', '1,1,1,1,1,0,0,0,0,0');
    const { loss: high } = await oneStep('weights-high', '--class-weights', '0=0,1=0,2=0,3=0,4=0');
    expect(Math.abs(low - high)).toBeGreaterThan(1e-3);
    expect(plain).toBeCloseTo((low + high) / 2, 5);
    expect((await oneStep('weights-balanced', '--class-weights', 'balanced')).loss).toBeCloseTo(plain, 6);
  });

  test('--clip: the step of all weights together has the norm of rate times clip', async () => {
    const { weights } = await oneStep('clipped', '--clip', '0.01');
    let squares = 0;
    for (const name of trained)
      for (const [index, value] of weights.get(name)!.data.entries())
        squares += (value - start.get(name)!.data[index]!) ** 2;
    expect(Math.sqrt(squares)).toBeCloseTo(0.1 * 0.01, 6);
  });

  test('--ema: the average is written, and training continues without it', async () => {
    const { state: plain } = await oneStep('ema-none');
    const { weights, state } = await oneStep('ema', '--ema', '0.75');
    for (const name of trained) {
      expect(state.get(name)).toEqual(plain.get(name));
      for (const [index, value] of weights.get(name)!.data.entries())
        expect(value).toBeCloseTo(
          // The first update of a warmed-up average has the decay 1 / 10.
          0.1 * start.get(name)!.data[index]! + 0.9 * plain.get(name)!.data[index]!,
          6,
        );
    }
  });
});

test('balanced class weights make rare classes count as much as common ones', () => {
  const labels = [0, 0, 0, 1];
  expect(classWeightsFor('balanced', ['common', 'rare', 'absent'], labels)).toEqual([4 / 9, 4 / 3, 0]);
  expect(classWeightsFor('rare=3', ['common', 'rare'], labels)).toEqual([1, 3]);
  expect(() => classWeightsFor('x=3', ['com\nmon', 'rare'], labels)).toThrow(
    'the classes are com\\nmon, rare',
  );
});

test('export uses the size, channels and classes of the training', async () => {
  const training = words`train resnet20 --data ${digits} --size 16 --epochs 1 --batch 5 --out ${at('small')}`;
  expect((await cnn(training)).code).toBe(0);
  const weights = at('small', 'model.safetensors');
  const exported = await cnn(['export', '--weights', weights, '--out', at('small.onnx'), '--json']);
  expect(JSON.parse(exported.out)).toMatchObject({
    model: 'resnet20',
    input: [1, 3, 16, 16],
    output: [1, 3],
    classes: ['one', 'seven', 'zero'],
    transform: { crop: 16 },
  });
  expect(existsSync(at('small.onnx'))).toBe(true);
});

describe('finetune', () => {
  const tuning = (data: string, out: string, ...more: string[]) => [
    ...words`
      finetune lenet5 --weights ${at('whole', 'model.safetensors')} --data ${data}
      --epochs 8 --batch 6 --lr 0.02 --out ${at(out)}
    `,
    ...more,
  ];

  test('gives a model that knows its classes, and evaluate and classify know them too', async () => {
    const tuned = await cnn(tuning(digits, 'tuned', '--json'));
    expect(tuned.notes).toContain('epoch 8/8');
    const { classes, evaluation } = JSON.parse(tuned.out) as {
      classes: string[];
      evaluation: { count: number; confusion: number[][] };
    };
    expect([classes, evaluation.count]).toEqual([['one', 'seven', 'zero'], 3]);

    const weights = at('tuned', 'model.safetensors');
    const evaluated = await cnn(['evaluate', '--weights', weights, '--data', digits, '--html', at('e.html')]);
    expect([evaluated.code, evaluated.notes]).toEqual([
      0,
      `Evaluating on 18 pictures of ${digits} in 3 classes (one 6, seven 6, zero 6).`,
    ]);
    expect(evaluated.out).toMatch(/lenet5, on wasm \(\d+ threads?\): top-1 \d+\.\d\d %.* on 18 pictures/);
    expect(evaluated.out).toMatch(/one +seven +zero\none /);
    expect(readFileSync(at('e.html'), 'utf8')).toContain('<th>seven</th>');

    const classified = await cnn(['classify', join(digits, 'zero', '0.png'), '--weights', weights, '--json']);
    const { results } = JSON.parse(classified.out) as { results: { top: { label: string }[] }[] };
    expect(results[0]!.top.map(({ label }) => label).sort()).toEqual(['one', 'seven', 'zero']);
    const other = await cnn(['classify', 'x.png', '--model', 'resnet18', '--weights', weights]);
    expect(other.notes).toMatch(/are for lenet5, not for resnet18/);
  });

  test('trains all layers without --freeze, with another rate for the trunk', async () => {
    const args = tuning(digits, 'free', '--freeze', 'none', '--trunk-lr', '0');
    const { code } = await cnn([...args, '--epochs', '1']);
    expect(code).toBe(0);
    const classic = tuning(digits, 'x').map((word) => (word === 'lenet5' ? 'lenet5_classic' : word));
    expect((await cnn(classic)).notes).toMatch(/are for lenet5, not for lenet5_classic/);
    writeFileSync(at('other.safetensors'), writeSafetensors(new Map([['fc.weight', tensor([1], [1])]])));
    const misfit = await cnn(['finetune', 'lenet5', '--weights', at('other.safetensors'), '--data', digits]);
    expect(misfit.notes).toMatch(/The weights do not fit lenet5\. No name matches.*conv1.weight/s);
    const unknown = await cnn(tuning(digits, 'x', '--freeze', 'conv9'));
    expect(unknown.notes).toMatch(/'freeze' names 'conv9', but no parameter has a path that starts with it/);
  });

  test('the number of classes of the initial weights is not written', async () => {
    const plain = readSafetensors(readFileSync(at('whole', 'model.safetensors'))).weights;
    writeFileSync(at('plain.safetensors'), writeSafetensors(plain));
    const args = tuning(digits, 'three', '--option', 'numClasses=10', '--epochs', '1');
    expect((await cnn(args.map((word) => word.replace(at('whole', 'model'), at('plain'))))).code).toBe(0);
    const evaluated = await cnn(
      words`evaluate --weights ${at('three', 'model.safetensors')} --data ${digits}`,
    );
    expect(evaluated.out).toMatch(/one +seven +zero\none /);
  });

  test('reports the problems of a folder', async () => {
    writeFolder(at('broken'), { one: 1, two: 2 }, 3);
    writeFileSync(at('broken', 'two', '1.png'), 'no picture');
    const failed = await cnn(tuning(at('broken'), 'x'));
    expect(failed.notes).toContain(`${at('broken', 'two', '1.png')}: Not a readable picture file`);
    expect(failed.code).toBe(1);
    const skipped = await cnn(tuning(at('broken'), 'skipped', '--on-bad-image', 'skip', '--epochs', '1'));
    expect(skipped.notes).toMatch(/1 picture could not be read and is left out:\n.*two.1\.png/);
    expect(skipped.code).toBe(0);

    writeMnist(at('half'), 't10k', 10);
    rmSync(at('half', 't10k-labels-idx1-ubyte'));
    expect((await cnn(tuning(at('half'), 'x'))).notes).toMatch(/but not the labels that belong to it/);
  });
});

const data = realData();
test.skipIf(!data)(
  'fine-tunes a real checkpoint on real photos (skipped where the data is absent)',
  { timeout: 120_000 },
  async () => {
    const { code, out } = await cnn(words`
      finetune mobilenet_v1 --data ${data!}/cifar10/jpeg --json
      --weights ${data!}/checkpoints/mobilenetv1_025_imagenet.tar --lr 0.01
      --option width=0.25 --option activation=leakyRelu:0.1
      --size 128 --epochs 12 --batch 20 --out ${at('real')}
    `);
    expect(code).toBe(0);
    const { evaluation, classes } = JSON.parse(out) as {
      evaluation: { count: number; accuracy: number };
      classes: string[];
    };
    expect([evaluation.count, classes.length]).toEqual([20, 10]);
    // Measured: eight of twenty. Chance would give two.
    expect(evaluation.accuracy).toBeGreaterThan(0.3);
  },
);

test('of several files for the same pictures of MNIST, equal copies are read and others refused', async () => {
  writeMnist(at('copies'), 'train', 10);
  const images = at('copies', 'train-images-idx3-ubyte');
  const bytes = readFileSync(images);
  const args = (out: string) =>
    words`train lenet5 --data ${at('copies')} --epochs 1 --batch 10 --out ${at(out)}`;
  // torchvision leaves both forms of each file.
  writeFileSync(`${images}.gz`, gzipSync(bytes));
  expect((await cnn(args('copy'))).code).toBe(0);
  writeFileSync(`${images}.gz`, gzipSync(bytes.fill(9, 16)));
  const refused = await cnn(args('other'));
  expect(refused.code).toBe(2);
  expect(refused.notes).toContain(
    'has the files train-images-idx3-ubyte and train-images-idx3-ubyte.gz, which hold different data',
  );
});
