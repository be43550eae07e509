/**
 * MobileNetV2 (Sandler et al. 2018, https://arxiv.org/abs/1801.04381, table 2). Parameter names are
 * torchvision's.
 */
import {
  add,
  batchNorm,
  constant,
  conv2d,
  convBnAct,
  dropout,
  globalAvgPool,
  kaimingNormal,
  linear,
  type Module,
  makeDivisible,
  module,
  type Node,
  normal,
  pipe,
  relu6,
  ShapeError,
  sequential,
} from '@cnn/core';

/** Table 2: expansion t, channels c, repeats n, stride s of the first repeat. */
const table = [
  { t: 1, c: 16, n: 1, s: 1 },
  { t: 6, c: 24, n: 2, s: 2 },
  { t: 6, c: 32, n: 3, s: 2 },
  { t: 6, c: 64, n: 4, s: 2 },
  { t: 6, c: 96, n: 3, s: 1 },
  { t: 6, c: 160, n: 3, s: 2 },
  { t: 6, c: 320, n: 1, s: 1 },
] as const;

/** Options of {@link mobilenetV2}. */
export interface MobileNetV2Options {
  /** Factor on the channels of every layer. Default 1. */
  readonly width?: number;
  /** Default 1000. */
  readonly numClasses?: number;
  /** Dropout probability before the classifier, in training. Default 0.2. */
  readonly dropout?: number;
  /** Activation after every batch norm except those of projections. Default ReLU6. */
  readonly activation?: (x: Node) => Node;
}

const init = kaimingNormal('fanOut');

/** Table 1: expand (1x1), filter (depthwise 3x3), project (1x1, linear); a shortcut if the shapes allow one. */
function invertedResidual(
  inC: number,
  outC: number,
  stride: number,
  t: number,
  activation: (x: Node) => Node,
): Module {
  const hidden = inC * t;
  const layers = sequential(
    ...(t === 1 ? [] : [convBnAct(inC, hidden, 1, { init, activation })]),
    convBnAct(hidden, hidden, 3, { stride, padding: 1, groups: hidden, init, activation }),
    conv2d(hidden, outC, 1, { bias: false, init }),
    batchNorm(outC),
  );
  const shortcut = stride === 1 && inC === outC;
  return module({ conv: layers }, (m, x) => (shortcut ? add(x, m.conv(x)) : m.conv(x)));
}

/** MobileNetV2: n x 3 x h x w to n x `numClasses` logits. */
export function mobilenetV2(options: MobileNetV2Options = {}): Module {
  const { width = 1, numClasses = 1000, dropout: rate = 0.2, activation = relu6 } = options;
  if (!(width > 0))
    throw new ShapeError(`mobilenet_v2 with width ${width} has no channels; use a width above 0.`);
  const first = makeDivisible(32 * width);
  const last = makeDivisible(1280 * Math.max(1, width));
  let inC = first;
  const blocks = table.flatMap(({ t, c, n, s }) =>
    Array.from({ length: n }, (_, i) => {
      const outC = makeDivisible(c * width);
      const block = invertedResidual(inC, outC, i === 0 ? s : 1, t, activation);
      inC = outC;
      return block;
    }),
  );
  return module(
    {
      features: sequential(
        convBnAct(3, first, 3, { stride: 2, padding: 1, init, activation }),
        ...blocks,
        convBnAct(inC, last, 1, { init, activation }),
      ),
      classifier: sequential(
        dropout(rate),
        linear(last, numClasses, { init: normal(0.01), biasInit: constant(0) }),
      ),
    },
    (m, x) => pipe(x, m.features, globalAvgPool, m.classifier),
  );
}
