/** Gradients of a convolution: a thread computes one value. */
import type { Node } from '../../../../graph/graph.js';
import type { Conv2dGradAttrs } from '../../../../ops/conv2d.js';
import { pictureShape } from '../../../../ops/define.js';
import { sumOf, times } from '../../kernels/expression.js';
import { loop } from '../../kernels/javascript.js';
import { tuple } from '../../tuple.js';
import { type Lowering, type PaddedInput, writeResult } from '../lowering.js';
import { groupOf } from './common.js';

/** Window along one axis. */
interface WindowAxis {
  readonly stride: number;
  readonly dilation: number;
  /** Padding before the first pixel. */
  readonly padding: number;
  /** Extent of the output. */
  readonly outputs: number;
}

/**
 * Writes the output row (or column) that reads a pixel by a tap.
 * @param name - variable that `statements` declare.
 * @param at - row of the pixel.
 * @param tap - row of the tap.
 * @returns the statements, and the condition that there is such an output.
 */
function outputReading(
  name: string,
  at: string,
  tap: string,
  { stride, dilation, padding, outputs }: WindowAxis,
): { readonly statements: string; readonly test: string } {
  const distance = `const d${name} = ${at} + ${padding} - ${tap} * ${dilation};`;
  if (stride === 1)
    return {
      statements: `${distance} const ${name} = d${name};`,
      test: `${name} >= 0 && ${name} < ${outputs}`,
    };
  return {
    statements: `${distance} const ${name} = Math.floor((d${name} + 0.5) / ${stride});`,
    test: `${name} >= 0 && ${name} < ${outputs} && ${name} * ${stride} === d${name}`,
  };
}

/** dx: sums over the outputs that read a pixel. Inputs: dy, w. */
export const lowerConv2dGradInput: Lowering<Conv2dGradAttrs> = (context) => {
  const { attrs, inputs, node } = context;
  const [, , oh, ow] = pictureShape('conv2dGradInput', node.inputs[0]!.shape);
  const [out, perGroup, kh, kw] = pictureShape('the weight of conv2d', node.inputs[1]!.shape);
  const { stride, padding, dilation, groups } = attrs;
  const outPerGroup = out / groups;
  return writeResult(context, inputs, ([dy, w], at) => {
    const [n, c, row, column] = tuple(at, 4);
    const axis = (index: 0 | 1, outputs: number): WindowAxis => ({
      stride: stride[index],
      dilation: dilation[index],
      padding: padding[index],
      outputs,
    });
    const y = outputReading('oy', row, 'ky', axis(0, oh));
    const x = outputReading('ox', column, 'kx', axis(1, ow));
    const o = sumOf('first', 'j');
    const products = loop(
      'j',
      outPerGroup,
      `sum += ${dy!([n, o, 'oy', 'ox'])} * ${w!([o, 'inner', 'ky', 'kx'])};`,
    );
    const across = loop('kx', kw, `${x.statements}\nif (${x.test}) {\n${products}\n}`);
    return {
      statements: [
        `const group = ${groupOf(c, groups, perGroup)};`,
        `const first = ${times('group', outPerGroup)};`,
        `const inner = ${c} - group * ${perGroup};`,
        'let sum = 0.0;',
        loop('ky', kh, `${y.statements}\nif (${y.test}) {\n${across}\n}`),
      ].join('\n'),
      value: 'sum',
    };
  });
};

/** Gives the padding that the gradient of the weight reads around x. */
export const paddedInputOfConv2dGradWeight = ({ attrs }: Node<Conv2dGradAttrs>): PaddedInput => ({
  input: 1,
  padding: attrs.padding,
});

/** dw: sums over the pixels that a weight is multiplied with, row by row. Inputs: dy, x. */
export const lowerConv2dGradWeight: Lowering<Conv2dGradAttrs> = (context) => {
  const { attrs, inputs, node, shape } = context;
  const [n, , oh, ow] = pictureShape('conv2dGradWeight', node.inputs[0]!.shape);
  const [out, perGroup] = pictureShape('the weight of conv2d', shape);
  const { stride, padding, dilation, groups } = attrs;
  return writeResult(context, inputs, ([dy, x], at) => {
    const [o, inner, ky, kx] = tuple(at, 4);
    const product = `${dy!(['n', o, 'y', 'x'])} * ${x!([
      'n',
      'channel',
      [sumOf(times('y', stride[0]), times(ky, dilation[0])), -padding[0]],
      [sumOf(times('x', stride[1]), times(kx, dilation[1])), -padding[1]],
    ])}`;
    return {
      statements: [
        `const channel = ${sumOf(times(groupOf(o, groups, out / groups), perGroup), inner)};`,
        'let sum = 0.0;',
        loop('n', n, loop('y', oh, `let line = 0.0;\n${loop('x', ow, `line += ${product};`)}\nsum += line;`)),
      ].join('\n'),
      value: 'sum',
    };
  });
};
