/**
 * Convolution: a hand-written shader where there is one, else a kernel whose threads compute one output each.
 * Images are stored with zero padding, so the loops need no bounds checks.
 */
import type { Conv2dAttrs } from '../../../../ops/conv2d.js';
import { pictureShape } from '../../../../ops/define.js';
import { type Coordinate, sumOf, times } from '../../kernels/expression.js';
import { activated, loop } from '../../kernels/javascript.js';
import { type Lowering, writeResult } from '../lowering.js';
import { conv2dGlsl } from './conv2dGlsl.js';
import { conv2dWgsl } from './conv2dWgsl.js';

/** Most taps of a window that are unrolled; of larger windows only the taps of a row are. */
const MAX_UNROLLED_TAPS = 25;

/** Writes the index of the group that a channel belongs to. */
export const groupOf = (channel: string, groups: number, channelsPerGroup: number): string =>
  groups === 1
    ? '0'
    : channelsPerGroup === 1
      ? channel
      : `Math.floor((${channel} + 0.5) / ${channelsPerGroup})`;

/** y = activation(x * w + b + residual). Inputs: x, w, b?, residual?. */
export const lowerConv2d: Lowering<Conv2dAttrs> = (context) =>
  context.plan.mode === 'webgpu' ? conv2dWgsl(context) : (conv2dGlsl(context) ?? conv2dByElement(context));

const conv2dByElement: Lowering<Conv2dAttrs> = (context) => {
  const { attrs, inputs, node } = context;
  const [out, perGroup, kh, kw] = pictureShape('the weight of conv2d', node.inputs[1]!.shape);
  const { stride, padding, dilation, groups } = attrs;
  return writeResult(context, inputs, ([x, w, b, residual], at) => {
    const [n, o, row, column] = at as [string, string, string, string];
    const tap = (inner: string, ky: Coordinate, kx: number): string => {
      const y: Coordinate =
        typeof ky === 'string'
          ? [sumOf('top', times(ky, dilation[0])), -padding[0]]
          : ['top', ky[1] * dilation[0] - padding[0]];
      const weightRow = typeof ky === 'string' ? ky : String(ky[1]);
      return `${x!([n, sumOf('first', inner), y, ['left', kx * dilation[1] - padding[1]]])} * ${w!([o, inner, weightRow, String(kx)])}`;
    };
    const tapsOfRow = (inner: string, ky: Coordinate) =>
      Array.from({ length: kw }, (_, kx) => tap(inner, ky, kx));
    const inner = perGroup === 1 ? '0' : 'i';
    const products =
      kh * kw <= MAX_UNROLLED_TAPS
        ? `sum += ${Array.from({ length: kh }, (_, ky) => tapsOfRow(inner, ['', ky]))
            .flat()
            .join(' + ')};`
        : loop('ky', kh, `sum += ${tapsOfRow(inner, 'ky').join(' + ')};`);
    const statements = [
      `const first = ${times(groupOf(o, groups, out / groups), perGroup)};`,
      `const top = ${times(row, stride[0])};`,
      `const left = ${times(column, stride[1])};`,
      'let sum = 0.0;',
      perGroup === 1 ? products : loop('i', perGroup, products),
    ].join('\n');
    const total = ['sum', ...(b ? [b([o])] : []), ...(attrs.residual ? [residual!(at)] : [])].join(' + ');
    return activated(attrs.activation, total, statements);
  });
};
