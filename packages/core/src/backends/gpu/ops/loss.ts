/** Softmax, its logarithm, and the losses. A first kernel finds the largest value and the sum of each row. */
import { type CrossEntropyAttrs, type NllLossAttrs, requireLabels } from '../../../ops/loss.js';
import type { Shape } from '../../../tensor/shape.js';
import type { PlanBuilder, Read, Value } from '../plan/plan.js';
import { finish, type Lower, type Lowering, literal, loop } from './lowering.js';

/** Of each distribution along axis 1, the largest value (at 0) and log(sum(exp(x - largest))) (at 1). */
function statistics(plan: PlanBuilder, x: Value): Value {
  const { shape } = x.layout;
  const classes = shape[1]!;
  return plan.kernel({
    inputs: [x],
    shape: shape.map((extent, axis) => (axis === 1 ? 2 : extent)),
    body: ([read], at) => {
      const value = (c: string): string => read!(at.map((coordinate, axis) => (axis === 1 ? c : coordinate)));
      return {
        statements: `let found = ${value('0')};
${loop('c', classes, `found = Math.max(found, ${value('c')});`)}
if (${at[1]} > 0.5) {
let sum = 0.0;
${loop('d', classes, `sum += Math.exp(${value('d')} - found);`)}
found = Math.log(sum);
}`,
        value: 'found',
      };
    },
  });
}

/** log p at an element, from x and the statistics. */
const logOf = (x: Read, stats: Read, at: readonly string[]): string => {
  const [largest, log] = ['0', '1'].map((which) => stats(at.map((c, axis) => (axis === 1 ? which : c))));
  return `${x(at)} - ${largest} - ${log}`;
};

const both = (call: Lowering<object>, body: (log: string) => string): Value => {
  const [x] = call.inputs as [Value];
  return finish(call, [x, statistics(call.plan, x)], ([read, stats], at) => ({
    value: body(logOf(read!, stats!, at)),
  }));
};

/** y = exp(x) / sum(exp(x)). */
export const lowerSoftmax: Lower<object> = (call) => both(call, (log) => `Math.exp(${log})`);

/** y = x - log(sum(exp(x))). */
export const lowerLogSoftmax: Lower<object> = (call) => both(call, (log) => log);

/** The sum over axis 1 of a term. */
function rowSums(
  call: Lowering<object>,
  term: (read: readonly Read[], at: readonly string[]) => string,
): Value {
  return call.plan.kernel({
    inputs: call.inputs,
    shape: call.shape.map((extent, axis) => (axis === 1 ? 1 : extent)),
    body: (read, at) => ({
      statements: `let sum = 0.0;\n${loop(
        'c',
        call.shape[1]!,
        `sum += ${term(
          read,
          at.map((coordinate, axis) => (axis === 1 ? 'c' : coordinate)),
        )};`,
      )}`,
      value: 'sum',
    }),
  });
}

const firstOf = (at: readonly string[]): readonly string[] => at.map((c, axis) => (axis === 1 ? '0' : c));

/** dx = y * (dy - sum(dy * y)). Inputs: dy, y. */
export const lowerSoftmaxGrad: Lower<object> = (call) =>
  finish(
    call,
    [...call.inputs, rowSums(call, ([dy, y], at) => `${dy!(at)} * ${y!(at)}`)],
    ([dy, y, sums], at) => ({ value: `${y!(at)} * (${dy!(at)} - ${sums!(firstOf(at))})` }),
  );

/** dx = dy - exp(y) * sum(dy). Inputs: dy, y. */
export const lowerLogSoftmaxGrad: Lower<object> = (call) =>
  finish(call, [...call.inputs, rowSums(call, ([dy], at) => dy!(at))], ([dy, y, sums], at) => ({
    value: `${dy!(at)} - Math.exp(${y!(at)}) * ${sums!(firstOf(at))}`,
  }));

/** Labels that the host knows are checked before each run: a kernel cannot complain. */
function checkLabels({ plan }: Lowering<object>, labels: Value, classes: number): void {
  const { origin } = labels;
  if (origin.kind === 'call' || origin.kind === 'arranged') return;
  plan.check((host) => requireLabels(origin.kind === 'fed' ? origin.of(host) : origin.values.data, classes));
}

/** What the losses of a batch are divided by: an expression in a read of the one value, if there is one. */
interface Divisor {
  readonly inputs: readonly Value[];
  readonly by: (read: readonly Read[]) => string;
}

function divisorOf(call: Lowering<NllLossAttrs>, labels: Value, weights: Value | undefined): Divisor {
  const n = labels.layout.shape[0]!;
  if (call.attrs.reduction !== 'mean') return { inputs: [], by: () => '1' };
  if (!weights) return { inputs: [], by: () => String(n) };
  const total = call.plan.kernel({
    inputs: [labels, weights],
    shape: [1],
    body: ([label, weight]) => ({
      statements: `let sum = 0.0;\n${loop('r', n, `const label = ${label!(['r'])};\nsum += ${weight!(['label'])};`)}`,
      value: 'sum',
    }),
  });
  return { inputs: [total], by: ([read]) => read!(['0']) };
}

