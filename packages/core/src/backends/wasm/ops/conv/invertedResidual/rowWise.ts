/**
 * Convolutions that follow each other, row by row: each thread makes rows of the last one, and of those before
 * it the few rows that these look at, in rings that its cache holds. So nothing between them goes through
 * memory; only where the rows of two threads meet, some are made twice.
 */

import type { Pixels } from '../../../memory/layout.js';
import type { Pointer } from '../../../memory/region.js';
import type { Call, Planner } from '../../../schedule/planner.js';
import { type RowMatmul, type Rows, rowMatmulCalls } from '../../matmul/rowMatmul.js';
import type { DepthwiseRows } from '../depthwise/depthwise.js';
import type { StemRows } from '../firstConv.js';

/** Pixels that a step makes at least, so that products have whole tiles. */
const STEP_PIXELS = 56;

/** How rows of one convolution are made of rows of the one before. */
type Way =
  /** Where its window looks, and the sums of its rows, row by row through all pictures, if they are asked for. */
  | { readonly kind: 'depthwise'; readonly rows: DepthwiseRows; readonly sums?: Pointer }
  | { readonly kind: 'pointwise'; readonly product: RowMatmul; readonly residual?: Pixels }
  /** The network's first layer, which reads the input itself. */
  | { readonly kind: 'stem'; readonly rows: StemRows };

/** A convolution of the chain, and the extents of its output. Distances are in bytes. */
export interface Stage {
  readonly way: Way;
  readonly h: number;
  readonly w: number;
  readonly pixelStride: number;
}

/** Where rows of a stage are kept: `rows` of them for each thread, in a ring. */
interface Buffer {
  readonly rows: number;
  readonly bytes: number;
  readonly at: readonly Pointer[];
}

/** Makes y, the last stage's output, of x, which the first stage reads. */
export function chainPhase(p: Planner, stages: readonly Stage[], x: Pixels | undefined, y: Pixels): void {
  const last = stages.at(-1)!;
  const share = Math.ceil((y.n * y.h) / p.threads);
  const step = Math.max(1, Math.min(share, y.h, Math.ceil(STEP_PIXELS / y.w)));
  /** The most rows that each stage makes at once, and what it leaves them in. */
  const most = new Map([[last, step]]);
  const buffers = new Map<Stage, Buffer>();
  for (let i = stages.length - 2; i >= 0; i--) {
    const [stage, reader] = [stages[i]!, stages[i + 1]!];
    const atOnce = most.get(reader)!;
    const rows = reader.way.kind === 'depthwise' ? Math.min(stage.h, reader.way.rows.span(atOnce)) : atOnce;
    const bytes = stage.w * stage.pixelStride;
    most.set(stage, rows);
    buffers.set(stage, { rows, bytes, at: p.workspacePerThread(rows * bytes) });
  }

  p.parallelFor(y.n * y.h, (from, to, thread) => {
    const calls: Call[] = [];
    for (let at = from; at < to; ) {
      const image = Math.floor(at / y.h);
      const end = Math.min(to, (image + 1) * y.h);
      calls.push(...picture(image, at - image * y.h, end - image * y.h, thread));
      at = end;
    }
    return calls;
  });

  /** The calls that make some rows of one picture. */
  function picture(image: number, from: number, to: number, thread: number): readonly Call[] {
    const calls: Call[] = [];
    /** The row behind those that each stage has made. */
    const next = new Map<Stage, number>();
    const kept = (stage: Stage, row: number): Pointer => {
      const { at, rows, bytes } = buffers.get(stage)!;
      return at[thread]!.plus((row % rows) * bytes);
    };
    const placeOf = (value: Pixels, row: number): Pointer =>
      value.at.plus(image * value.imageStride + row * value.rowStride);

    /** Makes rows of a stage until all before `end` are there. Products end where a ring does. */
    const makeUntil = (index: number, first: number, end: number): void => {
      const stage = stages[index]!;
      const { rows, bytes } = buffers.get(stage)!;
      for (let row = next.get(stage) ?? first; row < end; ) {
        const stop = Math.min(end, row + rows - (row % rows));
        make(index, row, stop, { at: kept(stage, row), rowStride: bytes, pixelStride: stage.pixelStride });
        next.set(stage, stop);
        row = stop;
      }
    };
    const make = (index: number, first: number, end: number, target: Rows): void => {
      const { way, w } = stages[index]!;
      const before = stages[index - 1];
      if (way.kind === 'stem') {
        calls.push(...way.rows.calls(image, [first, end], next.has(stages[index]!), target));
      } else if (way.kind === 'depthwise') {
        if (before) makeUntil(index - 1, ...way.rows.under(first, end));
        const source = (row: number): Pointer => (before ? kept(before, row) : placeOf(x!, row));
        for (let row = first; row < end; row++) {
          const sums = way.sums?.plus((image * stages[index]!.h + row) * stages[index]!.pixelStride);
          const into = target.at.plus((row - first) * target.rowStride);
          calls.push(way.rows.call(row, source, into, [0, way.rows.groups], sums));
        }
      } else {
        // What a product has read nobody needs again: its rows start at the buffer's beginning each time.
        const buffer = before && buffers.get(before)!;
        const source = buffer
          ? { at: buffer.at[thread]!, rowStride: buffer.bytes, pixelStride: before.pixelStride }
          : { ...x!, at: placeOf(x!, first) };
        if (before) make(index - 1, first, end, source);
        const residual = way.residual && { ...way.residual, at: placeOf(way.residual, first) };
        calls.push(...rowMatmulCalls(way.product, end - first, w, source, target, { residual }));
      }
    };
    for (let row = from; row < to; row += step)
      make(stages.length - 1, row, Math.min(row + step, to), { ...y, at: placeOf(y, row) });
    return calls;
  }
}
