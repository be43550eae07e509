/**
 * Convolution and its gradients. One thread computes one output: it goes over the channels in a loop and
 * over the taps in a row of products, and the zeros around the picture are really there, so nothing is tested.
 */
import type { Conv2dAttrs, Conv2dGradAttrs } from '../../../../ops/conv2d.js';
import type { Shape } from '../../../../tensor/shape.js';
import type { Coordinate } from '../../kernels/expression.js';
import { activated, finish, type Lower, loop } from '../lowering.js';
import { conv2dGlsl } from './conv2dGlsl.js';
import { conv2dWgsl } from './conv2dWgsl.js';

/** Windows of up to this many taps are written out; larger ones go row by row. */
const MOST_TAPS = 25;

type Extents = readonly [number, number, number, number];

/** Statement that names the group an output channel belongs to. */
const groupOf = (channel: string, groups: number, perGroup: number): string =>
  groups === 1 ? '0' : perGroup === 1 ? channel : `Math.floor((${channel} + 0.5) / ${perGroup})`;

const times = (expression: string, factor: number): string =>
  factor === 1 ? expression : expression === '0' ? '0' : `${expression} * ${factor}`;

const sum = (...terms: readonly string[]): string => {
  const kept = terms.filter((term) => term !== '0');
  return kept.length === 0 ? '0' : kept.join(' + ');
};

/** y = activation(x * w + b + residual): as a shader of its own where there is one, else element by element. */
export const lowerConv2d: Lower<Conv2dAttrs> = (call) =>
  call.plan.mode === 'webgpu' ? conv2dWgsl(call) : (conv2dGlsl(call) ?? conv2dByElement(call));

const conv2dByElement: Lower<Conv2dAttrs> = (call) => {
  const { attrs, inputs, node } = call;
  const [out, perGroup, kh, kw] = node.inputs[1]!.shape as unknown as Extents;
  const { stride, padding, dilation, groups } = attrs;
  return finish(call, inputs, ([x, w, b, residual], at) => {
    const [n, o, row, column] = at as [string, string, string, string];
    const tap = (inner: string, ky: Coordinate, kx: number): string => {
      const y: Coordinate =
        typeof ky === 'string'
          ? [sum('top', times(ky, dilation[0])), -padding[0]]
          : ['top', ky[1] * dilation[0] - padding[0]];
      const weightRow = typeof ky === 'string' ? ky : String(ky[1]);
      return `${x!([n, sum('first', inner), y, ['left', kx * dilation[1] - padding[1]]])} * ${w!([o, inner, weightRow, String(kx)])}`;
    };
    const rowOf = (inner: string, ky: Coordinate) =>
      Array.from({ length: kw }, (_, kx) => tap(inner, ky, kx));
    const inner = perGroup === 1 ? '0' : 'i';
    const products =
      kh * kw <= MOST_TAPS
        ? `sum += ${Array.from({ length: kh }, (_, ky) => rowOf(inner, ['', ky]))
            .flat()
            .join(' + ')};`
        : loop('ky', kh, `sum += ${rowOf(inner, 'ky').join(' + ')};`);
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

/** Statements for the output row (or column) that has tap `k` on the input's `at`, and the test that there is one. */
function reached(
  name: string,
  at: string,
  k: string,
  { step, spacing, before, extent }: { step: number; spacing: number; before: number; extent: number },
): { readonly statements: string; readonly test: string } {
  const distance = `const d${name} = ${at} + ${before} - ${k} * ${spacing};`;
  if (step === 1)
    return {
      statements: `${distance} const ${name} = d${name};`,
      test: `${name} >= 0 && ${name} < ${extent}`,
    };
  return {
    statements: `${distance} const ${name} = Math.floor((d${name} + 0.5) / ${step});`,
    test: `${name} >= 0 && ${name} < ${extent} && ${name} * ${step} === d${name}`,
  };
}

/** dx: for each pixel the outputs that saw it. Inputs: dy, w. */
export const lowerConv2dGradInput: Lower<Conv2dGradAttrs> = (call) => {
  const { attrs, inputs, node } = call;
  const [dys, ws] = node.inputs.map(({ shape }) => shape) as [Shape, Shape];
  const [out, perGroup, kh, kw] = ws as unknown as Extents;
  const { stride, padding, dilation, groups } = attrs;
  const outPerGroup = out / groups;
  return finish(call, inputs, ([dy, w], at) => {
    const [n, c, row, column] = at as [string, string, string, string];
    const y = reached('oy', row, 'ky', {
      step: stride[0],
      spacing: dilation[0],
      before: padding[0],
      extent: dys[2]!,
    });
    const x = reached('ox', column, 'kx', {
      step: stride[1],
      spacing: dilation[1],
      before: padding[1],
      extent: dys[3]!,
    });
    const o = sum('first', 'j');
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

/** dw: for each weight all places it was used at, row by row. Inputs: dy, x. */
export const lowerConv2dGradWeight: Lower<Conv2dGradAttrs> = (call) => {
  const { attrs, inputs, node, shape } = call;
  const [n, , oh, ow] = node.inputs[0]!.shape as unknown as Extents;
  const [out, perGroup] = shape as unknown as Extents;
  const { stride, padding, dilation, groups } = attrs;
  return finish(call, inputs, ([dy, x], at) => {
    const [o, inner, ky, kx] = at as [string, string, string, string];
    const product = `${dy!(['n', o, 'y', 'x'])} * ${x!([
      'n',
      'channel',
      [sum(times('y', stride[0]), times(ky, dilation[0])), -padding[0]],
      [sum(times('x', stride[1]), times(kx, dilation[1])), -padding[1]],
    ])}`;
    return {
      statements: [
        `const channel = ${sum(times(groupOf(o, groups, out / groups), perGroup), inner)};`,
        'let sum = 0.0;',
        loop('n', n, loop('y', oh, `let line = 0.0;\n${loop('x', ow, `line += ${product};`)}\nsum += line;`)),
      ].join('\n'),
      value: 'sum',
    };
  });
};
