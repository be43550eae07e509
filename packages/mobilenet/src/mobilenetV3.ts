/**
 * MobileNetV3 (Howard et al. 2019, https://arxiv.org/abs/1905.02244, tables 1 and 2). Parameter names are
 * torchvision's, and so is the width of the small form's last hidden layer (1024).
 */
import {
  add,
  constant,
  convBnAct,
  dropout,
  globalAvgPool,
  hardSigmoid,
  hardSwish,
  kaimingNormal,
  linear,
  type Module,
  makeDivisible,
  module,
  normal,
  pipe,
  relu,
  ShapeError,
  sequential,
  squeezeExcitation,
} from '@cnn/core';

/** One row: kernel, expanded channels, output channels, squeeze and excitation, non-linearity, stride. */
type Row = readonly [
  kernel: 3 | 5,
  expanded: number,
  out: number,
  se: boolean,
  nl: 'RE' | 'HS',
  stride: 1 | 2,
];

/** Table 1. */
const large: readonly Row[] = [
  [3, 16, 16, false, 'RE', 1],
  [3, 64, 24, false, 'RE', 2],
  [3, 72, 24, false, 'RE', 1],
  [5, 72, 40, true, 'RE', 2],
  [5, 120, 40, true, 'RE', 1],
  [5, 120, 40, true, 'RE', 1],
  [3, 240, 80, false, 'HS', 2],
  [3, 200, 80, false, 'HS', 1],
  [3, 184, 80, false, 'HS', 1],
  [3, 184, 80, false, 'HS', 1],
  [3, 480, 112, true, 'HS', 1],
  [3, 672, 112, true, 'HS', 1],
  [5, 672, 160, true, 'HS', 2],
  [5, 960, 160, true, 'HS', 1],
  [5, 960, 160, true, 'HS', 1],
];

/** Table 2. */
const small: readonly Row[] = [
  [3, 16, 16, true, 'RE', 2],
  [3, 72, 24, false, 'RE', 2],
  [3, 88, 24, false, 'RE', 1],
  [5, 96, 40, true, 'HS', 2],
  [5, 240, 40, true, 'HS', 1],
  [5, 240, 40, true, 'HS', 1],
  [5, 120, 48, true, 'HS', 1],
  [5, 144, 48, true, 'HS', 1],
  [5, 288, 96, true, 'HS', 2],
  [5, 576, 96, true, 'HS', 1],
  [5, 576, 96, true, 'HS', 1],
];

/** Options of both forms. */
export interface MobileNetV3Options {
  /** Factor on the channels of every layer. Default 1. */
  readonly width?: number;
  /** Default 1000. */
  readonly numClasses?: number;
  /** Dropout probability before the classifier, in training. Default 0.2. */
  readonly dropout?: number;
}

/** torchvision's initialisation; every bias starts at 0. */
const zero = constant(0);
const inits = { init: normal(0.01), biasInit: zero };
const common = { init: kaimingNormal('fanOut'), norm: { eps: 0.001, momentum: 0.01 } };

/** Figure 4: an inverted residual with squeeze and excitation between filter and projection. */
function bottleneck(inC: number, [kernel, expanded, outC, se, nl, stride]: Row): Module {
  const activation = nl === 'RE' ? relu : hardSwish;
  const layers = [
    ...(expanded === inC ? [] : [convBnAct(inC, expanded, 1, { ...common, activation })]),
    convBnAct(expanded, expanded, kernel, {
      ...common,
      stride,
      padding: kernel >> 1,
      groups: expanded,
      activation,
    }),
    ...(se
      ? [
          squeezeExcitation(expanded, makeDivisible(Math.floor(expanded / 4)), {
            init: common.init,
            biasInit: zero,
            gate: hardSigmoid,
          }),
        ]
      : []),
    convBnAct(expanded, outC, 1, common),
  ];
  const shortcut = stride === 1 && inC === outC;
  return module({ block: sequential(...layers) }, (m, x) => (shortcut ? add(m.block(x), x) : m.block(x)));
}

const mobilenetV3 =
  (rows: readonly Row[], hidden: number) =>
  ({ width = 1, numClasses = 1000, dropout: rate = 0.2 }: MobileNetV3Options = {}): Module => {
    if (!(width > 0))
      throw new ShapeError(`mobilenet_v3 with width ${width} has no channels; use a width above 0.`);
    const scaled = (channels: number): number => makeDivisible(channels * width);
    let inC = scaled(16);
    const blocks = rows.map(([kernel, expanded, out, ...rest]) => {
      const block = bottleneck(inC, [kernel, scaled(expanded), scaled(out), ...rest]);
      inC = scaled(out);
      return block;
    });
    const last = 6 * inC;
    return module(
      {
        features: sequential(
          convBnAct(3, scaled(16), 3, { ...common, stride: 2, padding: 1, activation: hardSwish }),
          ...blocks,
          convBnAct(inC, last, 1, { ...common, activation: hardSwish }),
        ),
        classifier: sequential(
          linear(last, scaled(hidden), inits),
          hardSwish,
          dropout(rate),
          linear(scaled(hidden), numClasses, inits),
        ),
      },
      (m, x) => pipe(x, m.features, globalAvgPool, m.classifier),
    );
  };

/** MobileNetV3-Large: n x 3 x h x w to n x `numClasses` logits. */
export const mobilenetV3Large = mobilenetV3(large, 1280);
/** MobileNetV3-Small: n x 3 x h x w to n x `numClasses` logits. */
export const mobilenetV3Small = mobilenetV3(small, 1024);
