/** Tests the folders that training and evaluation read: parts, links, what is left out, and changes between runs. */
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { initialise, writeSafetensors } from '@cnn/core';
import { readSafetensors } from '@cnn/core/io';
import { lenet5 } from '@cnn/lenet';
import { mobilenetV1 } from '@cnn/mobilenet';
import { resnet20 } from '@cnn/resnet';
import { realData } from '@cnn/testing';
import colours from 'picocolors';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { writeFolder, writeMnist } from '../../test/datasets.js';
import { words } from '../../test/words.js';
import { run } from '../program.js';
import { lockFolder } from './lock.js';

const root = mkdtempSync(join(tmpdir(), 'cnn-folders-'));
const at = (...path: string[]) => join(root, ...path);
afterAll(() => rmSync(root, { recursive: true }));

async function cnn(args: readonly string[]) {
  const [out, notes]: [string[], string[]] = [[], []];
  const code = await run(args, {
    print: (line) => out.push(line),
    note: (line) => notes.push(line),
    live: false,
    progress: () => undefined,
    colours: colours.createColors(false),
  });
  return { code, out: out.join('\n'), notes: notes.join('\n') };
}

const train = (data: string, out: string, ...more: string[]) =>
  cnn([...words`train lenet5 --data ${data} --epochs 1 --batch 4 --out ${at('runs', out)}`, ...more]);
const resultOf = ({ out }: { out: string }) =>
  JSON.parse(out) as {
    evaluation?: { count: number };
    test?: { count: number };
    classes: string[];
    steps: number;
    leftOut: { path: string; reason: string }[];
  };

const two = { one: 1, two: 2 };

describe('parts of a folder', () => {
  beforeAll(() => {
    writeFolder(at('parts', 'Train'), two, 4);
    writeFolder(at('parts', 'valid'), two, 2);
    writeFolder(at('parts', 'test'), two, 3);
    mkdirSync(at('parts', 'notes'));
  });

  test('valid judges every epoch, and test only the final weights', async () => {
    const made = await train(at('parts'), 'parts', '--json', '--patience', '1');
    expect(made.code).toBe(0);
    expect(resultOf(made)).toMatchObject({ steps: 2, evaluation: { count: 4 }, test: { count: 6 } });
    expect(made.notes).toContain(
      `Training on 8 pictures of ${at('parts', 'Train')} in 2 classes (one 4, two 4)`,
    );
    expect(made.notes).toContain(`Evaluating after each epoch on 4 pictures of ${at('parts', 'valid')}`);
    expect(made.notes).toContain(`Evaluating at the end on 6 pictures of ${at('parts', 'test')}`);
    expect(made.notes).toContain('1 x folder beside Train and test and valid: notes');
    expect(made.notes).not.toContain('also choose');
    expect(readFileSync(at('runs', 'parts', 'report.html'), 'utf8')).toContain('on 6 pictures');
  });

  test('evaluate reads only its part', async () => {
    await train(at('parts'), 'for-evaluate');
    const weights = at('runs', 'for-evaluate', 'model.safetensors');
    cpSync(at('parts'), at('spoilt'), { recursive: true });
    writeFileSync(at('spoilt', 'Train', 'one', '0.png'), 'no picture');
    const evaluate = (...more: string[]) =>
      cnn([...words`evaluate --weights ${weights} --data ${at('spoilt')}`, ...more]);
    const tested = await evaluate();
    expect([tested.code, tested.out]).toEqual([0, expect.stringMatching(/on 6 pictures/)]);
    expect(tested.notes).toContain('the test part (--part reads');
    expect((await evaluate('--part', 'validation')).out).toMatch(/on 4 pictures/);
    expect((await evaluate('--part', 'train')).code).toBe(1);
    writeFolder(at('single', 'train'), two, 1);
    const none = await cnn(words`evaluate --weights ${weights} --data ${at('single')} --part test`);
    expect([none.code, none.notes]).toEqual([2, expect.stringMatching(/no test part; it has train/)]);
  });
});

describe('the folder of a run', () => {
  test('a damaged checkpoint is named, with the cure', async () => {
    writeFolder(at('resumed'), two, 5);
    expect((await train(at('resumed'), 'resumed')).code).toBe(0);
    writeFileSync(at('runs', 'resumed', 'checkpoint.safetensors'), 'damaged');
    const { code, notes } = await train(at('resumed'), 'resumed', '--resume', '--epochs', '2');
    expect(code).toBe(1);
    expect(notes).toMatch(
      /The checkpoint .*checkpoint\.safetensors cannot be read: .*finetune --weights .*model/,
    );
  });

  test.skipIf(process.platform === 'win32')('a link to nothing is named', async () => {
    writeFolder(at('linked'), two, 5);
    symlinkSync(at('nowhere'), at('runs', 'dangling'));
    const { code, notes } = await train(at('linked'), 'dangling');
    expect(code).toBe(1);
    expect(notes).toContain(
      `dangling: it is a link to ${at('nowhere')}, which does not exist. Make that folder`,
    );
  });
});

