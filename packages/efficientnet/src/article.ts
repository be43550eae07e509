/**
 * The EfficientNet in section 1.38.8 of the article "41_经典卷积网络、LeNet、AlexNet、…"
 * (Classic convolutional networks, in Chinese, http://www.chinasem.cn/article/918133).
 * It is reproduced as printed, with one correction, which widths above 1.1 need. A comment at each difference from
 * the paper describes it.
 */
import {
  adaptiveAvgPool,
  add,
  batchNorm,
  conv2d,
  dropout,
  flatten,
  linear,
  type Module,
  makeDivisible,
  module,
  mul,
  type Pair,
  pipe,
  sequential,
  sigmoid,
  silu,
} from '@cnn/core';

/** Batch norm with TensorFlow's eps and momentum, as in the authors' code. */
const norm = (channels: number) => batchNorm(channels, { eps: 1e-3, momentum: 0.01 });
const conv = (inC: number, outC: number, kernel: Pair, stride = 1, groups = 1) =>
  conv2d(inC, outC, kernel, { stride, groups, padding: 'same', bias: false });
const convBnAct = (inC: number, outC: number, kernel: Pair, stride = 1, groups = 1): Module =>
  sequential(conv(inC, outC, kernel, stride, groups), norm(outC), silu);

/** Squeeze and excitation; a Sequential called `se` inside the module `se` computes the gate. */
const squeeze = (channels: number, squeezed: number): Module =>
  module(
    {
      se: sequential(adaptiveAvgPool(1), conv2d(channels, squeezed, 1), silu, conv2d(squeezed, channels, 1)),
    },
    (m, x) => mul(x, sigmoid(m.se(x))),
  );

/** The article's `MBConv`. Its drop-connect is an identity; published forms skip blocks in training at random. */
function mbConv(inC: number, outC: number, expand: number, kernel: number, stride: number): Module {
  const hidden = inC * expand;
  const skip = stride === 1 && inC === outC;
  return module(
    {
      expand_conv: expand === 1 ? undefined : convBnAct(inC, hidden, 1),
      depth_wise_conv: convBnAct(hidden, hidden, kernel, stride, hidden),
      se: squeeze(hidden, Math.trunc(inC * 0.25)),
      project_conv: sequential(conv(hidden, outC, 1), norm(outC)),
    },
    (m, x) => {
      const out = pipe(m.expand_conv?.(x) ?? x, m.depth_wise_conv, m.se, m.project_conv);
      return skip ? add(out, x) : out;
    },
  );
}

/** Options of the article's network. */
interface ArticleOptions {
  /** Default 1000. */
  readonly numClasses?: number;
  /** Dropout probability before the classifier; published forms change it with the size. Default 0.2. */
  readonly dropoutRate?: number;
}

/**
 * The article's `EfficientNet(width_coeff, depth_coeff)`: n x 3 x h x w to n x `numClasses` logits. The article
 * prints a stem of 32 channels for every width, which fails above a width of 1.1; here the stem is scaled as the
 * block after it expects.
 */
function efficientNet(widthCoeff: number, depthCoeff: number, options: ArticleOptions = {}): Module {
  const { numClasses = 1000, dropoutRate = 0.2 } = options;
  const channels = (c: number): number => makeDivisible(c * widthCoeff);
  const table = [
    [32, 16, 1, 3, 1, 1],
    [16, 24, 6, 3, 2, 2],
    [24, 40, 6, 5, 2, 2],
    [40, 80, 6, 3, 2, 3],
    [80, 112, 6, 5, 1, 3],
    [112, 192, 6, 5, 2, 4],
    [192, 320, 6, 3, 1, 1],
  ] as const;
  const blocks = table.map(([inC, outC, expand, kernel, stride, layers]) =>
    module(
      {
        layers: sequential(
          ...Array.from({ length: Math.ceil(layers * depthCoeff) }, (_, i) =>
            mbConv(channels(i === 0 ? inC : outC), channels(outC), expand, kernel, i === 0 ? stride : 1),
          ),
        ),
      },
      (m, x) => m.layers(x),
    ),
  );
  return module(
    {
      stem: convBnAct(3, channels(32), 3, 2),
      blocks: sequential(...blocks),
      head: sequential(
        conv(channels(320), channels(1280), 1),
        norm(channels(1280)),
        silu,
        adaptiveAvgPool(1),
        dropout(dropoutRate),
        flatten,
        linear(channels(1280), numClasses),
      ),
    },
    (m, x) => pipe(x, m.stem, m.blocks, m.head),
  );
}

/** The networks of the article http://www.chinasem.cn/article/918133, under its names. */
export const article = {
  /** `EfficientNet(width_coeff, depth_coeff)`. */
  efficientNet,
};
