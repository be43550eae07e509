/** What is measured: the suites, in the order of the document, with their targets. */
import { lenet5, type Network, networks, resnet18Cifar, resnet20, smaller } from './networks.js';
import type { Contender, Runtime, Suite, Target } from './suite.js';

const everyNetwork = (ratio: number): Readonly<Record<string, number>> =>
  Object.fromEntries(networks.map(({ name }) => [name, ratio]));

const node20 = 'ours, Node 20';
const oursPaired: Contender = { name: 'ours, 256-bit', peer: 'ours', runtime: 'node24', wide: true };
const native: Contender = { name: 'onnxruntime-node', peer: 'onnxruntime-node', runtime: 'node24' };
const nativePaired: Contender = { ...native, name: 'onnxruntime-node, 256-bit', avx2: true };
/** They share their targets, which were set on a processor that computes 256 bits at a time. */
const natives = [native.name, nativePaired.name];

/** Contenders that run as WebAssembly alone. */
const webAssembly = (runtime: Runtime): readonly Contender[] => [
  { name: 'ours', peer: 'ours', runtime },
  { name: 'onnxruntime-web', peer: 'onnxruntime-web', runtime },
  { name: 'tfjs-wasm', peer: 'tfjs-wasm', runtime },
];

/** At least three times as fast by geometric mean, and 1.5 times on every network. */
const farAhead: Target = {
  contenders: ['onnxruntime-web', 'tfjs-wasm'],
  networks: everyNetwork(1 / 1.5),
  geometricMean: 1 / 3,
};

/** Training steps: forward, backward and update, of one batch. */
function trainingSuite(
  id: string,
  title: string,
  trained: readonly Network[],
  batch: number,
  peers: readonly string[],
): Suite {
  const all = (ratio: number) => Object.fromEntries(trained.map(({ name }) => [name, ratio]));
  const of = (name: string, peer: string, runtime: Runtime): Contender => ({ name, peer, runtime });
  const torch = ['PyTorch', 'PyTorch, 256-bit'];
  return {
    id,
    title: `Training ${title}, batch ${batch}, 2 threads`,
    about:
      'One step: forward, backward and plain gradient descent (learning rate 0.01). The losses of the first three steps are compared, so that gradients count too.',
    kind: 'turns',
    batch,
    threads: 2,
    contenders: [
      { ...oursPaired, peer: 'ours-training' },
      of('PyTorch', 'pytorch', 'python'),
      { ...of('PyTorch, 256-bit', 'pytorch', 'python'), avx2: true },
      of(node20, 'ours-training', 'node20'),
      ...peers.map((peer) => of(peer, `${peer}-training`, 'node24')),
    ],
    networks: trained,
    tables: [
      {
        metric: 'time',
        contenders: [oursPaired.name, ...torch, ...peers],
        targets: [
          { contenders: torch, networks: all(1) },
          { contenders: ['jax'], networks: all(1 / 30) },
        ],
      },
      {
        metric: 'time',
        about: 'Ours on plain Node 20:',
        contenders: [node20, ...torch],
        targets: [{ contenders: torch, networks: all(2) }],
      },
    ],
    compared: 3,
    slow: peers.length > 0,
  };
}

const gpuNetworks = ['resnet18', 'mobilenet_v2'].map((name) => smaller(name, 128));

/** Our gpu back end against others on the same interface: latency, compile time, time to the first result, kernels. */
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
      'The GPU is the one that the page gets; where there is none, Chromium computes on the CPU (SwiftShader), and the times say little about real GPUs. Compile: from the model and its weights in memory to the first output. Of ours it is all of `compile`, which folds batch norm, opens the device, compiles and uploads, and the first run; of tfjs the warm-up, its first prediction, with batch norm folded and weights laid out before, in the file, and with its back end already initialised; of onnxruntime-web making the session from bytes, with the start of its WebAssembly, and the first run. First result: that and the reading of files before it, from the beginning of loading. Kernels: distinct pipelines (WebGPU) or programs (WebGL2) compiled by then.',
    kind: 'turns',
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

