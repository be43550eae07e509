/**
 * Classification losses of rows. The target of a class is found by comparing its index with the label, so that an
 * invalid label never addresses memory outside a row. The host rejects invalid labels before a run. It cannot see
 * labels that the graph computes: an invalid one makes the loss NaN.
 */
import { forEachVector, reduceLanes, selectFirstLanes, sumChannels } from '../../codegen/channels.js';
import type { Engine } from '../../codegen/engine.js';
import { type FunctionBuilder, f32x4, type Local, type V128, v128 } from '../../codegen/index.js';
import { defineKernel, FLOAT, type Variant } from '../../codegen/kernel.js';
import { exponential, logarithm } from '../../codegen/math.js';

/** Classes, input and layout of a loss. */
export interface LossShape {
  readonly classes: number;
  /** True if rows are logits; else they are log probabilities. */
  readonly logits: boolean;
  readonly labelSmoothing: number;
  /** True if classes have weights. */
  readonly weighted: boolean;
  /** Row stride of x in bytes. */
  readonly row: number;
}

/** Fills a constant with the indices of the classes: 0, 1, 2, ... */
export const fillClassIndices = (target: Float32Array): void => target.set([...target.keys()]);

/** 1 where the class is the label, else 0. */
const isLabel = (indices: V128, label: V128): V128 => v128.and(f32x4.eq(indices, label), f32x4.const(1));

/** Computes the class weight of each row's label (1 without class weights); NaN if the label is invalid. */
export const labelWeights = defineKernel({
  name: 'label weights',
  parameters: {
    /** Address of the first row's label. */
    labels: 'address',
    /** Address of the class weights, if there are any. */
    classWeights: 'address?',
    /** Address of the class indices: see `fillClassIndices`. */
    classIndices: 'address',
    /** Address of the first row's result. */
    results: 'address',
    /** Number of rows. */
    rows: 'integer',
  },
  build(f, p, { shape: { classes, weighted } }: Variant<Pick<LossShape, 'classes' | 'weighted'>>) {
    const [classWeights, classIndices] = [f.pointer(), f.pointer()];
    const [label, matches, sum] = f.vectors(3);
    f.repeat(p.rows, () => {
      f.set(label, v128.loadSplat(p.labels));
      f.set(classWeights, p.classWeights);
      f.set(classIndices, p.classIndices);
      f.set(matches, f32x4.const(0));
      f.set(sum, f32x4.const(0));
      forEachVector(f, classes, [classWeights, classIndices], (lanes) => {
        const match = (): V128 =>
          selectFirstLanes(isLabel(v128.load(classIndices), label), lanes, f32x4.const(0));
        f.set(matches, f32x4.add(matches, match()));
        if (!weighted) return;
        const weight = f32x4.mul(v128.load(classWeights), match());
        f.set(sum, f32x4.add(sum, selectFirstLanes(weight, lanes, f32x4.const(0))));
      });
      reduceLanes(f, matches, f32x4.add);
      reduceLanes(f, sum, f32x4.add);
      // One match gives 1 / 1, none gives 0 / 0, which is NaN.
      f.set(matches, f32x4.div(matches, matches));
      f.storeF32(p.results, f32x4.lane(weighted ? f32x4.mul(sum, matches) : matches, 0));
      f.advance(p.results, FLOAT);
      f.advance(p.labels, FLOAT);
    });
  },
});

/** Sums one value per row. */
export const sumRows = defineKernel({
  name: 'sum rows',
  parameters: {
    /** Address of the first row's value. */
    values: 'address',
    /** Address of the sum. */
    sum: 'address',
  },
  build(f, p, { shape: { rows } }: Variant<{ readonly rows: number }>) {
    const [sum] = f.vectors(1);
    sumChannels(f, rows, [p.values], sum, () => v128.load(p.values));
    f.storeF32(p.sum, f32x4.lane(sum, 0));
  },
});

/**
 * Code that the loss and its gradient share: passes over a row, the target and the log probability of each class.
 * @param start - address of the row; the kernel advances it.
 * @param constants - addresses of the class weights and class indices.
 */
