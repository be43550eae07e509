/** Losses and their gradients: one kernel for the loss of each row, one for the reduction. */
import { type CrossEntropyAttrs, type NllLossAttrs, requireLabels } from '../../../../ops/loss.js';
import type { Shape } from '../../../../tensor/shape.js';
import { literal, loop, type Read } from '../../kernels/javascript.js';
import type { PlannedTensor } from '../../plan/plan.js';
import { type Lowering, type LoweringContext, writeResult } from '../lowering.js';
import { logProbability, softmaxStatistics } from '../softmax/softmax.js';

type LossInputs = [logits: PlannedTensor, labels: PlannedTensor, classWeights: PlannedTensor | undefined];
type LossGradInputs = [dloss: PlannedTensor, ...LossInputs];

/** Checks the labels that the host has before each run, since a kernel cannot report errors. */
function checkLabels({ plan }: LoweringContext, labels: PlannedTensor, classes: number): void {
  const { origin } = labels;
  if (origin.kind === 'call' || origin.kind === 'prepacked') return;
  plan.check((host) => requireLabels(origin.kind === 'fed' ? origin.of(host) : origin.values.data, classes));
}

/** Divisor of a mean over the rows. */
interface Divisor {
  /** Tensor of one value, if a kernel computes the divisor. */
  readonly inputs: readonly PlannedTensor[];
  /** Writes the divisor, given how to read `inputs`. */
  readonly text: (read: readonly Read[]) => string;
}

/** Gives what the sum of the losses is divided by: the sum of the labels' weights for a mean, else 1. */
function reductionDivisor(
  context: LoweringContext<NllLossAttrs>,
  labels: PlannedTensor,
  weights: PlannedTensor | undefined,
): Divisor {
  const n = labels.layout.shape[0]!;
  if (context.attrs.reduction !== 'mean') return { inputs: [], text: () => '1' };
  if (!weights) return { inputs: [], text: () => String(n) };
  const total = context.plan.kernel({
    inputs: [labels, weights],
    shape: [1],
    body: ([label, weight]) => ({
      statements: `let sum = 0.0;\n${loop('r', n, `const label = ${label!(['r'])};\nsum += ${weight!(['label'])};`)}`,
      value: 'sum',
    }),
  });
  return { inputs: [total], text: ([read]) => read!(['0']) };
}

/** Reduces the losses of the rows to the result. */
function reduceRows(
  context: LoweringContext<NllLossAttrs>,
  rows: PlannedTensor,
  labels: PlannedTensor,
  weights: PlannedTensor | undefined,
): PlannedTensor {
  if (context.attrs.reduction === 'none') return rows;
  const divisor = reductionDivisor(context, labels, weights);
  return writeResult(context, [rows, ...divisor.inputs], ([read, ...readDivisor]) => ({
    statements: `let sum = 0.0;\n${loop('r', rows.layout.shape[0]!, `sum += ${read!(['r'])};`)}`,
    value: `sum / ${divisor.text(readDivisor)}`,
  }));
}

/**
 * Writes statements that declare `share`, the target probability of class `c` after label smoothing, times
 * the class weight if there is one.
 */
const declareTarget = (smoothing: number, classes: number, c: string, weight: string | undefined): string =>
  `let share = ${literal(smoothing / classes)};
if (Math.abs(label - ${c}) < 0.5) { share += ${literal(1 - smoothing)}; }${weight ? `\nshare *= ${weight};` : ''}`;

/** Cross entropy. Inputs: logits, labels, class weights?. */
export const lowerCrossEntropy: Lowering<CrossEntropyAttrs> = (context) => {
  const [x, labels, weights] = context.inputs as LossInputs;
  const n = x.layout.shape[0]!;
  const classes = x.layout.shape[1]!;
  checkLabels(context, labels, classes);
  const rows = context.plan.kernel({
    inputs: [x, softmaxStatistics(context.plan, x), labels, ...(weights ? [weights] : [])],
    shape: [n],
    body: ([read, statistics, label, weight], [row]) => ({
      statements: `const label = ${label!([row!])};
let sum = 0.0;
${loop(
  'c',
  classes,
  `${declareTarget(context.attrs.labelSmoothing, classes, 'c', weight?.(['c']))}
if (share > 0) { sum -= share * (${logProbability(read!, statistics!, [row!, 'c'])}); }`,
)}`,
      value: 'sum',
    }),
  });
  return reduceRows(context, rows, labels, weights);
};

