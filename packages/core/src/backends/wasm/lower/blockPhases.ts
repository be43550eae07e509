/**
 * The two ways through the first part of an inverted residual. By rows: each thread expands the few rows that
 * a row of the depthwise convolution looks at into a ring that its cache holds, filters them, and projects at
 * once. By channels: each thread expands and filters channels of its own, so that it reads its part of the
 * weights and nothing twice.
 */
import { paddedChannels } from '../kernels/kernel.js';
import type { Block } from '../plan/groups.js';
import type { Pointer } from '../plan/memory.js';
import type { Call, Planner } from '../plan/planner.js';
import type { Pixels } from '../plan/value.js';
import type { DepthwiseRows } from './depthwise.js';
import { productOfRows, type RowProduct } from './rowProduct.js';

/** Pixels that a step by rows makes at least, so that products have whole tiles. */
const STEP_PIXELS = 56;

/** Channels that stay together where threads share them out. */
const UNIT = 16;
/** Bytes of pictures that are expanded together by channels: as many as a second-level cache holds beside weights. */
const EXPANDED_TOGETHER = 512 * 1024;

/** A block with all that its phases share. */
export interface BlockPlan {
  readonly p: Planner;
  readonly block: Block;
  readonly x: Pixels;
  readonly y: Pixels;
  /** Extents of the depthwise convolution's input and output. */
  readonly wide: { readonly h: number; readonly w: number; readonly pixel: number };
  readonly narrow: {
    readonly n: number;
    readonly c: number;
    readonly h: number;
    readonly w: number;
    readonly pixel: number;
  };
  readonly expand?: RowProduct;
  readonly depthwise: DepthwiseRows;
  /** Where each row of the depthwise convolution's output is summed up, row by row, for squeeze-and-excitation. */
  readonly sums?: Pointer;
}

/** Each thread makes rows of its own; of expanded rows it keeps as many as a step looks at. */
export function rowsPhase(
  { p, x, y, wide, narrow, expand, depthwise, sums, block }: BlockPlan,
  last: { readonly product: RowProduct; readonly residual?: Pixels } | { readonly filtered: Pointer },
): void {
  const rows = narrow.n * narrow.h;
  const share = Math.ceil(rows / p.threads);
  const step = Math.max(1, Math.min(share, narrow.h, Math.ceil(STEP_PIXELS / narrow.w)));
  const window = block.depthwise.inputs[1]!.shape[2]!;
  const { stride, dilation } = block.depthwise.attrs;
  const ringRows = Math.min(wide.h, (step - 1) * stride[0] + (window - 1) * dilation[0] + 1);
  const wideRow = wide.w * wide.pixel;
  const narrowRow = narrow.w * narrow.pixel;
  const rings = expand && p.scratchForEach(ringRows * wideRow);
  const results = 'product' in last ? p.scratchForEach(step * narrowRow) : undefined;
  p.spread(rows, (from, to, thread) => {
    const calls: Call[] = [];
    for (let at = from; at < to; ) {
      const image = Math.floor(at / narrow.h);
      const end = Math.min(to, (image + 1) * narrow.h);
      const picture = x.at.plus(image * x.image);
      const source = (row: number): Pointer =>
        rings ? rings[thread]!.plus((row % ringRows) * wideRow) : picture.plus(row * x.row);
      /** The first row that has not been expanded yet. */
      let next = depthwise.under(at - image * narrow.h)[0];
      for (; at < end; at += step) {
        const first = at - image * narrow.h;
        const count = Math.min(step, end - at);
        const needed = depthwise.under(first + count - 1)[1];
        while (expand && next < needed) {
          const slot = next % ringRows;
          const several = Math.min(needed - next, ringRows - slot);
          const from = { ...x, at: picture.plus(next * x.row) };
          const into = { at: source(next), row: wideRow, pixel: wide.pixel };
          calls.push(...productOfRows(expand, several, wide.w, from, into));
          next += several;
        }
        const target = results
          ? results[thread]!
          : (last as { filtered: Pointer }).filtered.plus(at * narrowRow);
        for (let i = 0; i < count; i++)
          calls.push(
            depthwise.call(
              first + i,
              source,
              target.plus(i * narrowRow),
              [0, depthwise.groups],
              sums?.plus((at + i) * narrow.pixel),
            ),
          );
        if ('product' in last) {
          const place = (value: Pixels): Pixels => ({
            ...value,
            at: value.at.plus(image * value.image + first * value.row),
          });
          const made = { at: target, row: narrowRow, pixel: narrow.pixel };
          const residual = last.residual && place(last.residual);
          calls.push(...productOfRows(last.product, count, narrow.w, made, place(y), { residual }));
        }
      }
      at = end;
    }
    return calls;
  });
}

/** Each thread makes channels of its own, of all rows. */
export function channelsPhase(
  { p, x, wide, narrow, expand, depthwise, sums }: BlockPlan,
  filtered: Pointer,
): void {
  const wideRow = wide.w * wide.pixel;
  const picture = wide.h * wideRow;
  const expanded = expand && p.scratch(narrow.n * picture);
  const groups = UNIT / depthwise.groupChannels;
  // Pictures that lie one after the other are expanded together, so that weights are read less often.
  const joined = x.image === x.h * x.row ? Math.max(1, Math.floor(EXPANDED_TOGETHER / x.image)) : 1;
  p.spread(Math.ceil(paddedChannels(narrow.c) / UNIT), (from, to) => {
    const calls: Call[] = [];
    if (expand && expanded) {
      const panels = UNIT / expand.panel;
      const own = [from * panels, Math.min(to * panels, expand.panels)] as const;
      for (let image = 0; image < narrow.n; image += joined) {
        const rows = Math.min(joined, narrow.n - image) * wide.h;
        const source = { ...x, at: x.at.plus(image * x.image) };
        const into = { at: expanded.plus(image * picture), row: wideRow, pixel: wide.pixel };
        calls.push(...productOfRows(expand, rows, wide.w, source, into, { panels: own }));
      }
    }
    for (let at = 0; at < narrow.n * narrow.h; at++) {
      const image = Math.floor(at / narrow.h);
      const source = (row: number): Pointer =>
        expanded ? expanded.plus(image * picture + row * wideRow) : x.at.plus(image * x.image + row * x.row);
      const own = [from * groups, Math.min(to * groups, depthwise.groups)] as const;
      const y = filtered.plus(at * narrow.w * narrow.pixel);
      calls.push(depthwise.call(at % narrow.h, source, y, own, sums?.plus(at * narrow.pixel)));
    }
    return calls;
  });
}