describe('pictures', () => {
  test('that cannot be read end the command before it makes a folder', async () => {
    writeFolder(at('damaged'), two, 6);
    for (const name of ['1', '2']) writeFileSync(at('damaged', 'two', `${name}.png`), 'no picture');
    const { code, notes } = await train(at('damaged'), 'damaged');
    expect([code, notes]).toEqual([1, expect.stringContaining('2 of 12 pictures cannot be read.')]);
    expect(existsSync(at('runs', 'damaged'))).toBe(false);
  });

  test('--patience without pictures to evaluate on is refused', async () => {
    writeFolder(at('lonely'), two, 1);
    const patient = await train(at('lonely'), 'lonely', '--validation', '0', '--patience', '2');
    expect([patient.code, patient.notes]).toEqual([2, expect.stringMatching(/--patience watches/)]);
    expect((await train(at('lonely'), 'lonely', '--validation', '0')).code).toBe(0);
  });

  test('that fill no batch are said', async () => {
    writeFolder(at('class'), { one: 1 }, 12);
    const { code, notes } = await train(at('class'), 'class');
    expect(code).toBe(0);
    expect(notes).toContain('Each epoch leaves out 2 of 10 pictures');
  });

  test('of at most 64 pixels are shifted, from a folder as from files of MNIST', async () => {
    writeMnist(at('mnist'), 'train', 20);
    writeFolder(at('small'), two, 10);
    const words = 'Augmentation: shifts by at most 2 pixels (the pictures have at most 64 a side).';
    expect((await train(at('mnist'), 'shift-mnist')).notes).toContain(words);
    expect((await train(at('small'), 'shift-folder')).notes).toContain(words);
  });
});

describe('a continued run', () => {
  const args = (more: string[] = []) => [
    ...words`train lenet5 --data ${at('changing')} --epochs 2 --batch 4 --out ${at('runs', 'changing')}`,
    ...more,
  ];
  beforeAll(async () => {
    writeFolder(at('changing'), { a: 1, b: 2, c: 3 }, 5);
    expect((await cnn(args())).code).toBe(0);
  });
  const more = ['--resume', '--epochs', '3'];

  test('continues on the same pictures', async () => {
    expect((await cnn(args(more))).code).toBe(0);
  });

  test('is refused when a class was renamed, pictures were added, or files renamed', async () => {
    renameSync(at('changing', 'a'), at('changing', 'd'));
    const renamed = await cnn(args(more));
    expect(renamed.code).toBe(2);
    expect(renamed.notes).toMatch(
      /the class a is gone; the class d is new.*Restore them, or start a new run/,
    );
    renameSync(at('changing', 'd'), at('changing', 'a'));
    cpSync(at('changing', 'b', '0.png'), at('changing', 'b', 'x.png'));
    expect((await cnn(args(more))).notes).toContain('b had 5 train pictures and has 6');
    rmSync(at('changing', 'b', '0.png'));
    expect((await cnn(args(more))).notes).toContain('files of b in the train part were renamed or exchanged');
    renameSync(at('changing', 'b', 'x.png'), at('changing', 'b', '0.png'));
    expect(readdirSync(at('runs', 'changing'))).not.toContain('run.lock');
  });

  test('is refused when files of equal names were exchanged between classes, or replaced', async () => {
    const [a, c, aside] = [at('changing', 'a', '1.png'), at('changing', 'c', '1.png'), at('aside.png')];
    const exchange = () => {
      renameSync(a, aside);
      renameSync(c, a);
      renameSync(aside, c);
    };
    exchange();
    const { code, notes } = await cnn(args(more));
    expect([code, notes]).toEqual([
      2,
      expect.stringContaining(
        'files of a in the train part have other sizes; files of c in the train part have other sizes. Restore them',
      ),
    ]);
    exchange();
    const old = readFileSync(a);
    // Bytes after the end of a PNG are no part of the picture.
    writeFileSync(a, Buffer.concat([old, Buffer.alloc(1)]));
    expect((await cnn(args(more))).notes).toContain('files of a in the train part have other sizes. Restore');
    writeFileSync(a, old);
    expect((await cnn(args('--resume --epochs 4'.split(' ')))).code).toBe(0);
  });
});