/** The tables of the document, in its order. */
export const suites: readonly Suite[] = [
  {
    id: 'node24',
    title: 'Node 24, batch 1, 2 threads',
    kind: 'turns',
    batch: 1,
    threads: 2,
    contenders: [
      oursPaired,
      native,
      nativePaired,
      { name: 'ours, 128-bit', peer: 'ours', runtime: 'node24' },
    ],
    networks,
    tables: [
      {
        metric: 'time',
        contenders: [oursPaired.name, ...natives],
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
        about: 'What the wider vectors give ours:',
        contenders: [oursPaired.name, 'ours, 128-bit'],
      },
    ],
  },
  {
    id: 'node24-1',
    title: 'Node 24, batch 1, 1 thread',
    kind: 'turns',
    batch: 1,
    threads: 1,
    contenders: [oursPaired, native, nativePaired],
    networks,
    tables: [{ metric: 'time' }],
  },
  {
    id: 'batch8',
    title: 'Node 24, batch 8, 2 threads',
    kind: 'turns',
    batch: 8,
    threads: 2,
    contenders: [oursPaired, native, nativePaired],
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
    title: 'Node 20, batch 1, threads as each peer takes them',
    kind: 'turns',
    batch: 1,
    contenders: webAssembly('node20'),
    networks,
    tables: [{ metric: 'time', targets: [farAhead] }],
  },
  {
    id: 'chromium',
    title: 'Chromium, batch 1, threads as each peer takes them',
    kind: 'turns',
    batch: 1,
    contenders: webAssembly('chromium'),
    networks,
    tables: [{ metric: 'time', targets: [farAhead] }],
  },
  {
    id: 'start',
    title: 'Cold start and memory, 2 threads',
    about:
      'From the start of the process to its first result, with the model and its weights read from files; and the most memory that the process has held by then (maxRSS).',
    kind: 'starts',
    batch: 1,
    threads: 2,
    contenders: [
      oursPaired,
      native,
      { name: node20, peer: 'ours', runtime: 'node20' },
      { name: 'onnxruntime-web', peer: 'onnxruntime-web', runtime: 'node20' },
      { name: 'tfjs-wasm', peer: 'tfjs-wasm', runtime: 'node20' },
    ],
    networks: networks.filter(({ name }) => ['mobilenet_v2', 'resnet50', 'vgg16'].includes(name)),
    tables: [
      { metric: 'start', contenders: [oursPaired.name, native.name], limits: { mobilenet_v2: 400 } },
      {
        metric: 'memory',
        contenders: [oursPaired.name, native.name],
        targets: [{ contenders: [native.name], networks: everyNetwork(1.2) }],
      },
      { metric: 'start', about: 'On plain Node 20:', contenders: onNode20 },
      { metric: 'memory', contenders: onNode20 },
    ],
  },
  gpuSuite('webgpu', 'WebGPU', ['tfjs-webgpu', 'onnxruntime-webgpu']),
  gpuSuite('webgl2', 'WebGL2', ['tfjs-webgl']),
  trainingSuite('training-lenet', 'LeNet-5 (1x32x32)', [lenet5], 64, ['jax', 'tfjs']),
  trainingSuite('training-resnet', 'ResNets (3x32x32)', [resnet20, resnet18Cifar], 16, []),
];

/** Names for several suites at once. */
export const groups: Readonly<Record<string, readonly string[]>> = {
  inference: ['node24', 'node24-1', 'batch8', 'node20', 'chromium', 'start'],
  gpu: ['webgpu', 'webgl2'],
  training: ['training-lenet', 'training-resnet'],
};

/** For a look: two small networks on the Node that runs the command. */
export const quickSuite: Suite = {
  id: 'quick',
  title: 'A quick look, batch 1, 2 threads',
  kind: 'turns',
  batch: 1,
  threads: 2,
  contenders: [
    { name: 'ours', peer: 'ours', runtime: 'node' },
    { name: 'onnxruntime-node', peer: 'onnxruntime-node', runtime: 'node' },
  ],
  networks: networks.filter(({ name }) => ['mobilenet_v3_small', 'resnet18'].includes(name)),
  tables: [{ metric: 'time' }],
};
