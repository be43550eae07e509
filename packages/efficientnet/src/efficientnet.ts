/**
 * EfficientNet (Tan and Le 2019, https://arxiv.org/abs/1905.11946, table 1 and section 3.3): one base
 * network, scaled in width, depth and resolution together.
 *
 * Deviations, torchvision's: symmetric padding, and for B0 to B4 an eps of 1e-5 in batch norm.
 * `padding: 'same'` selects TensorFlow's padding and eps, for weights converted from TensorFlow.
 */
import {
  add,
  constant,
  convBnAct,
  dropout,
  globalAvgPool,
  kaimingNormal,
  linear,
  type Module,
  makeDivisible,
  module,
  type Pair,
  pipe,
  ShapeError,
  sequential,
  silu,
  squeezeExcitation,
  stochasticDepth,
  uniform,
} from '@cnn/core';

/** Options of every size. */
export interface EfficientnetOptions {
  /** Default 1000. */
  readonly numClasses?: number;
  /** `'symmetric'`, torchvision's (default), or `'same'`, TensorFlow's. */
  readonly padding?: 'symmetric' | 'same';
}

/** Table 1, stages 2 to 8, for B0. */
const stages = [
  { expand: 1, kernel: 3, stride: 1, channels: 16, layers: 1 },
  { expand: 6, kernel: 3, stride: 2, channels: 24, layers: 2 },
  { expand: 6, kernel: 5, stride: 2, channels: 40, layers: 2 },
  { expand: 6, kernel: 3, stride: 2, channels: 80, layers: 3 },
  { expand: 6, kernel: 5, stride: 1, channels: 112, layers: 3 },
  { expand: 6, kernel: 5, stride: 2, channels: 192, layers: 4 },
  { expand: 6, kernel: 3, stride: 1, channels: 320, layers: 1 },
] as const;

/** Factors on width and depth, dropout before the classifier, and the choice of TensorFlow's eps for batch norm. */
const scalings = {
  b0: { width: 1.0, depth: 1.0, dropout: 0.2, tensorflowNorm: false },
  b1: { width: 1.0, depth: 1.1, dropout: 0.2, tensorflowNorm: false },
  b2: { width: 1.1, depth: 1.2, dropout: 0.3, tensorflowNorm: false },
  b3: { width: 1.2, depth: 1.4, dropout: 0.3, tensorflowNorm: false },
  b4: { width: 1.4, depth: 1.8, dropout: 0.4, tensorflowNorm: false },
  b5: { width: 1.6, depth: 2.2, dropout: 0.4, tensorflowNorm: true },
  b6: { width: 1.8, depth: 2.6, dropout: 0.5, tensorflowNorm: true },
  b7: { width: 2.0, depth: 3.1, dropout: 0.5, tensorflowNorm: true },
} as const;

/** Probability of skipping the last block in training; it grows linearly with the block's index. */
const STOCHASTIC_DEPTH = 0.2;

/** torchvision's initialisation. */
const inits = { init: kaimingNormal('fanOut'), biasInit: constant(0) };

const efficientnet =
  ({ width, depth, dropout: rate, tensorflowNorm }: (typeof scalings)[keyof typeof scalings]) =>
  ({ numClasses = 1000, padding = 'symmetric' }: EfficientnetOptions = {}): Module => {
    if (padding !== 'symmetric' && padding !== 'same')
      throw new ShapeError(`EfficientNet pads 'symmetric' or 'same', not '${String(padding)}'.`);
    const norm = tensorflowNorm || padding === 'same' ? { eps: 1e-3, momentum: 0.01 } : {};
    const scaled = (channels: number): number => makeDivisible(channels * width);
    const conv = (
      inC: number,
      outC: number,
      kernel: number,
      options: { stride?: Pair; groups?: number; linear?: true } = {},
    ) =>
      convBnAct(inC, outC, kernel, {
        stride: options.stride ?? 1,
        groups: options.groups ?? 1,
        padding: padding === 'same' ? 'same' : kernel >> 1,
        init: inits.init,
        norm,
        ...(options.linear ? {} : { activation: silu }),
      });

    /** MBConv: expand, filter, squeeze and excite, project; a shortcut if the shapes allow one. */
    const block = (
      inC: number,
      outC: number,
      expand: number,
      kernel: number,
      stride: number,
      drop: number,
    ): Module => {
      const hidden = inC * expand;
      const parts = [
        ...(expand === 1 ? [] : [conv(inC, hidden, 1)]),
        conv(hidden, hidden, kernel, { stride, groups: hidden }),
        squeezeExcitation(hidden, Math.max(1, Math.floor(inC / 4)), { ...inits, activation: silu }),
        conv(hidden, outC, 1, { linear: true }),
      ];
      const shortcut = stride === 1 && inC === outC;
      return module({ block: sequential(...parts) }, (m, x) =>
        shortcut ? add(stochasticDepth(drop)(m.block(x)), x) : m.block(x),
      );
    };

    const repeats = stages.map(({ layers }) => Math.ceil(layers * depth));
    const total = repeats.reduce((sum, count) => sum + count, 0);
    let inC = scaled(32);
    let place = 0;
    const body = stages.map(({ expand, kernel, stride, channels }, stage) =>
      sequential(
        ...Array.from({ length: repeats[stage]! }, (_, index) => {
          const outC = scaled(channels);
          const unit = block(
            inC,
            outC,
            expand,
            kernel,
            index === 0 ? stride : 1,
            (STOCHASTIC_DEPTH * place++) / total,
          );
          inC = outC;
          return unit;
        }),
      ),
    );
    const last = 4 * inC;
    return module(
      {
        features: sequential(conv(3, scaled(32), 3, { stride: 2 }), ...body, conv(inC, last, 1)),
        classifier: sequential(
          dropout(rate),
          linear(last, numClasses, { ...inits, init: uniform(1 / Math.sqrt(numClasses)) }),
        ),
      },
      (m, x) => pipe(x, m.features, globalAvgPool, m.classifier),
    );
  };

/** EfficientNet-B0, for 224x224 pixels: n x 3 x h x w to n x `numClasses` logits. */
export const efficientnetB0 = efficientnet(scalings.b0);
/** EfficientNet-B1, for 240x240 pixels. */
export const efficientnetB1 = efficientnet(scalings.b1);
/** EfficientNet-B2, for 288x288 pixels. */
export const efficientnetB2 = efficientnet(scalings.b2);
/** EfficientNet-B3, for 300x300 pixels. */
export const efficientnetB3 = efficientnet(scalings.b3);
/** EfficientNet-B4, for 380x380 pixels. */
export const efficientnetB4 = efficientnet(scalings.b4);
/** EfficientNet-B5, for 456x456 pixels. */
export const efficientnetB5 = efficientnet(scalings.b5);
/** EfficientNet-B6, for 528x528 pixels. */
export const efficientnetB6 = efficientnet(scalings.b6);
/** EfficientNet-B7, for 600x600 pixels. */
export const efficientnetB7 = efficientnet(scalings.b7);