/** The losses of all rows as the reduction wants them. */
function reduced(
  call: Lowering<NllLossAttrs>,
  rows: Value,
  labels: Value,
  weights: Value | undefined,
): Value {
  if (call.attrs.reduction === 'none') return rows;
  const { inputs, by } = divisorOf(call, labels, weights);
  return finish(call, [rows, ...inputs], ([read, ...divisor]) => ({
    statements: `let sum = 0.0;\n${loop('r', rows.layout.shape[0]!, `sum += ${read!(['r'])};`)}`,
    value: `sum / ${by(divisor)}`,
  }));
}

/** Statements that name a class's share of the target: label smoothing, and the class weight on top. */
const shareOf = (smoothing: number, classes: number, c: string, weight: string | undefined): string =>
  `let share = ${literal(smoothing / classes)};
if (Math.abs(label - ${c}) < 0.5) { share += ${literal(1 - smoothing)}; }${weight ? `\nshare *= ${weight};` : ''}`;

/** Inputs: logits, labels, class weights?. */
export const lowerCrossEntropy: Lower<CrossEntropyAttrs> = (call) => {
  const [x, labels, weights] = call.inputs as [Value, Value, Value | undefined];
  const [n, classes] = x.layout.shape as unknown as readonly [number, number];
  checkLabels(call, labels, classes);
  const rows = call.plan.kernel({
    inputs: [x, statistics(call.plan, x), labels, ...(weights ? [weights] : [])],
    shape: [n],
    body: ([read, stats, label, weight], [row]) => ({
      statements: `const label = ${label!([row!])};
let sum = 0.0;
${loop(
  'c',
  classes,
  `${shareOf(call.attrs.labelSmoothing, classes, 'c', weight?.(['c']))}
if (share > 0) { sum -= share * (${logOf(read!, stats!, [row!, 'c'])}); }`,
)}`,
      value: 'sum',
    }),
  });
  return reduced(call, rows, labels, weights);
};

/** The gradient of a row's loss: that of the batch's, or the row's own. */
const upstreamOf = (reduction: NllLossAttrs['reduction'], dy: Read, dyShape: Shape, row: string): string =>
  dy(reduction === 'none' ? [row] : dyShape.map(() => '0'));

/** Inputs: dloss, logits, labels, class weights?. */
export const lowerCrossEntropyGrad: Lower<CrossEntropyAttrs> = (call) => {
  const [dy, x, labels, weights] = call.inputs as [Value, Value, Value, Value | undefined];
  const { reduction, labelSmoothing: smoothing } = call.attrs;
  const classes = call.shape[1]!;
  checkLabels(call, labels, classes);
  const divisor = divisorOf(call, labels, weights);
  const owned = weights ? [weights] : [];
  return finish(
    call,
    [dy, x, statistics(call.plan, x), labels, ...owned, ...divisor.inputs],
    ([readDy, readX, stats, label, ...rest], at) => {
      const [row, c] = at as [string, string];
      const weight = weights ? rest[0] : undefined;
      const total = weight
        ? loop('d', classes, `total += ${literal(smoothing / classes)} * ${weight(['d'])};`)
        : `total += ${literal(smoothing)};`;
      return {
        statements: `const label = ${label!([row])};
${shareOf(smoothing, classes, c, weight?.([c]))}
let total = ${literal(1 - smoothing)}${weight ? ` * ${weight(['label'])}` : ' * 1.0'};
${smoothing > 0 ? total : ''}
const upstream = ${upstreamOf(reduction, readDy!, dy.layout.shape, row)} / ${divisor.by(rest.slice(owned.length))};`,
        value: `upstream * (total * Math.exp(${logOf(readX!, stats!, at)}) - share)`,
      };
    },
  );
};

/** Inputs: log-probabilities, labels, class weights?. */
export const lowerNllLoss: Lower<NllLossAttrs> = (call) => {
  const [x, labels, weights] = call.inputs as [Value, Value, Value | undefined];
  const [n, classes] = x.layout.shape as unknown as readonly [number, number];
  checkLabels(call, labels, classes);
  const rows = call.plan.kernel({
    inputs: call.inputs,
    shape: [n],
    body: ([read, label, weight], [row]) => ({
      statements: `const label = ${label!([row!])};`,
      value: `0.0 - ${read!([row!, 'label'])}${weight ? ` * ${weight(['label'])}` : ''}`,
    }),
  });
  return reduced(call, rows, labels, weights);
};

/** Inputs: dloss, log-probabilities (for their shape), labels, class weights?. */
export const lowerNllLossGrad: Lower<NllLossAttrs> = (call) => {
  const [dy, , labels, weights] = call.inputs as [Value, Value, Value, Value | undefined];
  checkLabels(call, labels, call.shape[1]!);
  const divisor = divisorOf(call, labels, weights);
  const owned = weights ? [weights] : [];
  return finish(call, [dy, labels, ...owned, ...divisor.inputs], ([readDy, label, ...rest], [row, c]) => {
    const weight = weights ? rest[0] : undefined;
    return {
      statements: `const label = ${label!([row!])};
let moved = 0.0;
if (Math.abs(label - ${c}) < 0.5) {
moved = 0.0 - ${upstreamOf(call.attrs.reduction, readDy!, dy.layout.shape, row!)}${weight ? ` * ${weight(['label'])}` : ''} / ${divisor.by(rest.slice(owned.length))};
}`,
      value: 'moved',
    };
  });
};
