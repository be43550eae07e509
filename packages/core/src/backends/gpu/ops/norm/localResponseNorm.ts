/** Local response normalisation and its gradient. */
import type { LocalResponseNormAttrs } from '../../../../ops/localResponseNorm.js';
import { literal, loop, type Read } from '../../kernels/javascript.js';
import { type Lowering, withCoordinate, writeResult } from '../lowering.js';

/** Writes a power of a positive number. For the papers' exponents, square roots are more exact. */
function powerOf(base: string, exponent: number): string {
  if (exponent === 0.75) return `(Math.sqrt(${base}) * Math.sqrt(Math.sqrt(${base})))`;
  if (exponent === 0.5) return `Math.sqrt(${base})`;
  if (exponent === 1) return base;
  return `Math.pow(${base}, ${literal(exponent)})`;
}

/**
 * Writes statements that declare the scale: k + alpha / size * (sum of squares of the channels around
 * `channel`).
 * @param name - variable to declare.
 * @param read - reads the input at a channel.
 */
function declareScale(
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

/** Gives a function that reads a pixel's values by channel. */
const byChannel =
  (read: Read | undefined, at: readonly string[]) =>
  (channel: string): string =>
    read!(withCoordinate(at, 1, channel));

/** y = x / scale^beta. */
export const lowerLocalResponseNorm: Lowering<LocalResponseNormAttrs> = (context) =>
  writeResult(context, context.inputs, ([x], at) => ({
    statements: declareScale(context.attrs, context.shape[1]!, 'scale', at[1]!, byChannel(x, at)),
    value: `${x!(at)} / ${powerOf('scale', context.attrs.beta)}`,
  }));

/** Gradient: one kernel for all scales, one for the sums over them. Inputs: dy, x. */
export const lowerLocalResponseNormGrad: Lowering<LocalResponseNormAttrs> = (context) => {
  const { size, alpha, beta } = context.attrs;
  const channels = context.shape[1]!;
  const scales = context.plan.kernel({
    inputs: [context.inputs[1]!],
    shape: context.shape,
    body: ([x], at) => ({
      statements: declareScale(context.attrs, channels, 'scale', at[1]!, byChannel(x, at)),
      value: 'scale',
    }),
  });
  return writeResult(context, [...context.inputs, scales], ([dy, x, scale], at) => {
    const [dyAt, xAt, scaleAt] = [byChannel(dy, at), byChannel(x, at), byChannel(scale, at)];
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
