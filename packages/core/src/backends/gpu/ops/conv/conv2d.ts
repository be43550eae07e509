/**
 * Convolution: a hand-written shader where there is one, else a kernel whose threads compute one output each.
 * Images are stored with zero padding, so the loops need no bounds checks.
 */
import type { Node } from '../../../../graph/graph.js';
import type { Conv2dAttrs } from '../../../../ops/conv2d.js';
import { pictureShape } from '../../../../ops/define.js';
import type { Kernels } from '../../assignKernels.js';
import { type Coordinate, sumOf, times } from '../../kernels/expression.js';
import { activated, loop } from '../../kernels/javascript.js';
import { range } from '../../kernels/shader.js';
import { tuple } from '../../tuple.js';
import { type Lowering, type PaddedInput, writeResult } from '../lowering.js';
import { groupOf } from './common.js';
import { conv2dGlsl } from './conv2dGlsl.js';
import { conv2dWgsl } from './conv2dWgsl.js';

/** Most taps of a window that are unrolled; of larger windows only the taps of a row are. */
const MAX_UNROLLED_TAPS = 25;

/** Gives the padding to read. The kernel in GLSL masks the columns outside of an image instead of reading zeros. */
export const paddedInputOfConv2d = (node: Node<Conv2dAttrs>, kernels: Kernels): PaddedInput => {
  const [top, left, bottom, right] = node.attrs.padding;
  return { input: 0, padding: kernels.has(node) ? [top, 0, bottom, 0] : [top, left, bottom, right] };
};

/** y = activation(x * w + b + residual). Inputs: x, w, b?, residual?. */
export const lowerConv2d: Lowering<Conv2dAttrs> = (context) => {
  if (context.plan.mode === 'webgpu') return conv2dWgsl(context);
  const kernel = context.kernels.get(context.node);
  return kernel ? conv2dGlsl(context, kernel) : conv2dByElement(context);
};

const conv2dByElement: Lowering<Conv2dAttrs> = (context) => {
  const { attrs, inputs, node } = context;
  const [out, perGroup, kh, kw] = pictureShape('the weight of conv2d', node.inputs[1]?.shape);
  const { stride, padding, dilation, groups } = attrs;
  return writeResult(context, inputs, ([x, w, b, residual], at) => {
    const [n, o, row, column] = tuple(at, 4);
    const tap = (inner: string, ky: Coordinate, kx: number): string => {
      const y: Coordinate =
        typeof ky === 'string'
          ? [sumOf('top', times(ky, dilation[0])), -padding[0]]
          : ['top', ky[1] * dilation[0] - padding[0]];
      const weightRow = typeof ky === 'string' ? ky : String(ky[1]);
      return `${x!([n, sumOf('first', inner), y, ['left', kx * dilation[1] - padding[1]]])} * ${w!([o, inner, weightRow, String(kx)])}`;
    };
    const tapsOfRow = (inner: string, ky: Coordinate) => range(kw).map((kx) => tap(inner, ky, kx));
    const inner = perGroup === 1 ? '0' : 'i';
    const products =
      kh * kw <= MAX_UNROLLED_TAPS
        ? `sum += ${range(kh)
            .flatMap((ky) => tapsOfRow(inner, ['', ky]))
            .join(' + ')};`
        : loop('ky', kh, `sum += ${tapsOfRow(inner, 'ky').join(' + ')};`);
    const statements = [
      `const first = ${times(groupOf(o, groups, out / groups), perGroup)};`,
      `const top = ${times(row, stride[0])};`,
      `const left = ${times(column, stride[1])};`,
      'let sum = 0.0;',
      perGroup === 1 ? products : loop('i', perGroup, products),
    ].join('\n');
    const total = ['sum', ...(b ? [b([o])] : []), ...(residual ? [residual(at)] : [])].join(' + ');
    return activated(attrs.activation, total, statements);
  });
};