describe('the lock of a run', () => {
  test('keeps a second run out, and is gone afterwards', async () => {
    writeFolder(at('locked'), two, 3);
    const out = at('runs', 'locked');
    {
      await using lock = await lockFolder(out);
      expect(lock).toBeDefined();
      const { code, notes } = await train(at('locked'), 'locked');
      expect(code).toBe(2);
      expect(notes).toMatch(
        /Another run is writing into .*locked \(process \d+ on .*\). Give another folder/,
      );
    }
    expect(existsSync(out)).toBe(false);
    expect((await train(at('locked'), 'locked')).code).toBe(0);
  });

  test('two runs at once: one is refused', async () => {
    writeFolder(at('both'), two, 3);
    const both = await Promise.all([train(at('both'), 'both'), train(at('both'), 'both')]);
    expect(both.map(({ code }) => code).sort()).toEqual([0, 2]);
  });

  test('of a process that has ended is taken over, and one of another machine is not', async () => {
    mkdirSync(at('runs', 'stale'), { recursive: true });
    const lock = at('runs', 'stale', 'run.lock');
    // No system has process numbers of this size.
    writeFileSync(lock, JSON.stringify({ pid: 2 ** 30, host: hostname() }));
    expect((await train(at('locked'), 'stale')).code).toBe(0);
    writeFileSync(lock, JSON.stringify({ pid: 1, host: 'elsewhere.invalid' }));
    const refused = await train(at('locked'), 'stale', '--resume', '--epochs', '2');
    expect([refused.code, refused.notes]).toEqual([2, expect.stringContaining(`remove ${lock}`)]);
  });
});

describe('weights that do not name their classes', () => {
  const weights = at('plain.safetensors');
  beforeAll(() => {
    writeFileSync(weights, writeSafetensors(initialise(lenet5({ numClasses: 4 }), { seed: 1 })));
    writeFolder(at('unnamed'), { dog: 1, ant: 2 }, 3);
  });
  const evaluate = (...more: string[]) =>
    cnn([
      ...words`evaluate lenet5 --weights ${weights} --option numClasses=4 --data ${at('unnamed')}`,
      ...more,
    ]);

  test('are refused for a folder with fewer classes, unless --labels names them', async () => {
    const refused = await evaluate();
    expect([refused.code, refused.notes]).toEqual([
      2,
      expect.stringMatching(/Name the outputs with --labels/),
    ]);
    writeFileSync(at('names.txt'), 'cat\nDog\r\nhorse\nant\n');
    const named = await evaluate('--labels', at('names.txt'), '--json');
    const { confusion, classes } = JSON.parse(named.out) as { confusion: number[][]; classes: string[] };
    expect(classes).toEqual(['cat', 'Dog', 'horse', 'ant']);
    expect(confusion.map((row) => row.reduce((sum, count) => sum + count, 0))).toEqual([0, 3, 0, 3]);
    writeFileSync(at('names.json'), '["a", "b"]');
    expect((await evaluate('--labels', at('names.json'))).notes).toMatch(/has 2 names, but the model has 4/);
  });

  test('are named and prepared as the options say by classify too', async () => {
    const args = words`classify ${at('unnamed', 'dog', '0.png')} --model lenet5 --option numClasses=4 --json`;
    const read = async (...more: string[]) =>
      (
        JSON.parse((await cnn([...args, '--weights', weights, ...more])).out) as {
          results: { top: { label: string; probability: number }[] }[];
        }
      ).results[0]!.top;
    const plain = await read();
    expect(plain.map(({ label }) => label).sort()).toEqual(['class 0', 'class 1', 'class 2', 'class 3']);
    const named = await read('--labels', at('names.txt'));
    expect(named.map(({ label }) => label).sort()).toEqual(['Dog', 'ant', 'cat', 'horse']);
    const scaled = await read(
      '--mean',
      '0.5',
      '--std',
      '0.1',
      '--resize',
      '40',
      '--interpolation',
      'bicubic',
    );
    expect(scaled[0]!.probability).not.toBe(plain[0]!.probability);
    for (const [more, message] of [
      [['--mean', '0.5,0.5'], /--mean has 2 numbers, but the model takes pictures of 1 channel/],
      [['--std', '0'], /Give a number above 0 for each channel/],
      [['--crop', '64', '--resize', '40'], /--crop 64 is larger than --resize 40/],
      [['--crop', '28'], /lenet5 does not accept --crop 28/],
    ] as const) {
      const { code, notes } = await cnn([...args, '--weights', weights, ...more]);
      expect([code, notes]).toEqual([2, expect.stringMatching(message)]);
    }
  });
});

