/** Gradients of activations. */
import type { Node } from '../../../../graph/graph.js';
import type { Activation } from '../../../../ops/activation.js';
import { activationGradient } from '../../kernels/gradient/activation.js';
import { CHANNEL_BLOCK, FLOAT } from '../../kernels/kernel.js';
import { pixelRuns, storedFloats } from '../../plan/value.js';
import { channelGroups, type Lowering, pixelsOf, spreadPixels } from '../lowering.js';

export const lowerActivationGrad: Lowering<Activation> = (p, node) => {
  const [gradient, input] = node.inputs as [Node, Node];
  const activation = node.attrs;
  p.algorithm('elementwise');
  if (p.value(node).kind === 'dense') {
    const [dy, x, dx] = [gradient, input, node].map((value) => p.value(value).at);
    const pixel = { dy: 0, x: 0, dx: 0 };
    const kernel = p.kernel('activation gradient', { activation, pixel }, activationGradient);
    p.spread(storedFloats(node.shape) / CHANNEL_BLOCK, (from, to) => {
      const first = from * CHANNEL_BLOCK * FLOAT;
      return [{ kernel, parameters: [dy!.plus(first), x!.plus(first), dx!.plus(first), 1, to - from] }];
    });
    return;
  }
  const [dy, x, dx] = [pixelsOf(p, gradient), pixelsOf(p, input), pixelsOf(p, node)];
  const kernel = p.kernel(
    'activation gradient',
    { activation, pixel: { dy: dy.pixel, x: x.pixel, dx: dx.pixel } },
    activationGradient,
  );
  const runs = pixelRuns(dy, x, dx);
  const groups = channelGroups(dx.c);
  spreadPixels(p, runs, (run, first, pixels) => ({
    kernel,
    parameters: [...[dy, x, dx].map((value) => runs.at(value, run, first)), pixels, groups],
  }));
};
