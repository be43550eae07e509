/** The article's VGG exactly as it is printed. How it differs from the paper stands beside each line. */
import {
  avgPool,
  batchNorm,
  conv2d,
  flatten,
  linear,
  type Module,
  maxPool,
  module,
  pipe,
  relu,
  ShapeError,
  sequential,
} from '@cnn/core';

const pooling = 'Pooling';

/** The article's table: only configurations D and E. */
const architecture = {
  16: [
    64,
    64,
    pooling,
    128,
    128,
    pooling,
    256,
    256,
    256,
    pooling,
    512,
    512,
    512,
    pooling,
    512,
    512,
    512,
    pooling,
  ],
  19: [
    ...[64, 64, pooling, 128, 128, pooling, 256, 256, 256, 256, pooling],
    ...[512, 512, 512, 512, pooling, 512, 512, 512, 512, pooling],
  ],
} as const;

/**
 * The article's `VGGNet(n_classes, n_layers, in_channels)`: n x 3 x 32 x 32 to n x `nClasses` logits.
 * @throws ShapeError for a number of layers other than 16 and 19.
 */
function vggNet(nClasses: number, nLayers: 16 | 19, inChannels = 3): Module {
  const table = architecture[nLayers] as readonly (number | string)[] | undefined;
  if (!table) throw new ShapeError(`The article's VGG has 16 or 19 layers, not ${String(nLayers)}.`);
  let inC = inChannels;
  const features = table.flatMap((entry) => {
    if (typeof entry === 'string') return [maxPool(2)];
    // Batch norm everywhere; the paper has none, and with it the bias before is of no use.
    const layer = [conv2d(inC, entry, 3, { padding: 1 }), batchNorm(entry), relu];
    inC = entry;
    return layer;
  });
  return module(
    {
      // A 1x1 average at the end changes nothing.
      features: sequential(...features, avgPool(1, { stride: 1 })),
      // One layer where the paper has three with dropout.
      classifier: linear(512, nClasses),
    },
    (m, x) => pipe(x, m.features, flatten, m.classifier),
  );
}

/** The article's own networks. */
export const article = {
  /** `VGGNet(n_classes, n_layers, in_channels)`, 16 or 19 layers, for 32x32 pixels. */
  vggNet,
};
