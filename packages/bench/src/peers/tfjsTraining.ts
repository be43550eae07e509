/**
 * TensorFlow.js in Node: the training step of LeNet-5 on the JavaScript back end, the only one in Node with
 * all gradients.
 */
import { readWeights, sizeOf } from '@cnn/core';
import { version_cpu } from '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-core/dist/register_all_gradients';
import { fileNames, type Peer, Unsupported } from '../peer.js';
import { CLASSES, LEARNING_RATE, labelsOf } from './training.js';

/** LeNet-5. @param parameters - in state-dict order: weight and bias of conv1, conv2, fc1, fc2, fc3. */
function logits(x: tf.Tensor, parameters: readonly tf.Tensor[]): tf.Tensor {
  const [w1, b1, w2, b2, ...connected] = parameters as [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor];
  const convolved = (input: tf.Tensor, weight: tf.Tensor, bias: tf.Tensor): tf.Tensor => {
    const filter = tf.transpose(weight, [2, 3, 1, 0]);
    const sum = tf.add(tf.conv2d(input, filter, 1, 'valid'), bias);
    return tf.maxPool(tf.relu(sum), [2, 2], [2, 2], 'valid');
  };
  const features = convolved(convolved(x, w1, b1), w2, b2);
  let y = tf.reshape(tf.transpose(features, [0, 3, 1, 2]), [x.shape[0]!, -1]);
  for (let layer = 0; layer < connected.length; layer += 2) {
    if (layer > 0) y = tf.relu(y);
    y = tf.add(tf.matMul(y, connected[layer]!, false, true), connected[layer + 1]!);
  }
  return y;
}

/** TensorFlow.js training as a peer; it uses one thread. */
export const tfjsTraining: Peer = {
  async load({ network, input }, read) {
    if (network !== 'lenet5') throw new Unsupported(`the benchmark has no ${network} for tfjs`);
    await tf.setBackend('cpu');
    await tf.ready();
    const names = fileNames(input);
    const weights = await readWeights(new Uint8Array(await read(names.weights)));
    let parameters = [...weights.values()].map(({ shape, data }) => tf.tensor(data, [...shape], 'float32'));
    const pixels = new Float32Array(await read(names.input), 0, sizeOf(input));
    const x = tf.transpose(tf.tensor(pixels, [...input], 'float32'), [0, 2, 3, 1]);
    const target = tf.oneHot(labelsOf(input[0]!), CLASSES);
    const step = tf.valueAndGrads((...values: tf.Tensor[]) =>
      tf.losses.softmaxCrossEntropy(target, logits(x, values)),
    );
    return {
      async run() {
        const { value, grads } = step(parameters);
        const updated = parameters.map((parameter, index) =>
          tf.tidy(() => tf.sub(parameter, tf.mul(grads[index]!, LEARNING_RATE))),
        );
        const data = (await value.data()) as Float32Array;
        for (const tensor of [...parameters, ...grads, value]) tensor.dispose();
        parameters = updated;
        return data;
      },
      threads: 1,
      notes: [`tfjs-cpu ${version_cpu}`],
    };
  },
};
