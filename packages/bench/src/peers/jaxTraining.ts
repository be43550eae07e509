/** jax-js on WebAssembly: the training step of LeNet-5 in idiomatic jax-js, compiled by `jit`. */
import { readWeights, sizeOf } from '@cnn/core';
import {
  defaultDevice,
  init,
  jit,
  lax,
  nn,
  numpy,
  tree,
  type Array as Value,
  valueAndGrad,
} from '@jax-js/jax';
import { fileNames, type Peer, Unsupported } from '../peer.js';
import { CLASSES, LEARNING_RATE, labelsOf } from './training.js';

type Parameters = Readonly<Record<string, Value>>;

/** Max pooling with a 2x2 window. */
function maxPool2x2(x: Value): Value {
  const [n, c, h, w] = x.shape as [number, number, number, number];
  return numpy.max(x.reshape([n, c, h / 2, 2, w / 2, 2]), [3, 5]);
}

function loss(p: Parameters, x: Value, target: Value): Value {
  const convolved = (input: Value, name: string): Value => {
    const bias = p[`${name}.bias`]!;
    const sum = lax
      .conv(input, p[`${name}.weight`]!, [1, 1], 'VALID')
      .add(bias.reshape([1, bias.shape[0]!, 1, 1]));
    return maxPool2x2(nn.relu(sum));
  };
  const connected = (input: Value, name: string): Value =>
    numpy.matmul(input, p[`${name}.weight`]!.transpose()).add(p[`${name}.bias`]!);
  const features = convolved(convolved(x, 'conv1'), 'conv2').reshape([target.shape[0]!, 400]);
  const logits = connected(nn.relu(connected(nn.relu(connected(features, 'fc1')), 'fc2')), 'fc3');
  return numpy.mean(numpy.sum(nn.logSoftmax(logits, -1).mul(target), 1)).mul(-1);
}

/** jax-js as a peer; it uses one thread. */
export const jaxTraining: Peer = {
  async load({ network, input }, read) {
    if (network !== 'lenet5') throw new Unsupported(`the benchmark has no ${network} for jax-js`);
    await init('wasm');
    defaultDevice('wasm');
    const names = fileNames(input);
    const weights = await readWeights(new Uint8Array(await read(names.weights)));
    let parameters: Parameters = Object.fromEntries(
      [...weights].map(([name, { shape, data }]) => [name, numpy.array(data).reshape([...shape])]),
    );
    const pixels = new Float32Array(await read(names.input), 0, sizeOf(input));
    const x = numpy.array(pixels).reshape([...input]);
    const labels = numpy.array(Int32Array.from(labelsOf(input[0]!)), { dtype: numpy.int32 });
    const target = nn.oneHot(labels, CLASSES);
    const step = jit((p: Parameters, x: Value, target: Value): [Value, Parameters] => {
      const [value, gradients] = valueAndGrad(loss)(tree.ref(p), x, target);
      return [value, tree.map((a: Value, b: Value) => a.sub(b.mul(LEARNING_RATE)), p, gradients)];
    });
    return {
      async run() {
        // jax-js consumes its arguments; `.ref` keeps an array alive.
        const [value, updated] = step(parameters, x.ref, target.ref);
        parameters = updated;
        const data = await value.data();
        await Promise.all(Object.values(parameters).map((parameter) => parameter.blockUntilReady()));
        return Float32Array.from(data);
      },
      threads: 1,
      notes: [],
    };
  },
};
