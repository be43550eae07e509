/**
 * Scales packed weights: every index of the inner dimension has a factor of its own. Scaling a layer's
 * weights instead of its input is the cheaper way where the picture has more pixels than the layer columns.
 */
import { type FunctionBuilder, f32x4, v128 } from '../emit/index.js';
import { defineKernel, FLOAT, LANES, VECTOR } from './kernel.js';

/** Everything that is fixed when the kernel is generated. */
export interface ScalePanels {
  readonly inner: number;
  /** Columns in a panel, and in the last one if that is narrower (0: it is not). */
  readonly panel: number;
  readonly narrowPanel: number;
}

/** Parameters: addresses of the weights, of the result and of the factors; full panels; 1 if the narrow one follows. */
export const scalePanels = ({ inner, panel, narrowPanel }: ScalePanels): FunctionBuilder =>
  defineKernel(['from', 'to', 'factors', 'panels', 'narrow'], (f, p) => {
    const factor = f.local('v128');
    const factors = f.pointer('factors');
    const scale = (columns: number): void => {
      const results = f.vectors('result', columns / LANES);
      f.set(factors, p.factors);
      f.repeat(inner, () => {
        f.set(factor, v128.loadSplat(factors));
        for (const [i, result] of results.entries())
          f.set(result, f32x4.mul(v128.load(p.from, i * VECTOR), factor));
        for (const [i, result] of results.entries()) f.store(p.to, result, i * VECTOR);
        f.advance(factors, FLOAT);
        for (const address of [p.from, p.to]) f.advance(address, columns * FLOAT);
      });
    };
    f.repeat(p.panels, () => scale(panel));
    if (narrowPanel > 0) f.repeat(p.narrow, () => scale(narrowPanel));
  });
