/** Gradients of classification losses. */
import { reduceLanes } from '../../codegen/channels.js';
import { f32x4, VECTOR, v128 } from '../../codegen/index.js';
import { defineKernel, FLOAT, LANES, type Variant } from '../../codegen/kernel.js';
import { exponential } from '../../codegen/math.js';
import { type LossShape, lossRow, nanIfInvalid } from './lossKernel.js';

/** Classes, input and layout of a loss, with the layout of dx. */
export interface LossGradientShape extends LossShape {
  /** Row stride of dx in bytes. */
  readonly dx: number;
}

/**
 * Logits: dx = (sum(target) softmax(x) - target) dloss / divisor; log probabilities: dx = -target dloss / divisor.
 */
export const lossGradient = defineKernel({
  name: 'loss gradient',
  parameters: {
    /** Address of the gradient of the first loss. */
    dloss: 'address',
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
    /** Address of the first row of dx. */
    dx: 'address',
    /** Number of rows. */
    rows: 'integer',
    /** Stride of dloss in bytes; 0 if all rows share one value. */
    dlossStride: 'integer',
  },
  build(f, p, { engine, shape }: Variant<LossGradientShape>) {
    const row = lossRow(f, engine, shape, p.x, p);
    const { value, power, target, sum } = row;
    const dx = f.pointer();
    const [factor] = f.vectors(1);
    f.repeat(p.rows, () => {
      row.begin(p.labels);
      const dloss = f32x4.add(v128.loadSplat(p.dloss), nanIfInvalid(p.labelWeights));
      f.set(factor, f32x4.div(dloss, v128.loadSplat(p.divisor)));
      if (shape.logits) {
        f.set(sum, f32x4.const(0));
        row.forEachClass((lanes) => {
          row.setTarget(lanes);
          f.set(sum, f32x4.add(sum, target));
        });
        reduceLanes(f, sum, f32x4.add);
      }
      f.set(dx, p.dx);
      row.forEachClass(() => {
        row.setTarget(LANES);
        if (shape.logits) {
          row.setLogProbability();
          exponential(f, engine, [value], [power]);
          f.set(value, f32x4.sub(f32x4.mul(sum, power), target));
        } else f.set(value, f32x4.sub(f32x4.const(0), target));
        f.store(dx, f32x4.mul(value, factor));
        f.advance(dx, VECTOR);
      });
      for (const address of [p.labels, p.labelWeights]) f.advance(address, FLOAT);
      f.advance(p.dloss, p.dlossStride);
      f.advance(p.x, shape.row);
      f.advance(p.dx, shape.dx);
    });
  },
});
