/**
 * Scales packed weights by one factor for each index of the inner dimension. Scaling a layer's weights instead of
 * its input is cheaper if the image has more pixels than the layer has columns.
 */
import { f32x8, v128 } from '../../codegen/index.js';
import { defineKernel, FLOAT, LANES, type Variant } from '../../codegen/kernel.js';

/** Shape of the packed weights. */
export interface ScalePanels {
  /** Size of the inner dimension. */
  readonly inner: number;
  /** Columns in a panel, and in the last panel if that is narrower, else 0. */
  readonly panel: number;
  readonly narrowPanel: number;
}

/** Scales panels of weights. */
export const scalePanels = defineKernel({
  name: 'scale panels',
  parameters: {
    /** Address of the first panel of weights. */
    from: 'address',
    /** Address of the first panel of the result. */
    to: 'address',
    /** Address of the factors. */
    factors: 'address',
    /** Number of full panels. */
    panels: 'integer',
    /** 1 if the narrow panel follows. */
    narrow: 'integer?',
  },
  build(f, p, { shape: { inner, panel, narrowPanel } }: Variant<ScalePanels>) {
    const factor = f.local('v128');
    const factors = f.pointer();
    const scale = (columns: number): void => {
      const result = f.pool('result', columns / LANES);
      f.set(factors, p.factors);
      f.repeat(inner, () => {
        f.set(factor, v128.loadSplat(factors));
        f.set(result, f32x8.mul(f32x8.load(p.from, 0, columns / LANES), factor));
        f.store(p.to, result);
        f.advance(factors, FLOAT);
        for (const address of [p.from, p.to]) f.advance(address, columns * FLOAT);
      });
    };
    f.repeat(p.panels, () => scale(panel));
    if (narrowPanel > 0) f.repeat(p.narrow, () => scale(narrowPanel));
  },
});
