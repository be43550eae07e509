/**
 * Trains the weights that this package ships: LeNet-5 on MNIST, from scratch, on the CPU. The seed is fixed, so the
 * same back end gives the same file.
 * Usage: node scripts/script.mjs packages/lenet/scripts/train.ts <folder with the four MNIST files> [epochs] [out]
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeSafetensors } from '@cnn/core';
import { readMnist } from '@cnn/image';
import { lenet5 } from '@cnn/lenet';
import { adam, centerCrop, compose, cosine, randomCrop, trainer } from '@cnn/train';

const [folder, epochs = '5', out = 'packages/lenet/weights/lenet5.safetensors'] = process.argv.slice(2);
if (!folder) throw new Error('Name the folder of the four MNIST files (train-images-idx3-ubyte.gz, ...).');

const read = async (part: string) => {
  const [images, labels] = await Promise.all(
    ['images-idx3', 'labels-idx1'].map((kind) => readFile(join(folder, `${part}-${kind}-ubyte.gz`))),
  );
  return readMnist(images!, labels!);
};
const [digits, test] = [await read('train'), await read('t10k')];

// The 28x28 digits are centred in 32x32; augmentation shifts them by up to two pixels.
const prepare = centerCrop(32);
await using run = trainer({
  model: lenet5(),
  optimizer: adam({ learningRate: 2e-3 }),
  schedule: cosine(),
  input: [64, 1, 32, 32],
  prepare,
  augment: compose(prepare, randomCrop(32, { padding: 2 })),
  seed: 1,
});
for await (const { epoch, epochDone, step, totalSteps, loss, accuracy, imagesPerSecond } of run.fit(digits, {
  epochs: Number(epochs),
})) {
  if (epochDone || step % 200 === 0)
    console.log(
      `step ${step} of ${totalSteps}, epoch ${epoch}: loss ${loss.toFixed(4)}, accuracy ${(100 * accuracy).toFixed(2)} %, ${Math.round(imagesPerSecond)} pictures/s`,
    );
}
const { accuracy, loss } = await run.evaluate(test);
console.log(
  `${(100 * accuracy).toFixed(2)} % of ${test.size} test digits, loss ${loss.toFixed(4)}, on ${run.backend}`,
);
await writeFile(
  out,
  writeSafetensors(await run.weights(), { trainedOn: 'MNIST', testAccuracy: `${accuracy}` }),
);
console.log(`written to ${out}`);
