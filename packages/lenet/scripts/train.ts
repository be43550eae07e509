/**
 * Trains the weights that this package ships: LeNet-5 on MNIST, from scratch, on the CPU.
 * Usage: node scripts/script.mjs packages/lenet/scripts/train.ts <folder with the four MNIST files> [epochs]
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { compile, initialise, random, referenceBackend, tensor, writeSafetensors } from '@cnn/core';
import { type IdxArray, readIdx } from '@cnn/image';
import { lenet5 } from '@cnn/lenet';
import { adam, crossEntropy, trainingStep, withOptimizerState } from '@cnn/train';

const [folder, epochs = '3', out = 'packages/lenet/weights/lenet5.safetensors'] = process.argv.slice(2);
if (!folder)
  throw new Error('Give the folder that holds the four MNIST files (train-images-idx3-ubyte.gz, ...).');

const BATCH = 64;
const LEARNING_RATE = 2e-3;

const read = async (name: string): Promise<IdxArray> =>
  readIdx(await readFile(join(folder, `${name}-ubyte.gz`)));
const [images, labels] = [await read('train-images-idx3'), await read('train-labels-idx1')];
const [testImages, testLabels] = [await read('t10k-images-idx3'), await read('t10k-labels-idx1')];

/** The pictures of a batch in the middle of 32x32 zeros, scaled to [0, 1], moved by up to `jitter` pixels. */
function batchOf(source: IdxArray, indices: readonly number[], shift: () => number): Float32Array {
  const data = new Float32Array(indices.length * 32 * 32);
  for (const [at, index] of indices.entries()) {
    const [top, left] = [2 + shift(), 2 + shift()];
    for (let row = 0; row < 28; row++)
      for (let column = 0; column < 28; column++)
        data[(at * 32 + row + top) * 32 + column + left] =
          source.data[(index * 28 + row) * 28 + column]! / 255;
  }
  return data;
}

const model = lenet5();
const backend = referenceBackend({ precision: 'float32' });
const optimizer = adam({ learningRate: LEARNING_RATE });
const graph = trainingStep(model, { input: [BATCH, 1, 32, 32], loss: crossEntropy(), optimizer });
const program = await backend.compile(graph, withOptimizerState(graph, initialise(model, { seed: 1 })));
const source = random(1);
const steps = Math.floor(images.shape[0]! / BATCH) * Number(epochs);
const order = Array.from({ length: images.shape[0]! }, (_, i) => i);

for (let step = 0; step < steps; step++) {
  const within = step % Math.floor(order.length / BATCH);
  if (within === 0)
    for (let i = order.length - 1; i > 0; i--) {
      const j = source.integer(i + 1);
      [order[i], order[j]] = [order[j]!, order[i]!];
    }
  const indices = order.slice(within * BATCH, (within + 1) * BATCH);
  // The rate falls along half a cosine.
  const rate = LEARNING_RATE * 0.5 * (1 + Math.cos((Math.PI * step) / steps));
  const { data } = (
    await program.run(
      new Map([
        [
          'x',
          tensor(
            batchOf(images, indices, () => source.integer(5) - 2),
            [BATCH, 1, 32, 32],
          ),
        ],
        [
          'labels',
          tensor(
            indices.map((i) => labels.data[i]!),
            [BATCH],
          ),
        ],
        ['rate', tensor([rate], [1])],
        ['corrections', tensor(optimizer.corrections(step + 1), [2])],
      ]),
    )
  ).get('loss')!;
  if (step % 100 === 0) console.log(`step ${step} of ${steps}: loss ${data[0]!.toFixed(4)}`);
}

const names = new Set(initialise(model).keys());
const weights = new Map([...(await program.parameters())].filter(([name]) => names.has(name)));
const trained = await compile(model, { weights, input: [100, 1, 32, 32], backend });
let right = 0;
for (let first = 0; first < testImages.shape[0]!; first += 100) {
  const indices = Array.from({ length: 100 }, (_, i) => first + i);
  const { data } = await trained.run(batchOf(testImages, indices, () => 0));
  for (const [row, index] of indices.entries()) {
    const logits = data.subarray(row * 10, row * 10 + 10);
    if (logits.indexOf(Math.max(...logits)) === testLabels.data[index]) right++;
  }
}
console.log(`${((100 * right) / testImages.shape[0]!).toFixed(2)} % of ${testImages.shape[0]} test digits`);
await writeFile(
  out,
  writeSafetensors(weights, { trainedOn: 'MNIST', testAccuracy: String(right / testImages.shape[0]!) }),
);
console.log(`written to ${out}`);
