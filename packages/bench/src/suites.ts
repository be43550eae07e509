/** The suites and their targets, in the order of the document. */
import { lenet5, type Network, networks, resnet18Cifar, resnet20, smaller } from './networks.js';
import type { Contender, Runtime, Suite, Target } from './suite.js';

const everyNetwork = (ratio: number): Readonly<Record<string, number>> =>
  Object.fromEntries(networks.map(({ name }) => [name, ratio]));

const node20 = 'ours, Node 20';
const ours256: Contender = { name: 'ours, 256-bit', peer: 'ours', runtime: 'node24', wideSimd: true };
const native: Contender = { name: 'onnxruntime-node', peer: 'onnxruntime-node', runtime: 'node24' };
const native256: Contender = { ...native, name: 'onnxruntime-node, 256-bit', avx2: true };
/** Both share their targets, which were set on a processor with 256-bit vectors. */
const natives = [native.name, native256.name];

/** Contenders that run in WebAssembly. */
const webAssemblyContenders = (runtime: Runtime): readonly Contender[] => [
  { name: 'ours', peer: 'ours', runtime },
  { name: 'onnxruntime-web', peer: 'onnxruntime-web', runtime },
  { name: 'tfjs-wasm', peer: 'tfjs-wasm', runtime },
];

/** At least 3 times as fast by geometric mean, and at least 1.5 times as fast on every network. */
const webAssemblyTarget: Target = {
  contenders: ['onnxruntime-web', 'tfjs-wasm'],
  networks: everyNetwork(1 / 1.5),
  geometricMean: 1 / 3,
};

/** Suite of training steps: forward, backward and update on one batch. */
function trainingSuite(
  id: string,
  title: string,
  trained: readonly Network[],
  batch: number,
  peers: readonly string[],
): Suite {
  const all = (ratio: number) => Object.fromEntries(trained.map(({ name }) => [name, ratio]));
  const contender = (name: string, peer: string, runtime: Runtime): Contender => ({ name, peer, runtime });
  const torch = ['PyTorch', 'PyTorch, 256-bit'];
  return {
    id,
    title: `Training ${title}, batch ${batch}, 2 threads`,
    about:
      'One training step: forward, backward and plain gradient descent (learning rate 0.01). The losses of the first three steps are compared, which also checks the gradients.',
    kind: 'interleaved',
    batch,
    threads: 2,
    contenders: [
      { ...ours256, peer: 'ours-training' },
      contender('PyTorch', 'pytorch', 'python'),
      { ...contender('PyTorch, 256-bit', 'pytorch', 'python'), avx2: true },
      contender(node20, 'ours-training', 'node20'),
      ...peers.map((peer) => contender(peer, `${peer}-training`, 'node24')),
    ],
    networks: trained,
    tables: [
      {
        metric: 'time',
        contenders: [ours256.name, ...torch, ...peers],
        targets: [
          { contenders: torch, networks: all(1) },
          { contenders: ['jax'], networks: all(1 / 30) },
        ],
      },
      {
        metric: 'time',
        about: 'Ours on Node 20:',
        contenders: [node20, ...torch],
        targets: [{ contenders: torch, networks: all(2) }],
      },
    ],
    compared: 3,
    slow: peers.length > 0,
  };
}

const gpuNetworks = ['resnet18', 'mobilenet_v2'].map((name) => smaller(name, 128));

/**
 * Suite of the gpu back end and peers on the same GPU interface: latency, compile time, time to first result,
 * kernels.
 */
function gpuSuite(id: string, title: string, peers: readonly string[]): Suite {
  const atMost = (contender: string, ratio: number): Target => ({
    contenders: [contender],
    networks: Object.fromEntries(gpuNetworks.map(({ name }) => [name, ratio])),
  });
  const tfjs = peers[0]!;
  return {
    id,
    title: `${title} in Chromium, batch 1, 128x128 pixels`,
    about:
      'The page uses the GPU of the machine; without one, Chromium computes on the CPU (SwiftShader), and the times say little about real GPUs. Compile: from the model and its weights in memory to the first output. For ours this is all of `compile` (folding batch norm, opening the device, compiling kernels, uploading weights) plus the first run. For tfjs it is the warm-up, its first prediction; batch norm is already folded and the weights are laid out in the file, and the back end is already initialised. For onnxruntime-web it is creating the session from bytes, with the start of its WebAssembly, plus the first run. First result: from the start of loading, that is, reading the files plus compile. Kernels: distinct pipelines (WebGPU) or programs (WebGL2) compiled up to the first result.',
    kind: 'interleaved',
    batch: 1,
    contenders: [`ours-${id}`, ...peers].map((peer) => ({ name: peer, peer, runtime: 'chromium' })),
    networks: gpuNetworks,
    tables: [
      { metric: 'time', targets: [atMost(tfjs, 1)] },
      { metric: 'compile', targets: [atMost(tfjs, 1 / 3)] },
      { metric: 'firstResult' },
      { metric: 'kernels' },
    ],
    slow: true,
  };
}

