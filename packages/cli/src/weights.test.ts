/** Tests how commands find, understand and judge weights, and that text of files cannot reach the terminal raw. */
import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { initialise, tensor, type Weights, writeSafetensors } from '@cnn/core';
import { encodePng } from '@cnn/image';
import { lenet5, models } from '@cnn/lenet';
import { mobilenetV1 } from '@cnn/mobilenet';
import { realData } from '@cnn/testing';
import { pickle, pickledTensor, torchZip } from '@cnn/testing/weightFiles';
import colours from 'picocolors';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { writeFolder } from '../test/datasets.js';
import { words } from '../test/words.js';
import { drawDigit } from './digits.js';
import { openModel } from './openModel.js';
import { run } from './program.js';
import { metadataOf } from './savedModel.js';
import { guarded, printable, type Terminal } from './terminal.js';
import { renameOf } from './weights.js';

const folder = mkdtempSync(join(tmpdir(), 'cnn-cli-weights-'));
const at = (...path: readonly string[]): string => join(folder, ...path);
const digit = at('seven.png');
const shipped = join(import.meta.dirname, '../../lenet/weights/lenet5.safetensors');
const weights = initialise(lenet5(), { seed: 3 });

const named = (change: (name: string) => string, extra: Weights = new Map()): Uint8Array =>
  writeSafetensors(
    new Map([...[...weights].map(([name, value]) => [change(name), value] as const), ...extra]),
  );

