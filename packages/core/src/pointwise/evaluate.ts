/**
 * Prints expressions to numbers: computes them in float64, operator by operator, for a block of elements at a time.
 * Blocks stay in the caches, each operator is one loop over typed arrays, so that no value is boxed, and no text becomes
 * code, which content security policies forbid.
 */
import { type Expression, type Operator, print } from './expression.js';

type Values = Float32Array | Float64Array;

/** One value for `run` elements, then the next one; after the last the first again, as for the channels of NCHW. */
export interface Runs {
  readonly perRun: Values;
  readonly run: number;
}

/** The values of an input: one for each element, one for all, or one for each run of elements. */
export type Source = Values | number | Runs;

/** Elements of a block. */
const BLOCK = 512;

/** Computes an operator for a block. Comparisons give 1 or 0. */
const loops: Readonly<Record<Operator, (y: Float64Array, ...operands: readonly Float64Array[]) => void>> = {
  add(y, a, b) {
    for (let i = 0; i < y.length; i++) y[i] = a[i]! + b[i]!;
  },
  sub(y, a, b) {
    for (let i = 0; i < y.length; i++) y[i] = a[i]! - b[i]!;
  },
  mul(y, a, b) {
    for (let i = 0; i < y.length; i++) y[i] = a[i]! * b[i]!;
  },
  div(y, a, b) {
    for (let i = 0; i < y.length; i++) y[i] = a[i]! / b[i]!;
  },
  min(y, a, b) {
    for (let i = 0; i < y.length; i++) y[i] = Math.min(a[i]!, b[i]!);
  },
  max(y, a, b) {
    for (let i = 0; i < y.length; i++) y[i] = Math.max(a[i]!, b[i]!);
  },
  negate(y, a) {
    for (let i = 0; i < y.length; i++) y[i] = -a[i]!;
  },
  sqrt(y, a) {
    for (let i = 0; i < y.length; i++) y[i] = Math.sqrt(a[i]!);
  },
  exp(y, a) {
    for (let i = 0; i < y.length; i++) y[i] = Math.exp(a[i]!);
  },
  logistic(y, a) {
    for (let i = 0; i < y.length; i++) y[i] = 1 / (1 + Math.exp(-a[i]!));
  },
  tanh(y, a) {
    for (let i = 0; i < y.length; i++) y[i] = Math.tanh(a[i]!);
  },
  less(y, a, b) {
    for (let i = 0; i < y.length; i++) y[i] = a[i]! < b[i]! ? 1 : 0;
  },
  atMost(y, a, b) {
    for (let i = 0; i < y.length; i++) y[i] = a[i]! <= b[i]! ? 1 : 0;
  },
  where(y, condition, a, b) {
    for (let i = 0; i < y.length; i++) y[i] = condition[i] ? a[i]! : b[i]!;
  },
};

/** Writes elements `start` and following of an input to a block. */
function load(block: Float64Array, source: Values | Runs, start: number): void {
  if (!('perRun' in source)) {
    block.set(source.subarray(start, start + block.length));
    return;
  }
  const { perRun, run } = source;
  for (let i = 0; i < block.length; ) {
    const index = Math.floor((start + i) / run);
    const end = Math.min(block.length, (index + 1) * run - start);
    block.fill(perRun[index % perRun.length]!, i, end);
    i = end;
  }
}

/**
 * Computes an expression for every element.
 * @param output - receives the results; may be an input, which is overwritten.
 */
export function evaluate<I extends string>(
  expression: Expression<I>,
  inputs: Readonly<Record<I, Source>>,
  output: Values,
): void {
  const size = Math.min(BLOCK, output.length);
  const steps: ((start: number) => void)[] = [];
  /** Blocks that are the same for all elements. */
  const fixed = new Set<Float64Array>();
  const constant = (value: number): Float64Array => {
    const block = new Float64Array(size).fill(value);
    fixed.add(block);
    return block;
  };
  const [result] = print<I, Float64Array>([expression], {
    input(name) {
      const source: Source = inputs[name];
      if (typeof source === 'number') return constant(source);
      const block = new Float64Array(size);
      steps.push((start) => load(block, source, start));
      return block;
    },
    constant,
    operation(operator, operands) {
      const block = new Float64Array(size);
      const compute = (): void => loops[operator](block, ...operands);
      if (operands.every((operand) => fixed.has(operand))) {
        compute();
        fixed.add(block);
      } else steps.push(compute);
      return block;
    },
  });
  for (let start = 0; start < output.length; start += size) {
    for (const step of steps) step(start);
    output.set(result!.subarray(0, output.length - start), start);
  }
}
