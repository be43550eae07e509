/**
 * The MobileNets in sections 1.38.9 to 1.38.11 of the article "41_经典卷积网络、LeNet、AlexNet、…"
 * (Classic convolutional networks, in Chinese, http://www.chinasem.cn/article/918133).
 * They are reproduced as printed; a comment at each difference from the papers describes it.
 */
import {
  adaptiveAvgPool,
  add,
  avgPool,
  batchNorm,
  conv2d,
  dropout,
  flatten,
  globalAvgPool,
  hardSigmoid,
  linear,
  type Module,
  makeDivisible,
  module,
  mul,
  type Node,
  pipe,
  relu,
  relu6,
  reshape,
  ShapeError,
  sequential,
} from '@cnn/core';

/** The article's MobileNetV1: n x 3 x 224 x 224 to n x 1000 logits; no width multiplier, and a fixed 7x7 average. */
function mobileNetV1(): Module {
  const convBn = (inC: number, outC: number, stride: number): Module =>
    sequential(conv2d(inC, outC, 3, { stride, padding: 1, bias: false }), batchNorm(outC), relu);
  const convDw = (inC: number, outC: number, stride: number): Module =>
    sequential(
      conv2d(inC, inC, 3, { stride, padding: 1, groups: inC, bias: false }),
      batchNorm(inC),
      relu,
      conv2d(inC, outC, 1, { bias: false }),
      batchNorm(outC),
      relu,
    );
  return module(
    {
      feature: sequential(
        convBn(3, 32, 2),
        convDw(32, 64, 1),
        convDw(64, 128, 2),
        convDw(128, 128, 1),
        convDw(128, 256, 2),
        convDw(256, 256, 1),
        convDw(256, 512, 2),
        ...Array.from({ length: 5 }, () => convDw(512, 512, 1)),
        convDw(512, 1024, 2),
        convDw(1024, 1024, 1),
        avgPool(7),
      ),
      fc: linear(1024, 1000),
    },
    (m, x) => pipe(x, m.feature, flatten, m.fc),
  );
}

/** Options of the article's MobileNetV2. */
interface V2Options {
  /** Default 15; published forms have 1000. */
  readonly nClass?: number;
  /** Default 1. */
  readonly widthMult?: number;
}

/** The article's MobileNetV2: n x 3 x h x w to n x `nClass` logits; no dropout. */
function mobileNetV2({ nClass = 15, widthMult = 1 }: V2Options = {}): Module {
  // Rounds up; published code rounds to the nearest multiple of 8 that keeps at least 90 %.
  const divisible = (channels: number): number => Math.ceil(channels / 8) * 8;
  const convBn = (inC: number, outC: number, kernel: number, stride = 1, groups = 1) => [
    conv2d(inC, outC, kernel, { stride, padding: kernel >> 1, groups, bias: false }),
    batchNorm(outC),
  ];
  const block = (inC: number, outC: number, stride: number, t: number): Module => {
    const hidden = Math.trunc(inC * t);
    const layers = sequential(
      ...(t === 1 ? [] : [...convBn(inC, hidden, 1), relu6]),
      ...convBn(hidden, hidden, 3, stride, hidden),
      relu6,
      ...convBn(hidden, outC, 1),
    );
    const shortcut = stride === 1 && inC === outC;
    return module({ conv: layers }, (m, x) => (shortcut ? add(x, m.conv(x)) : m.conv(x)));
  };
  const table = [
    [1, 16, 1, 1],
    [6, 24, 2, 2],
    [6, 32, 3, 2],
    [6, 64, 4, 2],
    [6, 96, 3, 1],
    [6, 160, 3, 2],
    [6, 320, 1, 1],
  ] as const;
  // The first layer has 32 channels for every width, and the block without expansion is never scaled.
  let inC = 32;
  const last = widthMult > 1 ? divisible(1280 * widthMult) : 1280;
  const blocks = table.flatMap(([t, c, n, s]) =>
    Array.from({ length: n }, (_, i) => {
      const outC = t > 1 ? divisible(c * widthMult) : c;
      const unit = block(inC, outC, i === 0 ? s : 1, t);
      inC = outC;
      return unit;
    }),
  );
  return module(
    {
      features: sequential(
        sequential(...convBn(3, 32, 3, 2), relu6),
        ...blocks,
        sequential(...convBn(inC, last, 1), relu6),
      ),
      classifier: linear(last, nClass),
    },
    (m, x) => pipe(x, m.features, globalAvgPool, m.classifier),
  );
}

/** The article's hard swish: x * relu6(x + 3) / 6. */
const hSwish = (x: Node): Node => mul(x, hardSigmoid(x));

/** The article's `SqueezeBlock`: two linear layers, with a quarter of the channels, rounded down, between them. */
const squeezeBlock = (channels: number): Module =>
  module(
    {
      dense: sequential(linear(channels, channels >> 2), relu, linear(channels >> 2, channels), hardSigmoid),
    },
    (m, x) => mul(x, reshape([x.shape[0]!, channels, 1, 1])(m.dense(globalAvgPool(x)))),
  );

type Row = readonly [
  inC: number,
  outC: number,
  kernel: number,
  stride: number,
  nonLinear: 'RE' | 'HS',
  se: boolean,
  expanded: number,
];