describe('well-known classes', () => {
  test("ImageNet's folders are known by their WordNet ids, and ambiguous names are refused", async () => {
    writeFolder(at('imagenet'), { n01440764: 1, n15075141: 2, Tabby: 3 }, 2);
    const weights = at('imagenet.safetensors');
    const model = mobilenetV1({ width: 0.25 });
    writeFileSync(weights, writeSafetensors(initialise(model, { seed: 1 })));
    const evaluate = () =>
      cnn(words`
        evaluate mobilenet_v1 --option width=0.25 --weights ${weights} --size 32 --data ${at('imagenet')} --json
      `);
    const { confusion } = JSON.parse((await evaluate()).out) as { confusion: number[][] };
    const counted = confusion.flatMap((row, label) => (row.some(Boolean) ? [label] : []));
    expect(counted).toEqual([0, 281, 999]);
    renameSync(at('imagenet', 'Tabby'), at('imagenet', 'crane'));
    expect((await evaluate()).notes).toMatch(
      /More than one output is called crane: name these folders by their WordNet ids, such as n02012849/,
    );
  });

  test("CIFAR-10's names are those of a small network with ten outputs", async () => {
    const weights = at('cifar.safetensors');
    writeFileSync(weights, writeSafetensors(initialise(resnet20(), { seed: 1 })));
    writeFolder(at('cifar'), { truck: 1, cat: 2 }, 2);
    const read = words`--weights ${weights} --json`;
    const named = await cnn([
      ...words`classify ${at('cifar', 'cat', '0.png')} --model resnet20 --top 10`,
      ...read,
    ]);
    const { results } = JSON.parse(named.out) as { results: { top: { label: string }[] }[] };
    expect(results[0]!.top.map(({ label }) => label)).toContain('airplane');
    const counted = await cnn([...words`evaluate resnet20 --data ${at('cifar')}`, ...read]);
    const { confusion } = JSON.parse(counted.out) as { confusion: number[][] };
    expect(confusion.flatMap((row, label) => (row.some(Boolean) ? [label] : []))).toEqual([3, 9]);
  });
});

test('an evaluation loss of NaN is said, ends with exit code 1, and the checkpoint continues', async () => {
  writeFolder(at('nan'), two, 5);
  const more = (epochs: number, ...rest: string[]) => [
    ...words`train resnet20 --size 16 --data ${at('nan')} --batch 4 --epochs ${epochs} --out ${at('runs', 'nan')}`,
    ...rest,
  ];
  expect((await cnn(more(1))).code).toBe(0);
  // Training takes the statistics of the batch, so that only evaluations see this.
  const checkpoint = at('runs', 'nan', 'checkpoint.safetensors');
  const { weights, metadata } = readSafetensors(readFileSync(checkpoint));
  weights.get('bn1.running_mean')!.data[0] = Number.NaN;
  writeFileSync(checkpoint, writeSafetensors(weights, metadata));
  for (const epochs of [2, 3]) {
    const { code, notes } = await cnn(more(epochs, '--resume'));
    expect(code).toBe(1);
    expect(notes).toMatch(
      /The evaluation loss of epoch \d is NaN: outputs of the network are NaN or infinite .* The run continues\./,
    );
    expect(notes).toMatch(/cnn: The evaluation loss of the final weights is NaN: .*Give a smaller --lr/);
  }
  expect(readFileSync(at('runs', 'nan', 'report.html'), 'utf8')).toContain('NaN');
});

const data = realData();
test.skipIf(!data)(
  "a real checkpoint on ImageNet's folders has PyTorch's accuracy (skipped where the data is absent)",
  { timeout: 120_000 },
  async () => {
    const photos = JSON.parse(readFileSync(join(data!, 'photos-labels.json'), 'utf8')) as {
      file: string;
      wnid: string;
    }[];
    for (const { file, wnid } of photos) {
      const [folder] = ['photos', 'photos-imagen'].filter((name) => existsSync(join(data!, name, file)));
      mkdirSync(at('photos', wnid), { recursive: true });
      symlinkSync(join(data!, folder!, file), at('photos', wnid, file));
    }
    const { code, out, notes } = await cnn(words`
      evaluate mobilenet_v1 --data ${at('photos')} --json
      --weights ${data!}/checkpoints/mobilenetv1_025_imagenet.tar
      --option width=0.25 --option activation=leakyRelu:0.1
    `);
    expect([code, notes]).toEqual([0, expect.stringMatching(/Evaluating on 109 pictures/)]);
    const { accuracy, topK } = JSON.parse(out) as { accuracy: number; topK: Record<string, number> };
    // PyTorch: 61 and 85 of 109.
    expect([Math.round(accuracy * 109), Math.round(topK[5]! * 109)]).toEqual([61, 85]);
  },
);
