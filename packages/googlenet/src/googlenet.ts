/**
 * GoogLeNet, "Inception v1" (Szegedy et al. 2014, https://arxiv.org/abs/1409.4842, table 1).
 *
 * Deviations, all torchvision's, so that its weights load: batch norm after every convolution, no
 * response normalisation, and a 3x3 kernel where the paper's third branch has 5x5.
 */
import {
  adaptiveAvgPool,
  batchNorm,
  concat,
  conv2d,
  dropout,
  flatten,
  globalAvgPool,
  linear,
  type Module,
  maxPool,
  module,
  type Node,
  normal,
  type Pair,
  pipe,
  relu,
  sequential,
} from '@cnn/core';

/** Options of {@link googlenet}. */
export interface GooglenetOptions {
  /** Default 1000. */
  readonly numClasses?: number;
  /** Adds the two auxiliary heads, which run in training only, as outputs `aux1` and `aux2`. Default false. */
  readonly auxLogits?: boolean;
  /** Dropout probability before the classifier, in training. Default 0.2. */
  readonly dropout?: number;
}

/** torchvision's initialisation, without its truncation at 200 standard deviations, which no value reaches. */
const init = normal(0.01);

/** Convolution, batch norm, ReLU. */
const basicConv = (
  inC: number,
  outC: number,
  kernel: Pair,
  options: { stride?: number; padding?: number } = {},
) =>
  module(
    {
      conv: conv2d(inC, outC, kernel, { ...options, bias: false, init }),
      bn: batchNorm(outC, { eps: 0.001 }),
    },
    (m, x) => pipe(x, m.conv, m.bn, relu),
  );

/** Channels of an inception module in the order of table 1. */
type Row = readonly [
  input: number,
  c1x1: number,
  c3x3Reduce: number,
  c3x3: number,
  c5x5Reduce: number,
  c5x5: number,
  poolProjection: number,
];

const table = {
  inception3a: [192, 64, 96, 128, 16, 32, 32],
  inception3b: [256, 128, 128, 192, 32, 96, 64],
  inception4a: [480, 192, 96, 208, 16, 48, 64],
  inception4b: [512, 160, 112, 224, 24, 64, 64],
  inception4c: [512, 128, 128, 256, 24, 64, 64],
  inception4d: [512, 112, 144, 288, 32, 64, 64],
  inception4e: [528, 256, 160, 320, 32, 128, 128],
  inception5a: [832, 256, 160, 320, 32, 128, 128],
  inception5b: [832, 384, 192, 384, 48, 128, 128],
} as const satisfies Record<string, Row>;

/** Figure 2(b): four branches side by side. */
const inception = ([inC, c1, c3Reduce, c3, c5Reduce, c5, pool]: Row): Module =>
  module(
    {
      branch1: basicConv(inC, c1, 1),
      branch2: sequential(basicConv(inC, c3Reduce, 1), basicConv(c3Reduce, c3, 3, { padding: 1 })),
      branch3: sequential(basicConv(inC, c5Reduce, 1), basicConv(c5Reduce, c5, 3, { padding: 1 })),
      branch4: sequential(maxPool(3, { stride: 1, padding: 1, ceilMode: true }), basicConv(inC, pool, 1)),
    },
    (m, x) => concat([m.branch1(x), m.branch2(x), m.branch3(x), m.branch4(x)]),
  );

/** Section 5: an auxiliary classifier, so that gradients reach the middle of the network. */
const auxiliary = (inC: number, numClasses: number): Module =>
  module(
    {
      conv: basicConv(inC, 128, 1),
      fc1: linear(2048, 1024, { init }),
      fc2: linear(1024, numClasses, { init }),
    },
    (m, x) => pipe(x, adaptiveAvgPool(4), m.conv, flatten, m.fc1, relu, dropout(0.7), m.fc2),
  );

/** Returns x unchanged; in a training graph it also makes the logits of `head` the output `name`. */
const observed =
  (name: string, head: Module | undefined) =>
  (x: Node): Node => {
    if (head && x.graph.mode === 'training') x.graph.outputs.set(name, head(x));
    return x;
  };

/** GoogLeNet: n x 3 x h x w (at least 15x15) to n x `numClasses` logits. */
export function googlenet(options: GooglenetOptions = {}): Module {
  const { numClasses = 1000, auxLogits = false, dropout: rate = 0.2 } = options;
  const halve = maxPool(3, { stride: 2, ceilMode: true });
  return module(
    {
      conv1: basicConv(3, 64, 7, { stride: 2, padding: 3 }),
      conv2: basicConv(64, 64, 1),
      conv3: basicConv(64, 192, 3, { padding: 1 }),
      inception3a: inception(table.inception3a),
      inception3b: inception(table.inception3b),
      inception4a: inception(table.inception4a),
      inception4b: inception(table.inception4b),
      inception4c: inception(table.inception4c),
      inception4d: inception(table.inception4d),
      inception4e: inception(table.inception4e),
      inception5a: inception(table.inception5a),
      inception5b: inception(table.inception5b),
      aux1: auxLogits ? auxiliary(512, numClasses) : undefined,
      aux2: auxLogits ? auxiliary(528, numClasses) : undefined,
      fc: linear(1024, numClasses, { init }),
    },
    (m, x) =>
      pipe(
        x,
        m.conv1,
        halve,
        m.conv2,
        m.conv3,
        halve,
        m.inception3a,
        m.inception3b,
        halve,
        m.inception4a,
        observed('aux1', m.aux1),
        m.inception4b,
        m.inception4c,
        m.inception4d,
        observed('aux2', m.aux2),
        m.inception4e,
        maxPool(2, { ceilMode: true }),
        m.inception5a,
        m.inception5b,
        globalAvgPool,
        dropout(rate),
        m.fc,
      ),
  );
}
