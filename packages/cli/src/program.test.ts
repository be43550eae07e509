/** Tests the commands: their output, files and exit codes. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { initialise, readWeights, trace, writeSafetensors } from '@cnn/core';
import { decodeImage, digitPreset, encodePng } from '@cnn/image';
import { lenet5 } from '@cnn/lenet';
import { toOnnx } from '@cnn/onnx';
import { realData } from '@cnn/testing';
import colours from 'picocolors';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { words } from '../test/words.js';
import { drawDigit } from './digits.js';
import { run } from './program.js';
import { resumeLine } from './training/session.js';

// The built command finds the weights of a package through its dependencies; this test finds them by path.
vi.mock('node:module', () => ({
  createRequire: () => ({
    resolve: (name: string) => join(import.meta.dirname, '../..', name.replace('@cnn/', '')),
  }),
}));

const folder = mkdtempSync(join(tmpdir(), 'cnn-cli-'));
const digit = join(folder, 'seven.png');
let server: Server;
let address: string;

beforeAll(async () => {
  const pixels = drawDigit(7);
  writeFileSync(
    digit,
    encodePng({
      width: 32,
      height: 32,
      data: Uint8Array.from({ length: 3072 }, (_, i) => pixels[Math.floor(i / 3)]! * 255),
    }),
  );
  const weights = writeSafetensors(initialise(lenet5(), { seed: 1 }));
  server = createServer((request, response) => {
    if (request.url === '/seven.png') return response.end(readFileSync(digit));
    if (request.url !== '/weights.safetensors') return response.writeHead(404).end();
    return response.writeHead(200, { 'content-length': weights.length }).end(weights);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.close();
  rmSync(folder, { recursive: true });
});

/** Runs a command line and gives its output. */
async function cnn(...args: readonly string[]): Promise<{ code: number; out: string; notes: string }> {
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

test('list shows every model with its cost, and as JSON', async () => {
  const { code, out } = await cnn('list');
  expect(code).toBe(0);
  expect(out).toMatch(/resnet18\s+11,689,512\s+1,814\.1\s+69\.76\s+IMAGENET1K_V1/);
  const { models } = JSON.parse((await cnn('list', '--json')).out) as { models: { name: string }[] };
  expect(models.length).toBe(62);
});

test('summary shows layers and totals for given input and options', async () => {
  const { code, out } = await cnn('summary', 'mobilenet_v1', '--option', 'width=0.5', '--input', '1x3x96x96');
  expect(code).toBe(0);
  expect(out).toContain('1,331,592 trainable parameters');
  expect(out).toContain('input 1x3x96x96, output 1x1000');
});

describe('classify', () => {
  test('classifies a drawn digit with the weights in the package', async () => {
    const { code, out } = await cnn('classify', digit, '--model', 'lenet5', '--json');
    expect(code).toBe(0);
    const { results } = JSON.parse(out) as { results: { top: { label: string; probability: number }[] }[] };
    expect(results[0]!.top[0]!.label).toBe('7');
    expect(results[0]!.top.length).toBe(5);
    expect(results[0]!.top.reduce((sum, { probability }) => sum + probability, 0)).toBeLessThanOrEqual(
      1.000001,
    );
  });

  test('turns a picture upright by its EXIF orientation', async () => {
    const upright = await decodeImage(readFileSync(digit));
    const pixels = Array.from({ length: 1024 }, (_, i) => [...upright.data.subarray(3 * i, 3 * i + 3)]);
    const file = encodePng({ ...upright, data: Uint8Array.from(pixels.reverse().flat()) });
    // An eXIf chunk after the header, which says that the picture is stored upside down; its checksum does not matter.
    const exif = Buffer.from('0000001a655849664d4d002a00000008000101120003000000010003000000000000', 'hex');
    const turned = join(folder, 'turned.png');
    writeFileSync(turned, Buffer.concat([file.subarray(0, 33), exif, Buffer.alloc(4), file.subarray(33)]));
    const [first, second] = await Promise.all(
      [digit, turned].map((path) => cnn('classify', path, '--model', 'lenet5', '--top', '1')),
    );
    expect(second!.out.replace(turned, digit)).toBe(first!.out);
  });

  test('reads weights from a URL, and reports a bad one', async () => {
    const cache = join(folder, 'cache');
    const classify = (file: string) =>
      cnn(...words`classify ${digit} --model lenet5 --weights ${address}/${file} --cache ${cache}`);
    const good = await classify('weights.safetensors');
    expect([good.code, good.notes]).toEqual([0, '']);
    const bad = await classify('other');
    expect(bad.code).toBe(1);
    expect(bad.notes).toMatch(/404/);
  });

  test('reads pictures from a URL, and reports those it cannot read', async () => {
    const { code, out, notes } = await cnn(
      ...words`
        classify ${address}/seven.png ${address}/none.png ${folder} ${join(folder, 'none.png')}
        --model lenet5 --top 1
      `,
    );
    expect(code).toBe(1);
    expect(out).toMatch(/seven\.png\n.* 7$/);
    expect(notes).toContain(`${address}/none.png: the server answered 404`);
    expect(notes).toContain(`${folder}: it is a folder; name the pictures in it`);
    expect(notes).toContain(`${join(folder, 'none.png')}: there is no such file or folder`);
  });

  test('an unreadable picture is named, the others are classified, and the exit code is 1', async () => {
    const broken = join(folder, 'broken.png');
    writeFileSync(broken, 'no picture');
    const { code, out, notes } = await cnn('classify', broken, digit, '--model', 'lenet5', '--top', '1');
    expect(code).toBe(1);
    expect(notes).toContain(`${broken}: Not a readable picture file`);
    expect(out).toContain('seven.png');
  });

  test('a missing picture is said before any weights are loaded', async () => {
    const none = join(folder, 'none.jpg');
    for (const command of ['classify', 'explain']) {
      const { code, notes } = await cnn(
        command,
        none,
        '--model',
        'vgg16',
        '--weights',
        'https://0.0.0.0:1/x.pth',
      );
      expect(code).toBe(1);
      expect(notes).toContain(`${none}: there is no such file or folder`);
      expect(notes).not.toContain('0.0.0.0');
    }
    const { code, out, notes } = await cnn(
      ...words`classify ${none} ${folder} --model vgg16 --weights https://0.0.0.0:1/x.pth --json`,
    );
    expect([code, notes]).toEqual([1, '']);
    expect(JSON.parse(out)).toEqual({
      model: 'vgg16',
      results: [
        { file: none, error: 'there is no such file or folder' },
        { file: folder, error: 'it is a folder; name the pictures in it, such as folder/*.jpg' },
      ],
    });
  });

  test('weights that do not fit are refused with their keys', async () => {
    const { code, notes } = await cnn('classify', digit, '--model', 'lenet5', '--option', 'numClasses=7');
    expect(code).toBe(1);
    expect(notes).toContain('fc3.weight: model 7x84, weights 10x84');
  });
});

describe('explain', () => {
  test('writes a heat map, filters and feature maps', async () => {
    const [out, filters, features] = ['heat', 'filters', 'features'].map((name) =>
      join(folder, `${name}.png`),
    );
    writeFileSync(filters!, 'the old one');
    const { code, out: said } = await cnn(
      ...words`
        explain ${digit} --model lenet5 --class 7 --layer conv2
        --out ${out!} --filters ${filters!} --features ${features!}
      `,
    );
    expect(code).toBe(0);
    expect(said).toContain(`The evidence for '7' in layer 'conv2' is shown in ${out}.`);
    expect(said).toContain(`The filters of the first convolution are in ${filters} (replaced).`);
    // Every pixel of 32 x 32 became a square of 7.
    expect((await decodeImage(readFileSync(out!))).width).toBe(224);
    // 6 filters of 5x5 and 16 maps of 10x10, 7 and 4 times enlarged, with gaps of 2.
    expect(await decodeImage(readFileSync(filters!))).toMatchObject({
      width: 3 * 37 + 2,
      height: 2 * 37 + 2,
    });
    expect(await decodeImage(readFileSync(features!))).toMatchObject({
      width: 4 * 42 + 2,
      height: 4 * 42 + 2,
    });
  });

  test('gives the map as JSON', async () => {
    const out = join(folder, 'json.png');
    const { out: said } = await cnn('explain', digit, '--model', 'lenet5', '--out', out, '--json');
    const { map, layer, files, class: named } = JSON.parse(said);
    expect([map.shape, map.values.length, named, files]).toEqual([
      [10, 10],
      100,
      { index: 7, label: '7' },
      [out],
    ]);
    expect(layer).toBe('conv2');
  });

  test.each([
    [
      ['--class', 'nine'],
      /no class 'nine'\. Similar labels are .*'0'.*; the index .* classify --top 10 prints all labels/,
    ],
    [['--class', '12'], /no class 12; the model has classes 0 to 9/],
    [['--layer', 'fc1'], /'fc1', 1x120, is not a feature map of more than one pixel; choose one of conv1/],
    [['--opacity', '2'], /--opacity <share>' argument '2' is invalid. Give a number from 0 to 1/],
  ])('refuses %j', async (args, message) => {
    const { code, notes } = await cnn('explain', digit, '--model', 'lenet5', ...args);
    expect(code).not.toBe(0);
    expect(notes).toMatch(message);
  });
});

describe('export', () => {
  const file = join(folder, 'lenet5.onnx');

  test('writes the model with the weights in the package, and prints the result as JSON too', async () => {
    const said = await cnn('export', 'lenet5', '--out', file);
    expect([said.code, said.notes]).toEqual([0, '']);
    expect(said.out).toBe(`lenet5 is in ${file} (0.2 MB): x 1x1x32x32 to output 1x10.`);
    const shipped = join(import.meta.dirname, '../../lenet/weights/lenet5.safetensors');
    const graph = trace(lenet5(), [1, 1, 32, 32], { name: 'lenet5' });
    const described = { labels: [...'0123456789'], transform: digitPreset };
    expect(readFileSync(file).equals(toOnnx(graph, await readWeights(shipped), described))).toBe(true);
    const again = await cnn('export', 'lenet5', '--out', file);
    expect(again.out).toBe(`lenet5 is in ${file} (replaced) (0.2 MB): x 1x1x32x32 to output 1x10.`);
    const { out } = await cnn(...words`export lenet5 --out ${file} --json --input 4x1x32x32 --dynamic-batch`);
    expect(JSON.parse(out)).toMatchObject({
      model: 'lenet5',
      file,
      bytes: readFileSync(file).length,
      input: [4, 1, 32, 32],
      output: [4, 10],
    });
  });

  test('refuses weights of another model, and keeps the old file', async () => {
    writeFileSync(file, 'the old one');
    const { code, notes } = await cnn('export', 'lenet5', '--out', file, '--option', 'numClasses=7');
    expect(code).toBe(1);
    expect(notes).toContain('fc3.weight: model 7x84, weights 10x84');
    expect(readFileSync(file, 'utf8')).toBe('the old one');
  });
});

test.each([
  [['classify', 'x.png', '--model', 'resnet51'], 2, /no model called 'resnet51'.*resnet50/],
  [['classify', 'x.png'], 2, /Say which model: --model <name>; 'cnn list' shows all/],
  [['classify', 'x.png', '--model', 'seresnet18'], 2, /No weights are published for seresnet18/],
  [['summary', 'vgg11', '--input', '1x3x8x8'], 1, /maxPool .* does not fit into 1x1 pixels/],
  [['summary', 'vgg11', '--input', 'large'], 2, /argument 'large' is invalid. Write a shape as 1x3x224x224/],
  [['summary', 'vgg11', '--option', 'width'], 2, /write it as width=0.25/],
  [['summary', 'vgg11', '--option', 'widht=0.5'], 2, /vgg11 has no option 'widht'; it has numClasses/],
  [['summary', 'mobilenet_v1', '--option', 'activation=step'], 2, /no activation 'step'; use relu, /],
  [['bench', 'lenet5', '--threads', 'many'], 2, /--threads <n>' argument 'many' is invalid. Give a whole/],
  [['bench', 'lenet5', '--backend', 'tpu'], 2, /Allowed choices are auto, gpu, wasm, reference/],
  [
    ['nonsense'],
    2,
    /unknown command 'nonsense'\n.*\nThe commands are list, summary, .*; 'cnn --help' describes them/,
  ],
  [
    ['evaluate', '--model', 'resnet20'],
    2,
    /'evaluate' takes the model without --model: cnn evaluate resnet20$/,
  ],
  [['summary', '--model=resnet20'], 2, /'summary' takes the model without --model: cnn summary resnet20$/],
  [
    ['classify', 'resnet20', 'x.png'],
    2,
    /'resnet20' is no picture\. A model is given with --model resnet20\.$/,
  ],
  [['help', 'clasify'], 2, /unknown command 'clasify'\n\(Did you mean classify\?\)/],
  [['evaluate', '--data', 'none'], 2, /Say which model: cnn evaluate <model>/],
])('%j ends with %i', async (args, expected, message) => {
  const { code, notes } = await cnn(...args);
  expect(notes).toMatch(message);
  expect(code).toBe(expected);
});

test('a picture whose name begins with a dash is read with its folder', async () => {
  const name = '-dash.png';
  writeFileSync(name, readFileSync(digit));
  try {
    const { code, notes } = await cnn('classify', name, '--model', 'lenet5');
    expect([code, notes]).toEqual([
      2,
      expect.stringContaining('A file whose name begins with a dash is written ./-dash.png.'),
    ]);
    expect((await cnn('classify', `./${name}`, '--model', 'lenet5')).code).toBe(0);
  } finally {
    rmSync(name);
  }
});

test('help has examples, and asking for it is no failure', async () => {
  const { code, out } = await cnn('classify', '--help');
  expect(code).toBe(0);
  expect(out).toContain('cnn classify photo.jpg --model mobilenet_v2 --weights default');
});

test('command lines in messages begin as the command was called', async () => {
  vi.stubEnv('CNN_COMMAND', 'npm start --');
  const outputs = [
    (await cnn('classify', '--help')).out,
    (await cnn('classify', 'x.png')).notes,
    (await cnn('evaluate', '--data', 'none')).notes,
    (await cnn('summary', 'resnet51')).notes,
    (await cnn('demo')).out,
    resumeLine(['train', 'lenet5'], 'runs/lenet5'),
  ];
  vi.unstubAllEnvs();
  expect(outputs[0]).toContain('Usage: npm start -- classify [options] <picture...>');
  expect(outputs[0]).toContain('\n  npm start -- classify photo.jpg --model mobilenet_v2 --weights default');
  expect(outputs[1]).toContain("'npm start -- list' shows all");
  expect(outputs[2]).toContain('npm start -- evaluate <model>');
  expect(outputs[3]).toContain("'npm start -- list' shows all");
  expect(outputs[4]).toContain('  npm start -- classify photo.jpg');
  expect(outputs[5]).toBe('npm start -- train lenet5 --out runs/lenet5 --resume');
});

test('the demo classifies every digit correctly', async () => {
  const { code, out } = await cnn('demo');
  expect(code).toBe(0);
  expect(out).toContain('7 of 7 drawn digits were classified correctly.');
});

test('bench prints a table and writes a page', async () => {
  const html = join(folder, 'bench.html');
  const { code, out } = await cnn('bench', 'lenet5', '--runs', '2', '--html', html);
  expect(code).toBe(0);
  expect(out).toMatch(/conv1\s+conv2d/);
  expect(readFileSync(html, 'utf8')).toContain('<td>conv2');
});

const data = realData();
test.skipIf(!data)('a real photo and a real checkpoint (skipped where the data is absent)', async () => {
  const { code, out, notes } = await cnn(
    ...words`
      classify ${data!}/photos/n01440764_tench.JPEG --model mobilenet_v1 --json
      --option width=0.25 --option activation=leakyRelu:0.1
      --weights ${data!}/checkpoints/mobilenetv1_025_imagenet.tar
    `,
  );
  expect(code).toBe(0);
  expect(notes).toContain("renamed by the rule 'stages'");
  const { results } = JSON.parse(out) as { results: { top: { label: string; probability: number }[] }[] };
  expect(results[0]!.top[0]!.label).toBe('tench');
  expect(results[0]!.top[0]!.probability).toBeCloseTo(0.925151, 4);
});
