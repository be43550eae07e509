/**
 * Classification losses and their gradients, row by row. A class's share of the target is found by comparing
 * numbers of classes with the label, so that no label can reach outside a row. The host refuses one that is no
 * class before a run; where labels are computed, so that it does not see them, the loss is NaN.
 */

import type { Engine } from '../../codegen/engine.js';
import { type FunctionBuilder, f32x4, type Local, type V128, v128 } from '../../codegen/index.js';
import { defineKernel, FLOAT, LANES, type Variant, VECTOR } from '../../codegen/kernel.js';
import { exponential, logarithm } from '../../codegen/math.js';
import { acrossLanes, eachVector, firstLanes, sumChannels } from '../softmax/acrossChannelsKernel.js';

/** Everything about a loss that is fixed when its kernels are generated. */
export interface LossShape {
  readonly classes: number;
  /** Whether rows are logits; otherwise they are logarithms of probabilities. */
  readonly logits: boolean;
  readonly labelSmoothing: number;
  /** Whether classes have weights. */
  readonly weighted: boolean;
  /** Bytes from one row to the next. */
  readonly row: number;
}

/** Constants with the numbers of the classes, for the kernels: 0, 1, 2, ... */
export const classNumbers = (target: Float32Array): void => target.set([...target.keys()]);

/** 1 where the class is the label, else 0. */
const isLabel = (numbers: V128, label: V128): V128 => v128.and(f32x4.eq(numbers, label), f32x4.const(1));

/** The weight of each row's label, NaN if it is no class. */
export const labelWeights = defineKernel({
  name: 'label weights',
  parameters: {
    /** Address of the first row's label. */
    labels: 'address',
    /** Address of the weights of the classes, if there are any. */
    weights: 'address?',
    /** Address of the numbers of the classes: see `classNumbers`. */
    numbers: 'address',
    /** Address of the first row's result. */
    results: 'address',
    /** Number of rows. */
    rows: 'integer',
  },
  build(f, p, { shape: { classes, weighted } }: Variant<Pick<LossShape, 'classes' | 'weighted'>>) {
    const [weights, numbers] = [f.pointer('weights'), f.pointer('numbers')];
    const [label, found, sum] = f.vectors('value', 3);
    f.repeat(p.rows, () => {
      f.set(label, v128.loadSplat(p.labels));
      f.set(weights, p.weights);
      f.set(numbers, p.numbers);
      f.set(found, f32x4.const(0));
      f.set(sum, f32x4.const(0));
      eachVector(f, classes, [weights, numbers], (lanes) => {
        const hit = (): V128 => firstLanes(isLabel(v128.load(numbers), label), lanes, f32x4.const(0));
        f.set(found, f32x4.add(found, hit()));
        if (weighted)
          f.set(sum, f32x4.add(sum, firstLanes(f32x4.mul(v128.load(weights), hit()), lanes, f32x4.const(0))));
      });
      acrossLanes(f, found, f32x4.add);
      acrossLanes(f, sum, f32x4.add);
      // 0 / 0 is NaN.
      f.set(found, f32x4.div(found, found));
      f.storeF32(p.results, f32x4.lane(weighted ? f32x4.mul(sum, found) : found, 0));
      f.advance(p.results, FLOAT);
      f.advance(p.labels, FLOAT);
    });
  },
});

/** Adds up numbers, four sums side by side. */
export const sumNumbers = defineKernel({
  name: 'sum numbers',
  parameters: {
    /** Address of the first number. */
    numbers: 'address',
    /** Address of the sum. */
    sum: 'address',
  },
  build(f, p, { shape: { count } }: Variant<{ readonly count: number }>) {
    const [sum] = f.vectors('sum', 1);
    sumChannels(f, count, [p.numbers], sum, () => v128.load(p.numbers));
    f.storeF32(p.sum, f32x4.lane(sum, 0));
  },
});

/** What both passes over a row share: its target and, for logits, the largest one and the logarithm of the sum. */
function rowOf(
  f: FunctionBuilder,
  engine: Engine,
  { classes, logits, labelSmoothing, weighted }: LossShape,
  start: Local<'i32'>,
  constants: { readonly weights: Local<'i32'>; readonly numbers: Local<'i32'> },
) {
  const [x, weights, numbers] = [f.pointer('x'), f.pointer('weights'), f.pointer('numbers')];
  const [label, largest, sum, log, value, power, target] = f.vectors('row', 7);
  const each = (body: (lanes: number) => void): void => {
    f.set(x, start);
    f.set(weights, constants.weights);
    f.set(numbers, constants.numbers);
    eachVector(f, classes, [x, weights, numbers], body);
  };
  /** The logarithm of each class's probability, in `value`. */
  const logProbability = (): void =>
    f.set(value, logits ? f32x4.sub(f32x4.sub(v128.load(x), largest), log) : v128.load(x));
  /** Each class's share of the target times its weight, in `target`; zero behind the classes. */
  const share = (lanes: number): void => {
    const spread = f32x4.const(labelSmoothing / classes);
    const hit = f32x4.mul(isLabel(v128.load(numbers), label), f32x4.const(1 - labelSmoothing));
    const whole = labelSmoothing > 0 ? f32x4.add(hit, spread) : hit;
    const scaled = weighted ? f32x4.mul(whole, v128.load(weights)) : whole;
    f.set(target, firstLanes(scaled, lanes, f32x4.const(0)));
  };
  const begin = (labels: Local<'i32'>): void => {
    f.set(label, v128.loadSplat(labels));
    if (!logits) return;
    f.set(largest, f32x4.const(-Infinity));
    each((lanes) => f.set(largest, f32x4.max(largest, firstLanes(v128.load(x), lanes, largest))));
    acrossLanes(f, largest, f32x4.max);
    f.set(x, start);
    sumChannels(f, classes, [x], sum, () => {
      f.set(value, f32x4.sub(v128.load(x), largest));
      exponential(f, engine, [value], [power]);
      return power;
    });
    logarithm(f, engine, [sum], [log]);
  };
  return { begin, each, logProbability, share, value, power, target, sum };
}

