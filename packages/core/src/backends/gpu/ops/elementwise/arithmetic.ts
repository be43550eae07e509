/** Ops that go element by element: activations, sums, products, the steps of optimizers, and local response normalisation. */
import type { Activation } from '../../../../ops/activation.js';
import type { AddAttrs } from '../../../../ops/arithmetic.js';
import type { LocalResponseNormAttrs } from '../../../../ops/localResponseNorm.js';
import type {
  AdaptiveStepAttrs,
  ClipAttrs,
  LinearCombinationAttrs,
  StepAttrs,
} from '../../../../ops/optimizer.js';
import type { Read } from '../../plan/plan.js';
import { activated, activationOf, elementwise, finish, type Lower, literal, loop } from '../lowering.js';

/** y = f(x). */
export const lowerActivation: Lower<Activation> = elementwise((activation, [x]) => activated(activation, x!));

/** Statements that leave the slope of an activation at x in `slope`. */
function slopeOf(activation: Activation): string {
  const between = (low: number, high: number): string =>
    `if (x > ${literal(low)} && x < ${high}) { slope = 1.0; }`;
  const logistic = `const y = ${activationOf({ fn: 'sigmoid' }, 'x')};`;
  switch (activation.fn) {
    case 'relu':
      return 'if (x > 0) { slope = 1.0; }';
    case 'relu6':
      return between(0, 6);
    case 'leakyRelu':
      return `slope = ${literal(activation.slope)};\nif (x > 0) { slope = 1.0; }`;
    case 'sigmoid':
      return `${logistic}\nslope = y * (1 - y);`;
    case 'tanh':
      return `const y = ${activationOf({ fn: 'tanh' }, 'x')};\nslope = 1 - y * y;`;
    case 'silu':
      return `${logistic}\nslope = y * (1 + x * (1 - y));`;
    case 'hardSwish':
      return 'if (x >= -3) { slope = (2 * x + 3) / 6; }\nif (x >= 3) { slope = 1.0; }';
    case 'hardSigmoid':
      return `${between(-3, 3)}\nslope = slope / 6;`;
  }
}

/** dx = dy * f'(x). Inputs: dy, x. */
export const lowerActivationGrad: Lower<Activation> = elementwise((activation, [dy, x]) => ({
  statements: `const x = ${x};\nlet slope = 0.0;\n${slopeOf(activation)}`,
  value: `${dy} * slope`,
}));

/** y = activation(a + b). */
export const lowerAdd: Lower<AddAttrs> = elementwise(({ activation }, [a, b]) =>
  activated(activation, `${a} + ${b}`),
);

/** y = a * b, where extents of b that are 1 stand for all. */
export const lowerMul: Lower<object> = (call) => {
  const gate = call.node.inputs[1]!.shape;
  return finish(call, call.inputs, ([a, b], at) => ({
    value: `${a!(at)} * ${b!(at.map((coordinate, axis) => (gate[axis] === 1 ? '0' : coordinate)))}`,
  }));
};

/** y = a * x + b * z. */
export const lowerLinearCombination: Lower<LinearCombinationAttrs> = elementwise(
  ({ a, b }, [x, z]) => `${literal(a)} * ${x} + ${literal(b)} * ${z}`,
);

/** y = a * x + b * z^2. */
export const lowerSquareAverage: Lower<LinearCombinationAttrs> = elementwise(
  ({ a, b }, [x, z]) => `${literal(a)} * ${x} + ${literal(b)} * ${z} * ${z}`,
);

/** y = parameter - rate * direction. */
export const lowerDescend: Lower<StepAttrs> = (call) =>
  finish(call, call.inputs, ([parameter, direction, rate], at) => ({
    value: `${parameter!(at)} - ${rate!([String(call.attrs.index)])} * ${direction!(at)}`,
  }));

