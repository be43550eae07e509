/** Optimizer steps: pointwise functions of contiguous values. */
import type { Engine } from '../../codegen/engine.js';
import { f32x4, type I32, type Local, type V128, v128 } from '../../codegen/index.js';
import {
  addressList,
  defineKernel,
  FLOAT,
  multiplyAdd,
  PARAMETERS,
  type Variant,
  VECTOR,
} from '../../codegen/kernel.js';

type Vector = Local<'v128'>;

/**
 * Formula of an optimizer step. Operands: parameter x, direction z, average of squares v. The rate and Adam's
 * bias corrections c1 and c2 are read from memory.
 */
export type OptimizerStep =
  /** a * x + b * z */
  | { readonly fn: 'combine'; readonly a: number; readonly b: number }
  /** a * x + b * z^2 */
  | { readonly fn: 'combineSquare'; readonly a: number; readonly b: number }
  /** x - rate * z */
  | { readonly fn: 'descend' }
  /** x * (1 - rate * decay) - rate * (z / c1) / (sqrt(v / c2) + eps), with the bias corrections of Adam */
  | { readonly fn: 'adaptiveDescend'; readonly eps: number; readonly decay: number }
  /**
   * x * min(1, maxNorm / (sqrt(rate) + 1e-6)). Receives the sum of squares of all gradients in place of the
   * rate.
   */
  | { readonly fn: 'clip'; readonly maxNorm: number };

/**
 * The factors of a step that are the same for all values.
 * @param rate - the rate in all lanes.
 * @param corrections - address of c1 and c2.
 */
function constantsOf(step: OptimizerStep, rate: V128, corrections: I32): readonly V128[] {
  const one = f32x4.const(1);
  switch (step.fn) {
    case 'combine':
    case 'combineSquare':
      return [f32x4.const(step.a), f32x4.const(step.b)];
    case 'descend':
      return [f32x4.sub(f32x4.const(0), rate)];
    case 'adaptiveDescend':
      return [
        f32x4.sub(one, f32x4.mul(rate, f32x4.const(step.decay))),
        f32x4.div(rate, v128.loadSplat(corrections)),
        v128.loadSplat(corrections, FLOAT),
      ];
    case 'clip': {
      const norm = f32x4.add(f32x4.sqrt(rate), f32x4.const(1e-6));
      // `min` passes on a NaN norm.
      return [f32x4.min(one, f32x4.div(f32x4.const(step.maxNorm), norm))];
    }
  }
}

/** The result of a step. Each case reads only the operands and constants that the step has. */
function applyStep(
  engine: Engine,
  step: OptimizerStep,
  operands: readonly Vector[],
  constants: readonly Vector[],
): V128 {
  const [x, z, v] = operands as readonly [Vector, Vector, Vector];
  const [first, second, third] = constants as readonly [Vector, Vector, Vector];
  switch (step.fn) {
    case 'combine':
      return multiplyAdd(engine, z, second, f32x4.mul(x, first));
    case 'combineSquare':
      return multiplyAdd(engine, f32x4.mul(z, z), second, f32x4.mul(x, first));
    case 'descend':
      return multiplyAdd(engine, z, first, x);
    case 'adaptiveDescend':
      return f32x4.sub(
        f32x4.mul(x, first),
        f32x4.div(f32x4.mul(second, z), f32x4.add(f32x4.sqrt(f32x4.div(v, third)), f32x4.const(step.eps))),
      );
    case 'clip':
      return f32x4.mul(x, first);
  }
}

/** A step of a chain. */
export interface ChainedStep {
  readonly step: OptimizerStep;
  /** Indices of x, z and v in the list [operands of the chain, results of earlier steps]. */
  readonly operands: readonly number[];
  /** Indices of the rate and of the corrections in the addresses. */
  readonly rate?: number;
  readonly corrections?: number;
}

/** A chain of steps on the same values. */
export interface OptimizerChain {
  /** Number of addresses; operands come first. */
  readonly addresses: number;
  readonly operands: number;
  readonly steps: readonly ChainedStep[];
  /** The steps whose results are stored, and the indices of their addresses, which may be those of operands. */
  readonly results: readonly { readonly step: number; readonly address: number }[];
}

/**
 * Computes all steps on eight values in registers, then the next eight. All loads come before the first store: a
 * load between the two stores of a pair made a matrix multiplication kernel 5 to 8 times slower.
 */
