/**
 * The first part of an inverted residual, by channels: each thread expands and filters channels of its own, of
 * all rows, so that it reads its part of the weights and nothing twice.
 */
import { paddedChannels } from '../kernels/kernel.js';
import type { Pointer } from '../plan/memory.js';
import type { Call, Planner } from '../plan/planner.js';
import type { Pixels } from '../plan/value.js';
import type { DepthwiseRows } from './depthwise.js';
import { productOfRows, type RowProduct } from './rowProduct.js';

/** Channels that stay together where threads share them out. */
const UNIT = 16;

/** Bytes of pictures that are expanded together: as many as a second-level cache holds beside weights. */
const EXPANDED_TOGETHER = 512 * 1024;

/** The first part of a block: what it reads and makes, and how. */
export interface ChannelsPlan {
  readonly x: Pixels;
  /** What comes out of the depthwise convolution. */
  readonly y: Pixels;
  readonly expand?: RowProduct;
  /** From one pixel to the next of what is expanded, in bytes. */
  readonly widePixel: number;
  readonly depthwise: DepthwiseRows;
  /** Where each row of y is summed up, row by row, for squeeze-and-excitation. */
  readonly sums?: Pointer;
}

export function channelsPhase(p: Planner, { x, y, expand, widePixel, depthwise, sums }: ChannelsPlan): void {
  const wideRow = x.w * widePixel;
  const picture = x.h * wideRow;
  const expanded = expand && p.scratch(x.n * picture);
  const groups = UNIT / depthwise.groupChannels;
  // Pictures that lie one after the other are expanded together, so that weights are read less often.
  const joined = x.image === x.h * x.row ? Math.max(1, Math.floor(EXPANDED_TOGETHER / x.image)) : 1;
  p.spread(Math.ceil(paddedChannels(y.c) / UNIT), (from, to) => {
    const calls: Call[] = [];
    if (expand && expanded) {
      const panels = UNIT / expand.panel;
      const own = [from * panels, Math.min(to * panels, expand.panels)] as const;
      for (let image = 0; image < x.n; image += joined) {
        const rows = Math.min(joined, x.n - image) * x.h;
        const source = { ...x, at: x.at.plus(image * x.image) };
        const into = { at: expanded.plus(image * picture), row: wideRow, pixel: widePixel };
        calls.push(...productOfRows(expand, rows, x.w, source, into, { panels: own }));
      }
    }
    for (let at = 0; at < y.n * y.h; at++) {
      const image = Math.floor(at / y.h);
      const source = (row: number): Pointer =>
        expanded ? expanded.plus(image * picture + row * wideRow) : x.at.plus(image * x.image + row * x.row);
      const own = [from * groups, Math.min(to * groups, depthwise.groups)] as const;
      const target = y.at.plus(at * y.row);
      calls.push(depthwise.call(at % y.h, source, target, own, sums?.plus(at * y.pixel)));
    }
    return calls;
  });
}
