/** Optimizer steps: pointwise functions of contiguous values. */
import type { Expression } from '../../../../pointwise/expression.js';
import { hoist } from '../../codegen/hoist.js';
import { type F32x8, type F32x8Local, f32x4, f32x8, type Local, VECTOR, v128 } from '../../codegen/index.js';
import {
  addressList,
  BLOCK_BYTES,
  CHANNEL_BLOCK,
  defineKernel,
  FLOAT,
  PARAMETERS,
  type Variant,
} from '../../codegen/kernel.js';
import { setPointwise } from '../../codegen/pointwise.js';

/** A step of a chain. */
export interface ChainedStep {
  readonly result: Expression<string>;
  /** Inputs with a value for each element: indices in the list [operands of the chain, results of earlier steps]. */
  readonly operands: Readonly<Record<string, number>>;
  /** Inputs that all elements share: index of an address, and offset from it in bytes. */
  readonly shared: Readonly<Record<string, { readonly address: number; readonly offset: number }>>;
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
    const chain = steps.map(({ result, operands, shared }, index) => {
      const uniforms = Object.fromEntries(
        Object.entries(shared).map(([name, { address, offset }]) => [
          name,
          v128.loadSplat(at[address]!, offset),
        ]),
      );
      return {
        operands: Object.entries(operands),
        ...hoist(f, engine, result, uniforms, `constant ${index}`),
      };
    });
    f.repeat(p.groups, () => {
      const values = Array.from({ length: operands }, (_, i) => {
        const value = f.f32x8();
        f.set(value, f32x8.load(at[i]!));
        return value;
      });
      for (const { expression, operands: from, held } of chain) {
        const result = f.f32x8();
        const inputs = Object.fromEntries(from.map(([name, i]) => [name, values[i]!]));
        setPointwise(f, engine, [[expression, result]], { ...inputs, ...held });
        values.push(result);
      }
      for (const { step, address } of results) f.store(at[address]!, values[operands + step]!);
      for (const address of perValue) f.advance(address, BLOCK_BYTES);
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
    const [sum, value] = [f.f32x8(), f.f32x8()];
    const [low, high] = sum as [Local<'v128'>, Local<'v128'>];
    const addSquares = (count: number): void => {
      f.set(sum, f32x4.const(0));
      const add = (x: F32x8, value: F32x8Local, sum: F32x8Local): void => {
        f.set(value, x);
        f.set(sum, f32x8.multiplyAdd(engine, value, value, sum));
      };
      f.repeat(Math.floor(count / CHANNEL_BLOCK), () => {
        add(f32x8.load(p.x), value, sum);
        f.advance(p.x, BLOCK_BYTES);
      });
      const lowest = value.slice(0, 1);
      for (let i = 0; i < count % CHANNEL_BLOCK; i++) add([v128.loadZero(p.x, i * FLOAT)], lowest, [low]);
      f.store(p.sums, f32x4.add(low, high));
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
    const sum = f.local('v128');
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