/** Reads the gradient of a row's loss: one for each row, or one for all after a reduction. */
const upstreamOf = (reduction: NllLossAttrs['reduction'], dy: Read, dyShape: Shape, row: string): string =>
  dy(reduction === 'none' ? [row] : dyShape.map(() => '0'));

/** Gradient of cross entropy. Inputs: dloss, logits, labels, class weights?. */
export const lowerCrossEntropyGrad: Lowering<CrossEntropyAttrs> = (context) => {
  const [dy, x, labels, weights] = context.inputs as LossGradInputs;
  const { reduction, labelSmoothing: smoothing } = context.attrs;
  const classes = context.shape[1]!;
  checkLabels(context, labels, classes);
  const divisor = reductionDivisor(context, labels, weights);
  const weightInputs = weights ? [weights] : [];
  return writeResult(
    context,
    [dy, x, softmaxStatistics(context.plan, x), labels, ...weightInputs, ...divisor.inputs],
    ([readDy, readX, statistics, label, ...rest], at) => {
      const [row, c] = at as [string, string];
      const weight = weights ? rest[0] : undefined;
      const total = weight
        ? loop('d', classes, `total += ${literal(smoothing / classes)} * ${weight(['d'])};`)
        : `total += ${literal(smoothing)};`;
      return {
        statements: `const label = ${label!([row])};
${declareTarget(smoothing, classes, c, weight?.([c]))}
let total = ${literal(1 - smoothing)}${weight ? ` * ${weight(['label'])}` : ' * 1.0'};
${smoothing > 0 ? total : ''}
const upstream = ${upstreamOf(reduction, readDy!, dy.layout.shape, row)} / ${divisor.text(rest.slice(weightInputs.length))};`,
        value: `upstream * (total * Math.exp(${logProbability(readX!, statistics!, at)}) - share)`,
      };
    },
  );
};

/** Negative log-likelihood. Inputs: log-probabilities, labels, class weights?. */
export const lowerNllLoss: Lowering<NllLossAttrs> = (context) => {
  const [x, labels, weights] = context.inputs as LossInputs;
  const n = x.layout.shape[0]!;
  const classes = x.layout.shape[1]!;
  checkLabels(context, labels, classes);
  const rows = context.plan.kernel({
    inputs: context.inputs,
    shape: [n],
    body: ([read, label, weight], [row]) => ({
      statements: `const label = ${label!([row!])};`,
      value: `0.0 - ${read!([row!, 'label'])}${weight ? ` * ${weight(['label'])}` : ''}`,
    }),
  });
  return reduceRows(context, rows, labels, weights);
};

/** Gradient of NLL. Inputs: dloss, log-probabilities (for their shape), labels, class weights?. */
export const lowerNllLossGrad: Lowering<NllLossAttrs> = (context) => {
  const [dy, , labels, weights] = context.inputs as LossGradInputs;
  checkLabels(context, labels, context.shape[1]!);
  const divisor = reductionDivisor(context, labels, weights);
  const weightInputs = weights ? [weights] : [];
  return writeResult(
    context,
    [dy, labels, ...weightInputs, ...divisor.inputs],
    ([readDy, label, ...rest], [row, c]) => {
      const weight = weights ? rest[0] : undefined;
      return {
        statements: `const label = ${label!([row!])};
let moved = 0.0;
if (Math.abs(label - ${c}) < 0.5) {
moved = 0.0 - ${upstreamOf(context.attrs.reduction, readDy!, dy.layout.shape, row!)}${weight ? ` * ${weight(['label'])}` : ''} / ${divisor.text(rest.slice(weightInputs.length))};
}`,
        value: 'moved',
      };
    },
  );
};