export function lossRow(
  f: FunctionBuilder,
  engine: Engine,
  { classes, logits, labelSmoothing, weighted }: LossShape,
  start: Local<'i32'>,
  constants: { readonly classWeights: Local<'i32'>; readonly classIndices: Local<'i32'> },
) {
  const [x, classWeights, classIndices] = [f.pointer(), f.pointer(), f.pointer()];
  const [label, maximum, sum, log, value, power, target] = f.vectors(7);
  /** Runs `body` for each vector of classes. */
  const forEachClass = (body: (lanes: number) => void): void => {
    f.set(x, start);
    f.set(classWeights, constants.classWeights);
    f.set(classIndices, constants.classIndices);
    forEachVector(f, classes, [x, classWeights, classIndices], body);
  };
  /** Sets `value` to the log probability of each class. */
  const setLogProbability = (): void =>
    f.set(value, logits ? f32x4.sub(f32x4.sub(v128.load(x), maximum), log) : v128.load(x));
  /** Sets `target` to the target probability of each class times its weight; zero after the last class. */
  const setTarget = (lanes: number): void => {
    const smoothing = f32x4.const(labelSmoothing / classes);
    const match = f32x4.mul(isLabel(v128.load(classIndices), label), f32x4.const(1 - labelSmoothing));
    const smoothed = labelSmoothing > 0 ? f32x4.add(match, smoothing) : match;
    const scaled = weighted ? f32x4.mul(smoothed, v128.load(classWeights)) : smoothed;
    f.set(target, selectFirstLanes(scaled, lanes, f32x4.const(0)));
  };
  /** Loads the label and, for logits, computes the maximum and the logarithm of the sum of exponentials. */
  const begin = (labels: Local<'i32'>): void => {
    f.set(label, v128.loadSplat(labels));
    if (!logits) return;
    f.set(maximum, f32x4.const(-Infinity));
    forEachClass((lanes) =>
      f.set(maximum, f32x4.max(maximum, selectFirstLanes(v128.load(x), lanes, maximum))),
    );
    reduceLanes(f, maximum, f32x4.max);
    f.set(x, start);
    sumChannels(f, classes, [x], sum, () => {
      f.set(value, f32x4.sub(v128.load(x), maximum));
      exponential(f, engine, [value], [power]);
      return power;
    });
    logarithm(f, engine, [sum], [log]);
  };
  return { begin, forEachClass, setLogProbability, setTarget, value, power, target, sum };
}

/** 0 if the label is valid, else NaN. */
export const nanIfInvalid = (labelWeight: Local<'i32'>): V128 =>
  f32x4.mul(v128.loadSplat(labelWeight), f32x4.const(0));

/** Computes the loss of each row. */
export const rowLosses = defineKernel({
  name: 'row losses',
  parameters: {
    /** Address of the first row. */
    x: 'address',
    /** Address of the first row's label. */
    labels: 'address',
    /** Address of the class weights, if there are any. */
    classWeights: 'address?',
    /** Address of the class indices: see `fillClassIndices`. */
    classIndices: 'address',
    /** Address of the weight of the first row's label. */
    labelWeights: 'address',
    /** Address of the divisor of a mean. */
    divisor: 'address',
    /** Address of the first row's loss. */
    losses: 'address',
    /** Number of rows. */
    rows: 'integer',
  },
  build(f, p, { engine, shape }: Variant<LossShape>) {
    const row = lossRow(f, engine, shape, p.x, p);
    const { value, target, sum } = row;
    f.repeat(p.rows, () => {
      row.begin(p.labels);
      f.set(sum, f32x4.const(0));
      row.forEachClass((lanes) => {
        row.setLogProbability();
        row.setTarget(lanes);
        // Classes with a target of zero are left out: 0 times the -Infinity of an impossible class would be NaN.
        f.set(value, f32x4.mul(value, target));
        f.set(sum, f32x4.sub(sum, v128.select(value, target, f32x4.ne(target, f32x4.const(0)))));
      });
      reduceLanes(f, sum, f32x4.add);
      f.set(sum, f32x4.div(f32x4.add(sum, nanIfInvalid(p.labelWeights)), v128.loadSplat(p.divisor)));
      f.storeF32(p.losses, f32x4.lane(sum, 0));
      for (const address of [p.labels, p.labelWeights, p.losses]) f.advance(address, FLOAT);
      f.advance(p.x, shape.row);
    });
  },
});