export const optimizerChain = defineKernel({
  name: 'optimizer chain',
  parameters: {
    /** Number of blocks of eight values. */
    groups: 'integer',
    /** Addresses of the operands, then of rates, corrections and results, by the indices in the shape. */
    at: addressList(PARAMETERS - 1),
  },
  build(f, p, { engine, shape }: Variant<OptimizerChain>) {
    const { addresses: count, operands, steps, results } = shape;
    const at = p.at.slice(0, count);
    const perValue = new Set([...at.slice(0, operands), ...results.map(({ address }) => at[address]!)]);
    const constants = steps.map(({ step, rate, corrections }, index) => {
      const values = constantsOf(
        step,
        v128.loadSplat(rate === undefined ? 0 : at[rate]!),
        corrections === undefined ? 0 : at[corrections]!,
      );
      const vectors = f.vectors(`constants ${index}`, values.length);
      for (const [i, value] of values.entries()) f.set(vectors[i]!, value);
      return vectors;
    });
    const pair = (name: string) => f.vectors(name, 2);
    f.repeat(p.groups, () => {
      const values = Array.from({ length: operands }, (_, i) => {
        const loaded = pair(`operand ${i}`);
        for (const [v, vector] of loaded.entries()) f.set(vector, v128.load(at[i]!, v * VECTOR));
        return loaded;
      });
      for (const [index, { step, operands: from }] of steps.entries()) {
        const result = pair(`result ${index}`);
        for (const [v, vector] of result.entries()) {
          const inputs = from.map((i) => values[i]![v]!);
          f.set(vector, applyStep(engine, step, inputs, constants[index]!));
        }
        values.push(result);
      }
      for (const { step, address } of results)
        for (const [v, vector] of values[operands + step]!.entries())
          f.store(at[address]!, vector, v * VECTOR);
      for (const address of perValue) f.advance(address, 2 * VECTOR);
    });
  },
});

/** Values of a partial sum of squares. */
export const PARTIAL_SUM_VALUES = 4096;

/** Size of the last partial sum. */
interface SquareSumsShape {
  /** Values of the last partial sum if it has fewer, else 0. */
  readonly rest: number;
}

/** Computes partial sums of squares: a vector of four sums for each `PARTIAL_SUM_VALUES` values. */
export const partialSumsOfSquares = defineKernel({
  name: 'partial sums of squares',
  parameters: {
    /** Address of the first value. */
    x: 'address',
    /** Address of the first partial sum. */
    sums: 'address',
    /** Number of full partial sums. */
    full: 'integer',
    /** 1 if a last partial sum of `rest` values follows. */
    partial: 'integer',
  },
  build(f, p, { engine, shape: { rest } }: Variant<SquareSumsShape>) {
    const sums = f.vectors('sum', 2);
    const values = f.vectors('value', 2);
    const addSquares = (count: number): void => {
      for (const sum of sums) f.set(sum, f32x4.const(0));
      const add = (lanes: readonly V128[]): void => {
        for (const [v, value] of lanes.entries()) f.set(values[v]!, value);
        for (const v of lanes.keys()) f.set(sums[v]!, multiplyAdd(engine, values[v]!, values[v]!, sums[v]!));
      };
      f.repeat(Math.floor(count / 8), () => {
        add([v128.load(p.x), v128.load(p.x, VECTOR)]);
        f.advance(p.x, 2 * VECTOR);
      });
      for (let i = 0; i < count % 8; i++) add([v128.loadZero(p.x, i * FLOAT)]);
      f.store(p.sums, f32x4.add(sums[0]!, sums[1]!));
      f.advance(p.sums, VECTOR);
    };
    f.repeat(p.full, () => addSquares(PARTIAL_SUM_VALUES));
    if (rest > 0) f.when(p.partial, () => addSquares(rest));
  },
});

/** Adds up vectors and then the four lanes of the total. */
export const sumVectors = defineKernel({
  name: 'sum vectors',
  parameters: {
    /** Address of the first vector. */
    vectors: 'address',
    /** Address of the sum, a single value. */
    sum: 'address',
    /** Number of vectors. */
    count: 'integer',
  },
  build(f, p) {
    const [sum] = f.vectors('sum', 1);
    const lane = (index: number) => f32x4.splat(f32x4.lane(sum, index));
    f.set(sum, f32x4.const(0));
    f.repeat(p.count, () => {
      f.set(sum, f32x4.add(sum, v128.load(p.vectors)));
      f.advance(p.vectors, VECTOR);
    });
    f.set(sum, f32x4.add(f32x4.add(lane(0), lane(1)), f32x4.add(lane(2), lane(3))));
    f.storeF32(p.sum, f32x4.lane(sum, 0));
  },
});