/** The loss of each row. */
export const rowLosses = defineKernel({
  name: 'row losses',
  parameters: {
    /** Address of the first row. */
    x: 'address',
    /** Address of the first row's label. */
    labels: 'address',
    /** Address of the weights of the classes, if there are any. */
    weights: 'address?',
    /** Address of the numbers of the classes: see `classNumbers`. */
    numbers: 'address',
    /** Address of the weight of the first row's label. */
    labelWeights: 'address',
    /** Address of what a mean divides by. */
    divisor: 'address',
    /** Address of the first row's loss. */
    losses: 'address',
    /** Number of rows. */
    rows: 'integer',
  },
  build(f, p, { engine, shape }: Variant<LossShape>) {
    const row = rowOf(f, engine, shape, p.x, p);
    const { value, target, sum } = row;
    f.repeat(p.rows, () => {
      row.begin(p.labels);
      f.set(sum, f32x4.const(0));
      row.each((lanes) => {
        row.logProbability();
        row.share(lanes);
        // A class without a share takes no part: 0 times the -Infinity of an impossible one would be NaN.
        f.set(value, f32x4.mul(value, target));
        f.set(sum, f32x4.sub(sum, v128.select(value, target, f32x4.ne(target, f32x4.const(0)))));
      });
      acrossLanes(f, sum, f32x4.add);
      f.set(sum, f32x4.div(f32x4.add(sum, nothing(p.labelWeights)), v128.loadSplat(p.divisor)));
      f.storeF32(p.losses, f32x4.lane(sum, 0));
      for (const address of [p.labels, p.labelWeights, p.losses]) f.advance(address, FLOAT);
      f.advance(p.x, shape.row);
    });
  },
});

/** 0, or NaN where the label is no class. */
const nothing = (labelWeight: Local<'i32'>): V128 => f32x4.mul(v128.loadSplat(labelWeight), f32x4.const(0));

/** Everything about a gradient that is fixed when its kernel is generated. */
interface LossGradient extends LossShape {
  /** Bytes from one row of dx to the next. */
  readonly dx: number;
}

/** The gradient of each row. */
export const lossGradient = defineKernel({
  name: 'loss gradient',
  parameters: {
    /** Address of the gradient of the first loss. */
    dloss: 'address',
    /** Address of the first row. */
    x: 'address',
    /** Address of the first row's label. */
    labels: 'address',
    /** Address of the weights of the classes, if there are any. */
    weights: 'address?',
    /** Address of the numbers of the classes: see `classNumbers`. */
    numbers: 'address',
    /** Address of the weight of the first row's label. */
    labelWeights: 'address',
    /** Address of what a mean divides by. */
    divisor: 'address',
    /** Address of the first row of dx. */
    dx: 'address',
    /** Number of rows. */
    rows: 'integer',
    /** Bytes from one dloss to the next; 0 where all rows share one. */
    step: 'integer',
  },
  build(f, p, { engine, shape }: Variant<LossGradient>) {
    const row = rowOf(f, engine, shape, p.x, p);
    const { value, power, target, sum } = row;
    const dx = f.pointer('dx');
    const [factor] = f.vectors('factor', 1);
    f.repeat(p.rows, () => {
      row.begin(p.labels);
      f.set(
        factor,
        f32x4.div(f32x4.add(v128.loadSplat(p.dloss), nothing(p.labelWeights)), v128.loadSplat(p.divisor)),
      );
      if (shape.logits) {
        f.set(sum, f32x4.const(0));
        row.each((lanes) => {
          row.share(lanes);
          f.set(sum, f32x4.add(sum, target));
        });
        acrossLanes(f, sum, f32x4.add);
      }
      f.set(dx, p.dx);
      row.each(() => {
        row.share(LANES);
        if (shape.logits) {
          row.logProbability();
          exponential(f, engine, [value], [power]);
          f.set(value, f32x4.sub(f32x4.mul(sum, power), target));
        } else f.set(value, f32x4.sub(f32x4.const(0), target));
        f.store(dx, f32x4.mul(value, factor));
        f.advance(dx, VECTOR);
      });
      for (const address of [p.labels, p.labelWeights]) f.advance(address, FLOAT);
      f.advance(p.dloss, p.step);
      f.advance(p.x, shape.row);
      f.advance(p.dx, shape.dx);
    });
  },
});