beforeAll(() => {
  const pixels = drawDigit(7);
  const data = Uint8Array.from({ length: 3072 }, (_, i) => pixels[Math.floor(i / 3)]! * 255);
  writeFileSync(digit, encodePng({ width: 32, height: 32, data }));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** A terminal that keeps what it is given. */
function recording(): Terminal & { readonly out: string[]; readonly notes: string[] } {
  const [out, notes]: [string[], string[]] = [[], []];
  return {
    out,
    notes,
    print: (line) => out.push(line),
    note: (line) => notes.push(line),
    live: false,
    progress: () => undefined,
    colours: colours.createColors(false),
  };
}

async function cnn(...args: readonly string[]) {
  const terminal = recording();
  const code = await run(args, terminal);
  return { code, out: terminal.out.join('\n'), notes: terminal.notes.join('\n') };
}
/** Classifies the digit by weights of a file. */
const classify = (file: string, ...more: readonly string[]) =>
  cnn('classify', digit, '--model', 'lenet5', '--weights', file, '--json', ...more);
/** The probabilities of weights whose names are the model's. */
async function expected(): Promise<unknown> {
  writeFileSync(
    at('plain.safetensors'),
    named((name) => name),
  );
  const { code, out, notes } = await classify(at('plain.safetensors'));
  expect([code, notes]).toEqual([0, '']);
  return topOf(out);
}
const topOf = (out: string): unknown => (JSON.parse(out) as { results: { top: unknown }[] }).results[0]!.top;

describe('weights under other names', () => {
  test.each<[string, () => Uint8Array, readonly string[], RegExp]>([
    ['a prefix', () => named((name) => `net.${name}`), [], /those under 'net'/],
    [
      'a part of something larger',
      () => named((name) => `gan.d.${name}`, new Map([['gan.g.w', tensor([1], [1])]])),
      [],
      /those under 'gan\.d'; the others were left out/,
    ],
    ['the wrapper of torch.compile', () => named((name) => `_orig_mod.${name}`), [], /'_orig_mod\.'/],
    [
      '--rename of a text',
      () => named((name) => name.replace('conv', 'layer')),
      ['--rename', 'layer=conv'],
      /^$/,
    ],
    [
      '--rename of expressions, in order',
      () => named((name) => name.replace('fc', 'head.'), new Map([['extra', tensor([1], [1])]])),
      ['--rename', '/^head\\.(\\d)/=fc$1', '--rename', 'extra='],
      /^$/,
    ],
    [
      '--weights-key',
      () => named((name) => `g.${name}`, new Map([...weights].map(([name, value]) => [`d.${name}`, value]))),
      ['--weights-key', 'd'],
      /^$/,
    ],
  ])('%s', async (_, file, options, note) => {
    const right = await expected();
    writeFileSync(at('renamed.safetensors'), file());
    const { code, out, notes } = await classify(at('renamed.safetensors'), ...options);
    expect(notes).toMatch(note);
    expect(code).toBe(0);
    expect(topOf(out)).toEqual(right);
  });

  test('the choice of a state dict is said with its option', async () => {
    const object = { state_dict: { w: pickledTensor() }, state_dict_ema: { w: pickledTensor() } };
    writeFileSync(at('two.pth'), torchZip(pickle(object)));
    const { code, notes } = await classify(at('two.pth'));
    expect(code).toBe(1);
    expect(notes).toMatch(
      /under 'state_dict_ema'; the file also holds 'state_dict'\. --weights-key chooses another/,
    );
    expect(notes).toMatch(/or rename keys .*\(cnn: --rename\)/);
  });

  test('a file: URL is read', async () => {
    const right = await expected();
    expect(topOf((await classify(pathToFileURL(at('plain.safetensors')).href)).out)).toEqual(right);
  });

  test.each(['=x', 'x', '/(/=x'])("the rule '%s' is a usage error", (rule) => {
    expect(() => renameOf([rule])).toThrow(/no rule to rename/);
  });

  test('a rule carries the options that its weights need; given ones win', async () => {
    const network = initialise(mobilenetV1({ width: 0.25 }), { seed: 1 });
    const stages = [...network].map(([name, value]): [string, typeof value] => [
      name.replace(/^feature\.(\d+)\./, (_, text: string) => {
        const layer = Number(text);
        return layer < 6 ? `stage1.${layer}.` : layer < 12 ? `stage2.${layer - 6}.` : `stage3.${layer - 12}.`;
      }),
      value,
    ]);
    writeFileSync(at('stages.safetensors'), writeSafetensors(new Map(stages)));
    const open = async (...option: readonly string[]) => {
      const terminal = recording();
      const request = {
        model: 'mobilenet_v1',
        weights: at('stages.safetensors'),
        option: ['width=0.25', ...option],
      };
      const { options } = await openModel(request, terminal);
      return { options, notes: terminal.notes.join('\n') };
    };
    const { options, notes } = await open();
    expect(options).toEqual(['activation=leakyRelu:0.1', 'width=0.25']);
    expect(notes).toMatch(
      /rule 'stages'\. The option activation=leakyRelu:0\.1 is set, as these weights need it; --option/,
    );
    for (const [given, shown] of [
      ['activation=relu', 'activation=relu'],
      ['activation=leakyRelu', 'activation=leakyRelu (its slope is 0.01)'],
    ] as const) {
      const opened = await open(given);
      expect(opened.options.at(-1)).toBe(given);
      expect(opened.notes).toContain(
        `These weights need the option activation=leakyRelu:0.1, but ${shown} was given, so the results will be wrong;`,
      );
      expect(opened.notes).not.toContain('is set');
    }
    expect((await open('activation=relu', 'activation=leakyRelu:.1')).notes).toContain(
      'need the option activation=leakyRelu:0.1, which is given.',
    );
    // Weights of another width are told from those of another model.
    const request = { model: 'mobilenet_v1', weights: at('stages.safetensors') };
    await expect(openModel({ ...request, option: [] }, recording())).rejects.toThrow(
      /stages\.safetensors, renamed by the rule 'stages', have the names of mobilenet_v1, but other shapes: feature\.0\.0\.weight is 8x3x3x3, the model's is 32x3x3x3; .* and \d+ more\. They fit with --option width=0\.25\.$/,
    );
    await expect(
      openModel({ ...request, option: ['width=0.5', 'numClasses=7'] }, recording()),
    ).rejects.toThrow(/They fit with --option width=0\.25 --option numClasses=1000\.$/);
  });
});

describe('cheap checks come before weights are loaded', () => {
  const none = 'https://0.0.0.0:1/x.pth';

  test.each<[string, () => readonly string[], () => string]>([
    [
      'data',
      () => words`finetune lenet5 --data ${at('none')}`,
      () => `Cannot list the data folder ${at('none')}`,
    ],
    [
      'data',
      () => words`evaluate lenet5 --data ${at('none')}`,
      () => `Cannot list the data folder ${at('none')}`,
    ],
    [
      'a folder that holds a run',
      () => words`finetune lenet5 --data ${folder} --out ${at('held')}`,
      () => `${at('held')} already holds a run`,
    ],
    [
      'no run to continue',
      () => words`finetune lenet5 --data ${folder} --out ${at('new')} --resume`,
      () => 'There is no run to continue',
    ],
    [
      'labels',
      () => words`classify ${digit} --model lenet5 --labels ${folder}`,
      () => 'it is a folder, not a file',
    ],
    ['means', () => words`classify ${digit} --model lenet5 --mean 1,2,3`, () => '--mean has 3 numbers'],
    ['a class', () => words`explain ${digit} --model lenet5 --class ten`, () => "There is no class 'ten'"],
    [
      'a result',
      () => words`explain ${digit} --model lenet5 --features ${folder}`,
      () => `Cannot write --features ${folder}: it is a folder; add the name of a file.`,
    ],
    [
      'a result',
      () => words`export lenet5 --out ${folder}`,
      () => `Cannot write --out ${folder}: it is a folder`,
    ],
    [
      'a result',
      () => words`evaluate lenet5 --data ${folder} --html ${folder}`,
      () => `Cannot write --html ${folder}: it is a folder`,
    ],
  ])('%s: %j', async (_, args, message) => {
    mkdirSync(at('held'), { recursive: true });
    writeFileSync(at('held', 'checkpoint.safetensors'), '');
    const { code, notes } = await cnn(...args(), '--weights', none);
    expect(notes).toContain(message());
    expect(notes).not.toContain('0.0.0.0');
    expect(code).toBe(2);
  });

  test.each(['train', 'finetune'])('a file for the folder of %s', async (command) => {
    writeFileSync(at('file'), '');
    const { code, notes } = await cnn(
      ...words`${command} lenet5 --data ${at('none')} --out ${at('file')}`,
      ...(command === 'finetune' ? ['--weights', none] : []),
    );
    expect([code, notes]).toEqual([
      1,
      `cnn: Cannot make the folder ${at('file')}: a file of that name exists. Give another path.`,
    ]);
  });

  test.each(['weights', 'weights.safetensors', 'weights.pth'])(
    'a folder %s is no file of weights',
    async (name) => {
      mkdirSync(at('folders', name), { recursive: true });
      const path = at('folders', name);
      // seresnet18 has no published weights, whose hashes are compared.
      for (const model of ['lenet5', 'resnet18', 'seresnet18']) {
        const { code, notes } = await cnn('classify', digit, '--model', model, '--weights', path);
        expect([code, notes]).toEqual([
          2,
          `cnn: Cannot read --weights ${path}: it is a folder; name the file in it.`,
        ]);
      }
    },
  );

  test.skipIf(process.getuid?.() === 0)('a file without permission', async () => {
    writeFileSync(at('secret.pth'), '', { mode: 0 });
    const { notes } = await classify(at('secret.pth'));
    expect(notes).toBe(`cnn: Cannot read --weights ${at('secret.pth')}: permission denied.`);
  });
});

test('one tensor was reshaped, two were', async () => {
  const flat = (names: readonly string[]): Uint8Array =>
    named(
      (name) => name,
      new Map(
        names.map((name) => {
          const { data, shape } = weights.get(name)!;
          return [name, tensor([...data], [...shape, 1, 1])];
        }),
      ),
    );
  writeFileSync(at('flat.safetensors'), flat(['fc1.weight']));
  expect((await classify(at('flat.safetensors'))).notes).toBe("1 tensor was reshaped to the model's shapes.");
  writeFileSync(at('flat.safetensors'), flat(['fc1.weight', 'fc2.weight']));
  expect((await classify(at('flat.safetensors'))).notes).toBe(
    "2 tensors were reshaped to the model's shapes.",
  );
});

describe('finetune takes weights whose classifier is thrown away', () => {
  test.each<[string, () => Weights]>([
    ['without one', () => new Map([...weights].filter(([name]) => !name.startsWith('fc3')))],
    ['of another number of classes', () => initialise(lenet5({ numClasses: 4 }), { seed: 3 })],
    [
      'under another name',
      () => new Map([...weights].map(([name, value]) => [name.replace('fc3', 'head'), value])),
    ],
  ])('%s', async (what, given) => {
    writeFolder(at('digits'), { one: 1, seven: 7 }, 4);
    writeFileSync(at('trunk.safetensors'), writeSafetensors(given()));
    const out = at(`tuned ${what}`.replaceAll(' ', '-'));
    const { code, notes } = await cnn(
      ...words`finetune lenet5 --weights ${at('trunk.safetensors')} --data ${at('digits')} --epochs 1 --batch 2 --out ${out}`,
    );
    expect(notes).not.toMatch(/^cnn:/m);
    expect(code).toBe(0);
  });

  test('but not without its trunk', async () => {
    writeFileSync(at('trunk.safetensors'), writeSafetensors(new Map([...weights].slice(3))));
    const { code, notes } = await cnn(
      ...words`finetune lenet5 --weights ${at('trunk.safetensors')} --data ${at('digits')} --out ${at('tuned')}`,
    );
    expect(code).toBe(1);
    expect(notes).toMatch(/missing in the weights \(\d\): conv1\.weight/);
  });
});

describe('values that are not numbers', () => {
  const nan = () =>
    named((name) => name, new Map([['fc3.bias', tensor(Array<number>(10).fill(Number.NaN), [10])]]));

  test.each(['classify', 'evaluate'])('of weights end %s', async (command) => {
    writeFileSync(at('nan.safetensors'), nan());
    writeFolder(at('ten'), Object.fromEntries(Array.from({ length: 10 }, (_, i) => [String(i), i])), 1);
    const { code, out, notes } = await cnn(
      ...(command === 'classify'
        ? words`classify ${digit} --model lenet5`
        : words`evaluate lenet5 --data ${at('ten')}`),
      '--weights',
      at('nan.safetensors'),
    );
    expect(code).toBe(1);
    expect(out).toBe('');
    expect(notes).toMatch(
      /nan\.safetensors hold values that are not numbers \(NaN\), in 'fc3\.bias' \(10 of 10\)/,
    );
  });

  test.each(['classify', 'evaluate'])('of outputs end %s', async (command) => {
    // Products of infinities of both signs.
    const infinite = tensor(
      Array.from({ length: 84 * 10 }, (_, i) => (i % 2 ? Infinity : -Infinity)),
      [10, 84],
    );
    writeFileSync(
      at('infinite.safetensors'),
      named((name) => name, new Map([['fc3.weight', infinite]])),
    );
    const { code, out, notes } = await cnn(
      ...(command === 'classify'
        ? words`classify ${digit} --model lenet5`
        : words`evaluate lenet5 --data ${at('ten')}`),
      '--weights',
      at('infinite.safetensors'),
    );
    expect(code).toBe(1);
    expect(out).toBe('');
    expect(notes).toMatch(/outputs .*are not numbers/);
  });
});

describe('a description in a file of weights', () => {
  const description = {
    model: 'lenet5',
    options: [],
    classes: Array.from({ length: 10 }, (_, i) => `digit ${i}`),
    transform: Object.values(models.lenet5.weights)[0]!.transform,
  };
  const write = (file: string, change: object): string => {
    writeFileSync(at(file), writeSafetensors(weights, metadataOf({ ...description, ...change })));
    return at(file);
  };

  test.each<[object, RegExp]>([
    [{ crop: 2_000_000_000 }, /crop is 2000000000, and must be from 1 to 4096 pixels/],
    [{ resize: 0 }, /resize is 0/],
    [{ std: [0] }, /std \[0\]; std must be above 0/],
    [{ mean: [0, 0] }, /mean and std must have a number for each channel/],
    [{ interpolation: 'none' }, /interpolation is "none"/],
  ])('%j is refused', async (change, message) => {
    const file = write('odd.safetensors', { transform: { ...description.transform, ...change } });
    const { code, notes } = await cnn('classify', digit, '--weights', file);
    expect(notes).toMatch(message);
    expect(code).toBe(1);
  });

  test.each<[string, object, RegExp]>([
    ['a long name', { model: 'm'.repeat(3e6) }, /name of the model has 3,000,000 characters, .* at most 100/],
    ['many options', { options: Array(101).fill('a=1') }, /it has 101 options, and must have at most 100/],
    ['many classes', { classes: Array(100_001).fill('a') }, /it has 100,001 classes/],
    ['a long class', { classes: ['c'.repeat(1e6)] }, /the classes hold "c+\.\.\. of 1,000,000 characters/],
    ['a long std', { transform: { ...description.transform, std: Array(2000).fill(1) } }, /for each channel/],
    [
      'a std that is 0 in float32',
      { transform: { ...description.transform, std: [1e-60] } },
      /std must be above 0/,
    ],
  ])('%s is refused, and cut in the message', async (_, change, message) => {
    const { code, notes } = await cnn('classify', digit, '--weights', write('odd.safetensors', change));
    expect(notes).toMatch(message);
    expect(notes.length).toBeLessThan(600);
    expect(code).toBe(1);
  });

  test('names of classes, of files and of folders are shown escaped', async () => {
    const evil = '\x1b]0;pwned\x07cat\r\nFAKE \u202eline\x9b2J';
    const shown = '\\x1b]0;pwned\\x07cat\\r\\nFAKE \\u202eline\\x9b2J';
    const file = write('evil.safetensors', { classes: [...Array(10).keys()].map((i) => `${evil}${i}`) });
    const text = await cnn('classify', digit, '--weights', file);
    expect(text.out).toContain(shown);
    const json = await cnn('classify', digit, '--weights', file, '--json');
    expect((topOf(json.out) as { label: string }[])[0]!.label).toContain(evil);
    const folder = at('evil\x1b[2J\nfolder');
    mkdirSync(folder);
    const picture = join(folder, 'x\x1b[31m.png');
    copyFileSync(digit, picture);
    const named = await cnn('classify', picture, join(folder, 'none\x07'), '--weights', file);
    expect(named.out).toContain('evil\\x1b[2J\\nfolder/x\\x1b[31m.png');
    expect(named.notes).toContain('none\\x07: there is no such file');
    const unknown = await cnn('classify', digit, '--weights', join(folder, 'none.pth'), '--model', 'lenet5');
    for (const { out, notes } of [text, json, named, unknown])
      expect(
        [...(out + notes)].filter((character) => character !== '\n' && printable(character) !== character),
      ).toEqual([]);
  });

  test('a guarded terminal keeps colours only where they are on', () => {
    const line = '\x1b[36mx\x1b[0m\x1b]0;t\x07\ny';
    for (const isOn of [true, false]) {
      const inner = { ...recording(), colours: colours.createColors(isOn) };
      guarded(inner).print(line);
      expect(inner.out).toEqual([
        isOn ? '\x1b[36mx\x1b[0m\\x1b]0;t\\x07\ny' : '\\x1b[36mx\\x1b[0m\\x1b]0;t\\x07\ny',
      ]);
    }
  });
});

describe('preparation of pictures', () => {
  test.each<[string, string, number, RegExp]>([
    ['the first weights, by the hash in the name', 'resnet50-0676ba61.pth', 256, /^$/],
    ['the second weights, converted', 'resnet50-11ad3fa6.safetensors', 232, /^$/],
    ['unknown weights', 'mine.safetensors', 256, /do not say how .*resized to 256 and cropped to 224/],
  ])('%s', async (_, name, resize, note) => {
    const terminal = recording();
    // Weights that do not fit: `compile` would refuse them, but the preparation is known before.
    writeFileSync(at(name), writeSafetensors(new Map([['x', tensor([1], [1])]])));
    const { preset } = await openModel({ model: 'resnet50', weights: at(name), option: [] }, terminal);
    expect(preset.resize).toBe(resize);
    expect(terminal.notes.join('\n')).toMatch(note);
    rmSync(at(name));
  });

  test('published weights are recognised by their hash, whatever their name', async () => {
    const hash = createHash('sha256').update(readFileSync(shipped)).digest('hex');
    expect(hash.startsWith(Object.values(models.lenet5.weights)[0]!.sha256)).toBe(true);
    copyFileSync(shipped, at('any.safetensors'));
    const { preset } = await openModel(
      { model: 'lenet5', weights: at('any.safetensors'), option: [] },
      recording(),
    );
    expect(preset).toEqual(Object.values(models.lenet5.weights)[0]!.transform);
  });
});

const data = realData();
test.skipIf(!data)(
  'the real MobileNetV1 needs no option but its width (skipped without the data)',
  async () => {
    const { code, out } = await cnn(
      ...words`
      classify ${data!}/photos/n01440764_tench.JPEG --model mobilenet_v1 --json --option width=0.25
      --weights ${data!}/checkpoints/mobilenetv1_025_imagenet.tar
    `,
    );
    expect(code).toBe(0);
    expect(topOf(out)).toMatchObject([{ label: 'tench' }, {}, {}, {}, {}]);
  },
);
