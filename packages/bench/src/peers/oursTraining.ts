/** Training with @cnn: one compiled program computes the loss, the gradients and the update. */
import { enableWideSimd, type ModelEntry, readWeights, tensor } from '@cnn/core';
import { compileOn } from '@cnn/core/graph';
import { crossEntropy, sgd, trainingStep, withOptimizerState } from '@cnn/train';
import { fileNames, type Peer } from '../peer.js';
import { LEARNING_RATE, labelsOf } from './training.js';

/** Creates the peer that trains the given models. */
export const oursTraining = (models: Readonly<Record<string, ModelEntry>>): Peer => ({
  async load({ network, input, files, threads, wideSimd }, read) {
    if (wideSimd) enableWideSimd();
    const names = fileNames(input);
    const step = trainingStep(models[network]!.build(), {
      input,
      loss: crossEntropy(),
      optimizer: sgd({ learningRate: LEARNING_RATE }),
    });
    const weights = await readWeights(files + names.weights);
    const { program, fallbackReason } = await compileOn('wasm', step, withOptimizerState(step, weights), {
      threads,
    });
    const feeds = new Map([
      ['x', tensor(new Float32Array(await read(names.input)), input)],
      ['labels', tensor(labelsOf(input[0]!), [input[0]!])],
      ['rate', tensor([LEARNING_RATE], [1])],
      ['corrections', tensor([1, 1], [2])],
    ]);
    return {
      run: async () => (await program.run(feeds)).get('loss')!.data,
      threads: program.threads,
      notes: fallbackReason ? [fallbackReason] : [],
    };
  },
});