/** The step of Adam and its kin. Inputs: parameter, direction, average of squares, rate, corrections. */
export const lowerAdaptiveDescend: Lower<AdaptiveStepAttrs> = (call) =>
  finish(call, call.inputs, ([p, m, v, rate, corrections], at) => ({
    statements: `const step = ${rate!([String(call.attrs.index)])};`,
    value: `${p!(at)} * (1 - step * ${literal(call.attrs.decay)}) - step * (${m!(at)} / ${corrections!(['0'])}) / (Math.sqrt(${v!(at)} / ${corrections!(['1'])}) + ${literal(call.attrs.eps)})`,
  }));

/** y = x * min(1, maxNorm / (sqrt(total) + 1e-6)). Inputs: x, total. */
export const lowerClipByNorm: Lower<ClipAttrs> = (call) =>
  finish(call, call.inputs, ([x, total], at) => ({
    value: `${x!(at)} * Math.min(1, ${literal(call.attrs.maxNorm)} / (Math.sqrt(${total!(['0'])}) + 0.000001))`,
  }));

/** A power of a positive number; the roots that the papers take are more exact than a power is. */
function powerOf(base: string, exponent: number): string {
  if (exponent === 0.75) return `(Math.sqrt(${base}) * Math.sqrt(Math.sqrt(${base})))`;
  if (exponent === 0.5) return `Math.sqrt(${base})`;
  if (exponent === 1) return base;
  return `Math.pow(${base}, ${literal(exponent)})`;
}

/** Statements that leave k + alpha / size * (sum of squares around `channel`) in `name`. */
function scaleOf(
  { size, alpha, k }: LocalResponseNormAttrs,
  channels: number,
  name: string,
  channel: string,
  read: (channel: string) => string,
): string {
  const other = `${name}Other`;
  return `let ${name}Sum = 0.0;
${loop(
  `${name}Step`,
  size,
  `const ${other} = ${channel} - ${Math.floor(size / 2)} + ${name}Step;
if (${other} >= 0 && ${other} < ${channels}) { ${name}Sum += ${read(other)} * ${read(other)}; }`,
)}
const ${name} = ${literal(k)} + ${literal(alpha / size)} * ${name}Sum;`;
}

const channelOf = (x: Read, at: readonly string[]) => (channel: string) =>
  x([at[0]!, channel, at[2]!, at[3]!]);

/** y = x / scale^beta. */
export const lowerLocalResponseNorm: Lower<LocalResponseNormAttrs> = (call) =>
  finish(call, call.inputs, ([x], at) => ({
    statements: scaleOf(call.attrs, call.shape[1]!, 'scale', at[1]!, channelOf(x!, at)),
    value: `${x!(at)} / ${powerOf('scale', call.attrs.beta)}`,
  }));

/** dx of local response normalisation: first all scales, then the sums over them. Inputs: dy, x. */
export const lowerLocalResponseNormGrad: Lower<LocalResponseNormAttrs> = (call) => {
  const { size, alpha, beta } = call.attrs;
  const channels = call.shape[1]!;
  const scales = call.plan.kernel({
    inputs: [call.inputs[1]!],
    shape: call.shape,
    body: ([x], at) => ({
      statements: scaleOf(call.attrs, channels, 'scale', at[1]!, channelOf(x!, at)),
      value: 'scale',
    }),
  });
  return finish(call, [...call.inputs, scales], ([dy, x, scale], at) => {
    const [dyAt, xAt, scaleAt] = [dy!, x!, scale!].map((read) => channelOf(read, at)) as [
      (c: string) => string,
      (c: string) => string,
      (c: string) => string,
    ];
    const last = Math.floor(size / 2);
    return {
      statements: `let sum = 0.0;
${loop(
  'step',
  size,
  `const other = ${at[1]} + ${last} - ${size - 1} + step;
if (other >= 0 && other < ${channels}) {
const there = ${scaleAt('other')};
sum += ${dyAt('other')} * ${xAt('other')} / (there * ${powerOf('there', beta)});
}`,
)}
const own = ${scale!(at)};`,
      value: `${dy!(at)} / ${powerOf('own', beta)} - ${literal((2 * alpha * beta) / size)} * ${x!(at)} * sum`,
    };
  });
};