/** The article's `MobileBlock`. */
function mobileBlock([inC, outC, kernel, stride, nonLinear, se, expanded]: Row): Module {
  const activation = nonLinear === 'RE' ? relu : hSwish;
  const shortcut = stride === 1 && inC === outC;
  return module(
    {
      // torchvision omits this layer in blocks without expansion.
      conv: sequential(conv2d(inC, expanded, 1, { bias: false }), batchNorm(expanded), activation),
      // The bias before batch norm is redundant, and no activation follows; published forms have one here.
      depth_conv: sequential(
        conv2d(expanded, expanded, kernel, { stride, padding: (kernel - 1) >> 1, groups: expanded }),
        batchNorm(expanded),
      ),
      squeeze_block: se ? squeezeBlock(expanded) : undefined,
      // The paper's projection is linear; here an activation follows it.
      point_conv: sequential(conv2d(expanded, outC, 1), batchNorm(outC), activation),
    },
    (m, x) => {
      const filtered = pipe(x, m.conv, m.depth_conv);
      const out = m.point_conv(m.squeeze_block?.(filtered) ?? filtered);
      return shortcut ? add(x, out) : out;
    },
  );
}

const tables: Readonly<Record<'LARGE' | 'SMALL', readonly Row[]>> = {
  LARGE: [
    [16, 16, 3, 1, 'RE', false, 16],
    [16, 24, 3, 2, 'RE', false, 64],
    [24, 24, 3, 1, 'RE', false, 72],
    [24, 40, 5, 2, 'RE', true, 72],
    [40, 40, 5, 1, 'RE', true, 120],
    [40, 40, 5, 1, 'RE', true, 120],
    [40, 80, 3, 2, 'HS', false, 240],
    [80, 80, 3, 1, 'HS', false, 200],
    [80, 80, 3, 1, 'HS', false, 184],
    [80, 80, 3, 1, 'HS', false, 184],
    [80, 112, 3, 1, 'HS', true, 480],
    [112, 112, 3, 1, 'HS', true, 672],
    // The rows of the first arXiv version; the final version has the stride in the first of the three.
    [112, 160, 5, 1, 'HS', true, 672],
    [160, 160, 5, 2, 'HS', true, 672],
    [160, 160, 5, 1, 'HS', true, 960],
  ],
  SMALL: [
    [16, 16, 3, 2, 'RE', true, 16],
    [16, 24, 3, 2, 'RE', false, 72],
    [24, 24, 3, 1, 'RE', false, 88],
    // The paper has hard swish in the three rows with 40 output channels.
    [24, 40, 5, 2, 'RE', true, 96],
    [40, 40, 5, 1, 'RE', true, 240],
    [40, 40, 5, 1, 'RE', true, 240],
    [40, 48, 5, 1, 'HS', true, 120],
    [48, 48, 5, 1, 'HS', true, 144],
    [48, 96, 5, 2, 'HS', true, 288],
    [96, 96, 5, 1, 'HS', true, 576],
    [96, 96, 5, 1, 'HS', true, 576],
  ],
};

/** Options of the article's MobileNetV3. */
interface V3Options {
  /** Default 1000. */
  readonly numClasses?: number;
  /** Default 1. */
  readonly multiplier?: number;
  /** Default 0; published forms have 0.2. */
  readonly dropoutRate?: number;
}

/**
 * The article's MobileNetV3: n x 3 x h x w to n x `numClasses` logits. Differences from published forms:
 * convolutions before batch norm have a bias, except expansions; batch norm has PyTorch's eps and momentum instead of
 * 1e-3 and 0.01; the head of the small form has 1280 channels instead of 1024.
 * @throws ShapeError for another mode, for which the article builds an empty network.
 */
function mobileNetV3(mode: 'LARGE' | 'SMALL' = 'SMALL', options: V3Options = {}): Module {
  const { numClasses = 1000, multiplier = 1, dropoutRate = 0 } = options;
  const rows = tables[mode] as readonly Row[] | undefined;
  if (!rows) throw new ShapeError(`The article's MobileNetV3 is 'LARGE' or 'SMALL', not '${String(mode)}'.`);
  const scaled = (channels: number): number => makeDivisible(channels * multiplier);
  const [inner, outer] = mode === 'LARGE' ? [160, 960] : [96, 576];
  return module(
    {
      init_conv: sequential(
        conv2d(3, scaled(16), 3, { stride: 2, padding: 1 }),
        batchNorm(scaled(16)),
        hSwish,
      ),
      block: sequential(
        ...rows.map(([inC, outC, kernel, stride, nonLinear, se, expanded]) =>
          mobileBlock([scaled(inC), scaled(outC), kernel, stride, nonLinear, se, scaled(expanded)]),
        ),
      ),
      out_conv1: sequential(
        conv2d(scaled(inner), scaled(outer), 1),
        // The small form has one more squeeze and excitation here, before batch norm.
        ...(mode === 'SMALL' ? [squeezeBlock(scaled(outer))] : []),
        batchNorm(scaled(outer)),
        hSwish,
      ),
      out_conv2: sequential(
        conv2d(scaled(outer), scaled(1280), 1),
        hSwish,
        dropout(dropoutRate),
        conv2d(scaled(1280), numClasses, 1),
      ),
    },
    (m, x) => pipe(x, m.init_conv, m.block, m.out_conv1, adaptiveAvgPool(1), m.out_conv2, flatten),
  );
}

/** The networks of the article http://www.chinasem.cn/article/918133, under its names. */
export const article = {
  /** MobileNetV1, for 224x224 pixels. */
  mobileNetV1,
  /** MobileNetV2. */
  mobileNetV2,
  /** MobileNetV3, `'LARGE'` or `'SMALL'`. */
  mobileNetV3,
};
