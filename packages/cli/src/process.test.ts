/**
 * Tests the command as a process: Ctrl-C once and twice, pipes that close, a GPU. The tests wait for output
 * or actions of the process, never for a time.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findBrowser } from '@cnn/testing/browser';
import { softwareVulkan } from '@cnn/testing/vulkan';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { moduleTextPlugin } from '../../../scripts/moduleText.mjs';
import { writeFolder, writeMnist } from '../test/datasets.js';
import { words } from '../test/words.js';

const folder = mkdtempSync(join(tmpdir(), 'cnn-process-'));
// One bundle that finds the optional packages, and one in a folder without packages.
const installed = mkdtempSync(join(import.meta.dirname, '../node_modules/.cnn-process-'));
const mnist = join(folder, 'mnist');
const digits = join(folder, 'digits');
const running = new Set<ReturnType<typeof spawn>>();

beforeAll(async () => {
  for (const outdir of [installed, folder])
    await build({
      entryPoints: { cnn: join(import.meta.dirname, 'main.ts') },
      tsconfig: join(import.meta.dirname, '../../../tsconfig.base.json'),
      plugins: [moduleTextPlugin],
      bundle: true,
      platform: 'node',
      format: 'esm',
      target: 'node20',
      outdir,
      outExtension: { '.js': '.mjs' },
      external: ['gpu.js', 'webgpu'],
      // CommonJS packages in the bundle call require.
      banner: {
        js: "import { createRequire as of } from 'node:module'; const require = of(import.meta.url);",
      },
    });
  writeMnist(mnist, 'train', 60);
  writeFolder(digits, { one: 1, seven: 7 }, 6);
});
afterAll(() => {
  for (const child of running) child.kill('SIGKILL');
  for (const path of [folder, installed]) rmSync(path, { recursive: true });
});

/** Starts the command. */
function start(args: readonly string[], { from = installed, env = {} } = {}) {
  const child = spawn(process.execPath, [join(from, 'cnn.mjs'), ...args], {
    cwd: folder,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  const text = { out: '', notes: '' };
  child.stdout!.on('data', (part) => (text.out += part));
  child.stderr!.on('data', (part) => (text.notes += part));
  const ended = once(child, 'close').then(([code, signal]) => {
    running.delete(child);
    return { code, signal, ...text };
  });
  return {
    ended,
    interrupt: () => child.kill('SIGINT'),
    /** Waits for a text in the output, and fails if the process ends before. */
    async says(what: string): Promise<void> {
      while (!(text.out + text.notes).includes(what))
        if (
          !(await Promise.race([
            once(child.stdout!, 'data'),
            once(child.stderr!, 'data'),
            ended.then(() => 0),
          ]))
        )
          throw new Error(`It ended without saying '${what}': ${JSON.stringify(await ended)}`);
    },
  };
}

test.each([
  ['train', words`train lenet5 --data ${mnist} --batch 20 --ema 0.9`],
  ['fine-tune', words`finetune lenet5 --data ${digits} --batch 4 --freeze none`],
  ['fine-tune a classifier', words`finetune lenet5 --data ${digits} --batch 4`],
])(
  '%s: Ctrl-C saves the run, and the printed command continues it to the same bits',
  async (name, command) => {
    // The run never ends without Ctrl-C, and its learning rate does not depend on the number of epochs.
    const training = (out: string, epochs: number) => [
      ...command,
      ...words`--schedule constant --threads 1 --out ${join(folder, `${name} ${out}`)} --epochs ${epochs}`,
    ];
    const first = start(training('stopped', 1_000_000));
    await first.says('epoch 1/');
    first.interrupt();
    const { code, notes } = await first.ended;
    expect([code, notes]).toEqual([
      130,
      expect.stringMatching(/^Training on .*\nStopping.*\nInterrupted\.\n$/s),
    ]);

    const [, stopped] =
      /Stopped after \d+ steps, in epoch (\d+);.* Continue with:\n {2}cnn .* --resume\n/.exec(notes)!;
    const epochs = Number(stopped) + 1;
    const second = await start([...training('stopped', epochs), '--resume']).ended;
    expect(second.out).toMatch(/^Continuing after \d+ steps/);
    const said = { code: 0, notes: expect.stringMatching(/^Training on \d+ pictures/) };
    expect(second).toMatchObject(said);
    expect(await start(training('whole', epochs)).ended).toMatchObject(said);
    for (const file of ['model.safetensors', 'checkpoint.safetensors'])
      expect(
        readFileSync(join(folder, `${name} stopped`, file)).equals(
          readFileSync(join(folder, `${name} whole`, file)),
        ),
      ).toBe(true);
  },
);

test('Ctrl-C during an evaluation ends it', async () => {
  const many = join(folder, 'many');
  writeMnist(many, 't10k', 5000);
  // Fifty thousand pictures one by one take some ten seconds.
  const child = start(words`evaluate lenet5 --data ${many} --batch 1 --ten-crop --threads 1`);
  await child.says('Evaluating on');
  child.interrupt();
  expect(await child.ended).toMatchObject({
    code: 130,
    out: '',
    notes: expect.stringMatching(/\nStopping.*\nInterrupted\.\n$/),
  });
});

test('Ctrl-C during a download ends it, and leaves nothing in the cache', async () => {
  const server = createServer((_, response) => {
    response.writeHead(200, { 'Content-Length': '1000000' }).write('begun');
    child.interrupt();
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  const cache = join(folder, 'cache');
  const weights = `http://127.0.0.1:${port}/lenet5.safetensors`;
  const child = start(
    words`classify digits/seven/0.png --model lenet5 --weights ${weights} --cache ${cache}`,
  );
  expect(await child.ended).toMatchObject({
    code: 130,
    out: '',
    notes: expect.stringMatching(/^Stopping.*\nInterrupted\.\n$/),
  });
  server.closeAllConnections();
  server.close();
  expect(existsSync(cache) ? readdirSync(cache) : []).toEqual([]);
});

test.skipIf(process.platform === 'win32')('a second Ctrl-C quits at once', async () => {
  // The command waits for data from a pipe without a writer, and cannot be interrupted.
  const waiting = join(folder, 'waiting');
  mkdirSync(waiting);
  const [images, labels] = ['train-images-idx3-ubyte', 'train-labels-idx1-ubyte'].map((file) =>
    join(waiting, file),
  );
  execFileSync('mkfifo', [images!, labels!]);
  const child = start(['train', 'lenet5', '--data', waiting, '--out', join(folder, 'none')]);
  // Opening the pipe for writing waits until the command opens it for reading.
  const pipe = await open(images!, 'w');
  child.interrupt();
  await child.says('Ctrl-C again quits at once');
  child.interrupt();
  expect(await child.ended).toMatchObject({ code: null, signal: 'SIGINT' });
  await pipe.close();
  expect(existsSync(join(folder, 'none'))).toBe(false);
});

describe('--backend gpu', () => {
  const classify = words`classify digits/seven/0.png --model lenet5 --top 1 --json`;

  test('names what to install where the package webgpu is missing', async () => {
    expect(await start([...classify, '--backend', 'gpu'], { from: folder }).ended).toEqual({
      code: 1,
      signal: null,
      out: '',
      notes: expect.stringMatching(
        /^cnn: .*webgpu.* not installed.* npm install gpu\.js@2\.24 webgpu@0\.6\n$/,
      ),
    });
  });

  test('runs on the GPU that the package webgpu finds, and ends', async ({ skip }) => {
    const env = process.env.CNN_GPU === 'real' ? {} : softwareVulkan(await findBrowser());
    if (!env) return skip('No Vulkan was found for WebGPU in Node. Install Chromium.');
    const onCpu = await start([...classify, '--backend', 'wasm']).ended;
    const onGpu = await start([...classify, '--backend', 'gpu'], { env }).ended;
    expect(onGpu).toMatchObject({ code: 0, signal: null, notes: '' });
    const resultOf = ({ out }: { readonly out: string }) =>
      JSON.parse(out) as { backend: string; results: { top: { label: string; probability: number }[] }[] };
    const [expected, got] = [resultOf(onCpu), resultOf(onGpu)];
    expect([expected.backend, got.backend]).toEqual(['wasm', 'gpu:webgpu']);
    expect(got.results[0]!.top[0]!.label).toBe('7');
    expect(got.results[0]!.top[0]!.probability).toBeCloseTo(expected.results[0]!.top[0]!.probability, 4);
  });
});
