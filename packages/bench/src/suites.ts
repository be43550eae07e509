/** What is measured: each suite compares contenders on all networks under the same conditions, and has its targets. */
import { networks } from './networks.js';

/** Where a contender runs: a Node of that major version, this process's own, or a browser. */
export type Runtime = 'node' | `node${number}` | 'chromium';

/** A peer under certain conditions. */
export interface Contender {
  /** Unique within the suite, and the title of its columns. */
  readonly name: string;
  readonly peer: string;
  readonly runtime: Runtime;
  readonly wide?: boolean;
}

/** A table of the document. */
export interface Suite {
  readonly id: string;
  readonly title: string;
  /** Latency: time of one run. Throughput: pictures a second. Start: process start to the first result, and memory. */
  readonly kind: 'latency' | 'throughput' | 'start';
  readonly batch: number;
  /** Undefined: as many as each peer takes by itself. */
  readonly threads?: number;
  /** The first one is ours; the others are compared with it. */
  readonly contenders: readonly Contender[];
  /** Names of networks; default all. */
  readonly networks?: readonly string[];
  /** What is wanted, per network and as geometric mean: our time over the other's, at most. */
  readonly targets: readonly Target[];
}

/** Our time over that of another contender, at most. */
export interface Target {
  readonly contender: string;
  readonly networks: Readonly<Record<string, number>>;
  readonly geometricMean: number;
}

const everyNetwork = (ratio: number): Readonly<Record<string, number>> =>
  Object.fromEntries(networks.map(({ name }) => [name, ratio]));

const oursPaired: Contender = { name: 'ours, 256-bit', peer: 'ours', runtime: 'node24', wide: true };
const native: Contender = { name: 'onnxruntime-node', peer: 'onnxruntime-node', runtime: 'node24' };

/** Contenders that run as WebAssembly alone. */
const webAssembly = (runtime: Runtime): readonly Contender[] => [
  { name: 'ours', peer: 'ours', runtime },
  { name: 'onnxruntime-web', peer: 'onnxruntime-web', runtime },
  { name: 'tfjs-wasm', peer: 'tfjs-wasm', runtime },
];

/** At least three times as fast by geometric mean, and 1.5 times on every network. */
const farAhead: readonly Target[] = ['onnxruntime-web', 'tfjs-wasm'].map((contender) => ({
  contender,
  networks: everyNetwork(1 / 1.5),
  geometricMean: 1 / 3,
}));

/** The tables of the document, in its order. */
export const suites: readonly Suite[] = [
  {
    id: 'node24',
    title: 'Node 24, batch 1, 2 threads',
    kind: 'latency',
    batch: 1,
    threads: 2,
    contenders: [oursPaired, native, { name: 'ours, 128-bit', peer: 'ours', runtime: 'node24' }],
    targets: [
      {
        contender: native.name,
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
    id: 'node24-1',
    title: 'Node 24, batch 1, 1 thread',
    kind: 'latency',
    batch: 1,
    threads: 1,
    contenders: [oursPaired, native],
    targets: [],
  },
  {
    id: 'batch8',
    title: 'Node 24, batch 8, 2 threads',
    kind: 'throughput',
    batch: 8,
    threads: 2,
    contenders: [oursPaired, native],
    targets: [{ contender: native.name, networks: everyNetwork(1), geometricMean: 1 }],
  },
  {
    id: 'node20',
    title: 'Node 20, batch 1, threads as each peer takes them',
    kind: 'latency',
    batch: 1,
    contenders: webAssembly('node20'),
    targets: farAhead,
  },
  {
    id: 'chromium',
    title: 'Chromium, batch 1, threads as each peer takes them',
    kind: 'latency',
    batch: 1,
    contenders: webAssembly('chromium'),
    targets: farAhead,
  },
  {
    id: 'start',
    title: 'Cold start and memory',
    kind: 'start',
    batch: 1,
    threads: 2,
    contenders: [
      oursPaired,
      native,
      { name: 'ours, Node 20', peer: 'ours', runtime: 'node20' },
      { name: 'onnxruntime-web', peer: 'onnxruntime-web', runtime: 'node20' },
      { name: 'tfjs-wasm', peer: 'tfjs-wasm', runtime: 'node20' },
    ],
    networks: ['mobilenet_v2', 'resnet50', 'vgg16'],
    targets: [],
  },
];

/** For a look: two small networks on the Node that runs the command. */
export const quickSuite: Suite = {
  id: 'quick',
  title: 'A quick look, batch 1, 2 threads',
  kind: 'latency',
  batch: 1,
  threads: 2,
  contenders: [
    { name: 'ours', peer: 'ours', runtime: 'node' },
    { name: 'onnxruntime-node', peer: 'onnxruntime-node', runtime: 'node' },
  ],
  networks: ['mobilenet_v3_small', 'resnet18'],
  targets: [],
};
