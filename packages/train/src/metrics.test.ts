/** Tests metrics, losses with weights and smoothing, and evaluation over views against plain sums. */
import { conv2d, globalAvgPool, initialise, module, pipe, type Tensor, tensor } from '@cnn/core';
import { expect, test } from 'vitest';
import {
  classReports,
  confusionMatrix,
  crossEntropy,
  type Dataset,
  evaluate,
  sgd,
  topKAccuracy,
  trainer,
} from './index.js';

test('top-k counts the label among the k highest, the first of equal ones', () => {
  const logits = tensor([0.1, 0.7, 0.2, 0.5, 0.3, 0.2, 1, 1, 1, Number.NaN, 0, 0], [4, 3]);
  expect(topKAccuracy(logits, [1, 1, 0, 0], 1)).toBe(2 / 4);
  expect(topKAccuracy(logits, [1, 1, 1, 0], 2)).toBe(3 / 4);
  expect(topKAccuracy(logits, [0, 2, 2, 1], 3)).toBe(4 / 4);
});

test('a confusion matrix counts by true and predicted class, and gives precision and recall', () => {
  const matrix = confusionMatrix([0, 0, 1, 1, 1, 2], [0, 1, 1, 1, 0, 1], 3);
  expect(matrix).toEqual([
    [1, 1, 0],
    [1, 2, 0],
    [0, 1, 0],
  ]);
  const [first, second, third] = classReports(matrix);
  expect(first).toEqual({ precision: 1 / 2, recall: 1 / 2 });
  expect(second).toEqual({ precision: 2 / 4, recall: 2 / 3 });
  expect(third).toEqual({ precision: Number.NaN, recall: 0 });
  expect(() => confusionMatrix([3], [0], 3)).toThrow(/label 3 and the prediction 0; with 3 classes/);
});

/** Model whose logits are easy to compute: the weights times the means of the channels. */
const model = module({ conv: conv2d(2, 3, 1, { bias: false }) }, (m, x) => pipe(x, m.conv, globalAvgPool));
const values = [1, 0.5, -1, 2, 0.25, -0.5];
const weights = new Map([['conv.weight', tensor(values, [3, 2, 1, 1])]]);
const pictures: readonly (readonly [number, number])[] = [
  [1, 2],
  [0.5, -1],
  [-2, 0.5],
  [0.25, 0.75],
];
const dataset: Dataset = {
  size: 4,
  shape: [2, 1, 1],
  at: (index) => ({ pixels: Float32Array.from(pictures[index]!), label: index % 3 }),
};
const logitsOf = ([a, b]: readonly [number, number]): number[] =>
  [0, 1, 2].map((c) => values[2 * c]! * a + values[2 * c + 1]! * b);
const logSoftmax = (scores: readonly number[]): number[] => {
  const log = Math.log(scores.reduce((sum, score) => sum + Math.exp(score), 0));
  return scores.map((score) => score - log);
};

test('cross entropy with label smoothing and class weights is the mean that PyTorch documents', async () => {
  const [smoothing, classWeights] = [0.1, [1, 3, 0.5]];
  let [sum, weight] = [0, 0];
  for (const [index, picture] of pictures.entries()) {
    const logs = logSoftmax(logitsOf(picture));
    const label = index % 3;
    const uniform = logs.reduce((total, log, c) => total - classWeights[c]! * log, 0) / 3;
    sum += (1 - smoothing) * -classWeights[label]! * logs[label]! + smoothing * uniform;
    weight += classWeights[label]!;
  }
  const options = { model, weights, optimizer: sgd({ learningRate: 0 }), input: [4, 2, 1, 1] };
  await using run = trainer({ ...options, loss: crossEntropy({ labelSmoothing: smoothing, classWeights }) });
  const { value } = await run.fit(dataset, { epochs: 1 }).next();
  expect(value!.batchLoss).toBeCloseTo(sum / weight, 5);
});

test('an evaluation over views takes the mean of their probabilities, in batches that count views', async () => {
  const flipped = ({ shape, data }: Tensor): Tensor => ({ shape, data: data.slice().reverse() });
  const views = { count: 2, of: (picture: Tensor) => [picture, flipped(picture)] };
  const result = await evaluate({ model, weights, dataset, views, input: [6, 2, 1, 1], topK: [1, 2] });
  const probabilities = pictures.map(([a, b]) => {
    const both = [logSoftmax(logitsOf([a, b])), logSoftmax(logitsOf([b, a]))];
    return [0, 1, 2].map((c) => (Math.exp(both[0]![c]!) + Math.exp(both[1]![c]!)) / 2);
  });
  const losses = probabilities.map((row, index) => -Math.log(row[index % 3]!));
  expect(result.loss).toBeCloseTo(losses.reduce((sum, loss) => sum + loss, 0) / 4, 5);
  const right = probabilities.filter((row, index) => row.indexOf(Math.max(...row)) === index % 3).length;
  expect(result.accuracy).toBe(right / 4);
  expect(result.topK.get(1)).toBe(right / 4);
  expect(result.count).toBe(4);
  const tooSmall = evaluate({ model, weights, dataset, views, input: [1, 2, 1, 1] });
  await expect(tooSmall).rejects.toThrow(/no room for the 2 views/);
});

test('with ema, evaluate uses the averaged weights', async () => {
  const options = { model, weights: initialise(model, { seed: 2 }), optimizer: sgd({ learningRate: 0.5 }) };
  await using run = trainer({ ...options, input: [2, 2, 1, 1], ema: 0.9, seed: 1 });
  for await (const _ of run.fit(dataset, { epochs: 3 }));
  const averaged = await run.averagedWeights();
  const expected = await evaluate({ model, weights: averaged, dataset, input: [2, 2, 1, 1] });
  expect((await run.evaluate(dataset)).loss).toBeCloseTo(expected.loss, 6);
  const last = await evaluate({ model, weights: await run.weights(), dataset, input: [2, 2, 1, 1] });
  expect(last.loss).not.toBeCloseTo(expected.loss, 3);
});