const onNode20 = [node20, 'onnxruntime-web', 'tfjs-wasm'];

/** All suites, in the order of the document. */
export const suites: readonly Suite[] = [
  {
    id: 'node24',
    title: 'Node 24, batch 1, 2 threads',
    kind: 'interleaved',
    batch: 1,
    threads: 2,
    contenders: [ours256, native, native256, { name: 'ours, 128-bit', peer: 'ours', runtime: 'node24' }],
    networks,
    tables: [
      {
        metric: 'time',
        contenders: [ours256.name, ...natives],
        targets: [
          {
            contenders: natives,
            networks: {
              vgg16: 0.6,
              resnet18: 0.7,
              resnet50: 0.9,
              resnext50_32x4d: 0.7,
              googlenet: 0.85,
              densenet121: 0.9,
              mobilenet_v1: 0.9,
              mobilenet_v2: 0.9,
              mobilenet_v3_large: 0.9,
              mobilenet_v3_small: 0.95,
              efficientnet_b0: 0.9,
              shufflenet_v2_x1_0: 0.8,
              alexnet: 1,
            },
            geometricMean: 0.78,
          },
        ],
      },
      {
        metric: 'time',
        about: 'Effect of 256-bit vectors on ours:',
        contenders: [ours256.name, 'ours, 128-bit'],
      },
    ],
  },
  {
    id: 'node24-1',
    title: 'Node 24, batch 1, 1 thread',
    kind: 'interleaved',
    batch: 1,
    threads: 1,
    contenders: [ours256, native, native256],
    networks,
    tables: [{ metric: 'time' }],
  },
  {
    id: 'batch8',
    title: 'Node 24, batch 8, 2 threads',
    kind: 'interleaved',
    batch: 8,
    threads: 2,
    contenders: [ours256, native, native256],
    networks,
    tables: [
      {
        metric: 'throughput',
        targets: [{ contenders: natives, networks: everyNetwork(1), geometricMean: 1 }],
      },
    ],
  },
  {
    id: 'node20',
    title: 'Node 20, batch 1, default threads',
    kind: 'interleaved',
    batch: 1,
    contenders: webAssemblyContenders('node20'),
    networks,
    tables: [{ metric: 'time', targets: [webAssemblyTarget] }],
  },
  {
    id: 'chromium',
    title: 'Chromium, batch 1, default threads',
    kind: 'interleaved',
    batch: 1,
    contenders: webAssemblyContenders('chromium'),
    networks,
    tables: [{ metric: 'time', targets: [webAssemblyTarget] }],
  },
  {
    id: 'start',
    title: 'Cold start and memory, 2 threads',
    about:
      'Time from the start of the process to its first result, with the model and its weights read from files, and peak memory of the process up to then (maxRSS).',
    kind: 'cold starts',
    batch: 1,
    threads: 2,
    contenders: [
      ours256,
      native,
      { name: node20, peer: 'ours', runtime: 'node20' },
      { name: 'onnxruntime-web', peer: 'onnxruntime-web', runtime: 'node20' },
      { name: 'tfjs-wasm', peer: 'tfjs-wasm', runtime: 'node20' },
    ],
    networks: networks.filter(({ name }) => ['mobilenet_v2', 'resnet50', 'vgg16'].includes(name)),
    tables: [
      { metric: 'start', contenders: [ours256.name, native.name], limits: { mobilenet_v2: 400 } },
      {
        metric: 'memory',
        contenders: [ours256.name, native.name],
        targets: [{ contenders: [native.name], networks: everyNetwork(1.2) }],
      },
      { metric: 'start', about: 'On Node 20:', contenders: onNode20 },
      { metric: 'memory', contenders: onNode20 },
    ],
  },
  gpuSuite('webgpu', 'WebGPU', ['tfjs-webgpu', 'onnxruntime-webgpu']),
  gpuSuite('webgl2', 'WebGL2', ['tfjs-webgl']),
  trainingSuite('training-lenet', 'LeNet-5 (1x32x32)', [lenet5], 64, ['jax', 'tfjs']),
  trainingSuite('training-resnet', 'ResNets (3x32x32)', [resnet20, resnet18Cifar], 16, []),
];

/** Names of groups of suites. */
export const suiteGroups: Readonly<Record<string, readonly string[]>> = {
  inference: ['node24', 'node24-1', 'batch8', 'node20', 'chromium', 'start'],
  gpu: ['webgpu', 'webgl2'],
  training: ['training-lenet', 'training-resnet'],
};

/** Suite of `--quick`: two small networks on the current Node. */
export const quickSuite: Suite = {
  id: 'quick',
  title: 'Quick comparison, batch 1, 2 threads',
  kind: 'interleaved',
  batch: 1,
  threads: 2,
  contenders: [
    { name: 'ours', peer: 'ours', runtime: 'node' },
    { name: 'onnxruntime-node', peer: 'onnxruntime-node', runtime: 'node' },
  ],
  networks: networks.filter(({ name }) => ['mobilenet_v3_small', 'resnet18'].includes(name)),
  tables: [{ metric: 'time' }],
};
