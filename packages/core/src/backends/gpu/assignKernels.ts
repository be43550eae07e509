/**
 * Assigns hand-written kernels for WebGL2 to the convolutions of a graph. A kernel's text covers every layer that
 * shares it, so it is decided for the graph as a whole, before nodes are lowered one by one.
 */
import { type Graph, isParameter, type Node } from '../../graph/graph.js';
import type { Activation } from '../../ops/activation.js';
import { type Conv2dAttrs, conv2dWindow } from '../../ops/conv2d.js';
import { pictureShape } from '../../ops/define.js';
import { isOp } from '../../ops/index.js';
import type { Window } from '../../ops/window.js';
import { PACK } from './layout/packed.js';
import type { GpuMode } from './mode.js';

/** All that the text of a convolution's kernel in GLSL depends on. */
export interface GlslConv2d extends Window {
  readonly depthwise: boolean;
  /** Input channels of a texel that are used: 4, or fewer if a group has fewer. */
  readonly lanes: number;
  readonly bias: boolean;
  /**
   * True if the layers add a residual. Layers that differ only in the residual or activation share a kernel, with a
   * parameter for what is optional: to compile another kernel takes longer than all layers take to test a parameter.
   */
  readonly residual: boolean | 'optional';
  readonly activation: Activation | undefined;
  /** True if some of the layers have no activation. */
  readonly optionalActivation: boolean;
}

/** Kernels of the convolutions that have one in GLSL. All others are lowered by the rules of their mode. */
export type Kernels = ReadonlyMap<Node, GlslConv2d>;

/** Assigns kernels to the nodes of a graph. */
export function assignKernels(graph: Graph, mode: GpuMode): Kernels {
  const layers = new Map<string, { readonly node: Node<Conv2dAttrs>; readonly window: WindowKernel }[]>();
  if (mode === 'webgl2')
    for (const node of graph.nodes) {
      if (!isOp(node, 'conv2d') || !hasGlslKernel(node)) continue;
      const window = windowKernel(node);
      const key = JSON.stringify(window);
      layers.set(key, [...(layers.get(key) ?? []), { node, window }]);
    }
  return new Map(
    [...layers.values()].flatMap((group) => {
      const attrs = group.map(({ node }) => node.attrs);
      return group.map(
        ({ node, window }) => [node, { ...window, ...epilogueOf(node.attrs, attrs) }] as const,
      );
    }),
  );
}

/** Output channels, and input channels per group. */
const channelsOf = ({ inputs }: Node<Conv2dAttrs>) => pictureShape('the weight of conv2d', inputs[1]?.shape);

const isDepthwise = (node: Node<Conv2dAttrs>): boolean => {
  const [out, perGroup] = channelsOf(node);
  return perGroup === 1 && out === node.attrs.groups;
};

/**
 * True if runs do not update the weight, and there is one group, or one for each channel, or the groups are blocks of
 * four channels.
 */
function hasGlslKernel(node: Node<Conv2dAttrs>): boolean {
  const weight = node.inputs[1]!;
  if (!isParameter(weight) || node.graph.updates.has(weight.attrs.name)) return false;
  const { groups } = node.attrs;
  const [out, perGroup] = channelsOf(node);
  return groups === 1 || isDepthwise(node) || (perGroup % PACK === 0 && (out / groups) % PACK === 0);
}

type Epilogue = Pick<GlslConv2d, 'residual' | 'activation' | 'optionalActivation'>;
type WindowKernel = Omit<GlslConv2d, keyof Epilogue>;

/** Gives all that layers must have in common to share a kernel. */
const windowKernel = (node: Node<Conv2dAttrs>): WindowKernel => ({
  ...conv2dWindow(node.inputs[1]!.shape, node.attrs),
  depthwise: isDepthwise(node),
  lanes: Math.min(channelsOf(node)[1], PACK),
  bias: node.inputs.length > 2,
});

/** Gives the operations on a sum before it is stored, for a layer among those that share a window kernel. */
function epilogueOf(layer: Conv2dAttrs, layers: readonly Conv2dAttrs[]): Epilogue {
  const residuals = layers.filter(({ residual }) => residual).length;
  // Layers without an activation share the kernel of the first layer that has one.
  const first = layers.find(({ activation }) => activation)?.activation;
  const activation = layer.activation ?? first;
  const isShared = JSON.stringify(activation) === JSON.stringify(first);
  return {
    residual: residuals === layers.length || (residuals > 0 && 'optional'),
    activation,
    optionalActivation: activation !== undefined && isShared && layers.some((other) => !other.activation),
  };
}
