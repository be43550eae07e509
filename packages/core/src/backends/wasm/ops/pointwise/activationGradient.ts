/** Gradients of activations. */
import type { Node } from '../../../../graph/graph.js';
import type { Activation } from '../../../../ops/activation.js';
import { CHANNEL_BLOCK, FLOAT } from '../../codegen/kernel.js';
import { pixelRuns, storedFloats } from '../../memory/layout.js';
import { channelGroups, type Lowering, parallelForPixels, pixelsOf } from '../lowering.js';
import { activationGradient } from './activationGradientKernel.js';

export const lowerActivationGrad: Lowering<Activation> = (p, node) => {
  const [gradient, input] = node.inputs as [Node, Node];
  const activation = node.attrs;
  if (p.value(node).kind === 'dense') {
    const call = p.kernel(activationGradient, { activation, pixel: { dy: 0, x: 0, dx: 0 } });
    p.parallelFor('elementwise', storedFloats(node.shape) / CHANNEL_BLOCK, (from, to) => {
      const at = (value: Node) => p.value(value).at.plus(from * CHANNEL_BLOCK * FLOAT);
      return [call({ dy: at(gradient), x: at(input), dx: at(node), pixels: 1, groups: to - from })];
    });
    return;
  }
  const [dy, x, dx] = [pixelsOf(p, gradient), pixelsOf(p, input), pixelsOf(p, node)];
  const pixel = { dy: dy.pixelStride, x: x.pixelStride, dx: dx.pixelStride };
  const call = p.kernel(activationGradient, { activation, pixel });
  const runs = pixelRuns(dy, x, dx);
  const groups = channelGroups(dx.c);
  parallelForPixels(p, 'elementwise', runs, (run, first, pixels) =>
    call({
      dy: runs.at(dy, run, first),
      x: runs.at(x, run, first),
      dx: runs.at(dx, run, first),
      pixels,
      groups,
    }),
  );
};
