/**
 * Products over the rows of two matrices, C = A^T B: gradients of weights, which are sums over the pixels of
 * a batch. The rows are taken in blocks that caches hold, and blocks in parts that are summed on their own:
 * that divides the work and keeps the rounding small. Parts depend on the shapes alone, and are added up
 * in order, so that results are the same for any number of threads.
 */

import { FLOAT, paddedChannels } from '../../codegen/kernel.js';
import type { Pixels } from '../../memory/layout.js';
import type { Pointer } from '../../memory/region.js';
import { type Call, type Planner, shareOf } from '../../schedule/planner.js';
import type { CopyLoop } from '../data/copyKernel.js';
import { type Copy, copiesPhase } from '../lowering.js';
import { type SumParts, sumParts } from '../reduce/sumPartsKernel.js';
import { type PlannedProduct, planProduct } from './matmul.js';

/** Rows that a block has: its panel of B and its part of A stay in a first-level cache (256: 3 % slower). */
const BLOCK_ROWS = 128;
/** Rows that a part has at most: sums of more lose digits. */
const PART_ROWS = 2048;
/** Pieces of work that there are at least, if the rows allow it. */
const PIECES = 16;
/** Bytes that parts may take. */
const PART_BYTES = 32e6;

/** Rows as nested loops, outermost first, with the distances between them in A and B in bytes. */
export interface RowLoop {
  readonly count: number;
  readonly a: number;
  readonly b: number;
}

/** A run of rows. */
interface Block {
  readonly loops: readonly RowLoop[];
  /** Bytes to its first row. */
  readonly a: number;
  readonly b: number;
  /** Rows before it, and in it. */
  readonly before: number;
  readonly rows: number;
}

/** Loops without those of one turn, and with neighbours merged where one runs on into the other. */
function merged(loops: readonly RowLoop[]): readonly RowLoop[] {
  const result: RowLoop[] = [];
  for (const loop of loops) {
    if (loop.count === 1) continue;
    const outer = result.at(-1);
    if (outer && outer.a === loop.count * loop.a && outer.b === loop.count * loop.b)
      result[result.length - 1] = { ...loop, count: outer.count * loop.count };
    else result.push(loop);
  }
  return result.length > 0 ? result : [{ count: 1, a: 0, b: 0 }];
}

/** Divides rows into blocks of at most `most`: inner loops stay whole, the next one is cut evenly. */
export function rowBlocks(all: readonly RowLoop[], most: number): readonly Block[] {
  const loops = merged(all);
  let depth = loops.length;
  let whole = 1;
  while (depth > 0 && whole * loops[depth - 1]!.count <= most) whole *= loops[--depth]!.count;
  const inner = loops.slice(depth);
  const cut = loops[depth - 1];
  if (!cut) return [{ loops: inner, a: 0, b: 0, before: 0, rows: whole }];
  const pieces = Math.ceil(cut.count / Math.max(1, Math.floor(most / whole)));
  const blocks: Block[] = [];
  let before = 0;
  const visit = (outer: number, a: number, b: number): void => {
    const loop = loops[outer]!;
    if (outer < depth - 1) {
      for (let i = 0; i < loop.count; i++) visit(outer + 1, a + i * loop.a, b + i * loop.b);
      return;
    }
    for (let piece = 0; piece < pieces; piece++) {
      const [from, to] = shareOf(cut.count, piece, pieces);
      const rows = (to - from) * whole;
      blocks.push({
        loops: [{ ...cut, count: to - from }, ...inner],
        a: a + from * cut.a,
        b: b + from * cut.b,
        before,
        rows,
      });
      before += rows;
    }
  };
  visit(0, 0, 0);
  return blocks;
}

/** A product over rows. */
export interface RowsProduct {
  readonly rows: readonly RowLoop[];
  /** The columns of A under the first row, as pixels: they are the rows of C. */
  readonly a: Pixels;
  /** The columns of B under the first row, which lie next to each other. */
  readonly b: Pointer;
  readonly columns: number;
}

/** Where the parts of C are: [part][row of C][column], columns in a multiple of eight. */
export interface Parts {
  readonly at: Pointer;
  readonly count: number;
  /** Bytes of a part. */
  readonly bytes: number;
}

/**
 * Adds the phases of products that have the same extents, one after the other in each part.
 * @param whole - where the result may go if there is one part.
 */
export function rowsProducts(p: Planner, products: readonly RowsProduct[], whole?: Pointer): Parts {
  const [{ rows, a, columns }] = products as [RowsProduct];
  const blocks = rowBlocks(rows, BLOCK_ROWS);
  const total = blocks.reduce((sum, block) => sum + block.rows, 0);
  const padded = paddedChannels(columns);
  const bytes = a.n * a.h * a.w * padded * FLOAT;
  const least = Math.max(Math.ceil(total / PART_ROWS), Math.ceil((PIECES * p.engine.tileColumns) / padded));
  const count = Math.max(1, Math.min(blocks.length, least, Math.floor(PART_BYTES / bytes / products.length)));
  const partBytes = bytes * products.length;
  const at = count === 1 && whole ? whole : p.scratch(count * partBytes);

  const planned = products.map((product) => {
    let packed: { readonly at: Pointer } | undefined;
    const pack = (panel: number): Pointer => {
      packed ??= { at: packRows(p, blocks, product.b, padded, panel, total) };
      return packed.at;
    };
    return { product, pack };
  });
  /** The product of one block, added to those of the blocks before it in its part. */
  const plan = (block: Block, index: number, part: number, first: boolean): PlannedProduct => {
    const { product, pack } = planned[index]!;
    const c: Pixels = {
      ...product.a,
      at: at.plus(part * partBytes + index * bytes),
      c: columns,
      pixel: padded * FLOAT,
      row: a.w * padded * FLOAT,
      image: a.h * a.w * padded * FLOAT,
    };
    const [run, ...outer] = [...block.loops].reverse();
    return planProduct(p, {
      name: 'gemm over pixels',
      inner: {
        loops: outer.reverse().map((loop) => ({ count: loop.count, stride: loop.a })),
        run: run!.count,
        step: run!.a,
      },
      columns,
      weights: (panel) => pack(panel).plus(block.before * padded * FLOAT),
      residual: first ? undefined : c,
      x: { ...product.a, at: product.a.at.plus(block.a) },
      y: c,
      inputBytes: block.rows * a.w * FLOAT,
    });
  };
  const parts = Array.from({ length: count }, (_, part) => {
    const [from, to] = shareOf(blocks.length, part, count);
    return products.flatMap((_, index) =>
      blocks.slice(from, to).map((block, i) => plan(block, index, part, i === 0)),
    );
  });
  const { algorithm, panels } = parts[0]![0]!;
  p.algorithm(algorithm);
  p.spread(count * panels, (from, to) => {
    const calls: Call[] = [];
    for (let item = from; item < to; ) {
      const part = Math.floor(item / panels);
      const end = Math.min(to, (part + 1) * panels);
      for (const { units, calls: callsFor } of parts[part]!)
        calls.push(...callsFor([0, units], [item - part * panels, end - part * panels]));
      item = end;
    }
    return calls;
  });
  return { at, count, bytes: partBytes };
}

/** The rows of B in panels, block after block. What lies behind the columns only reaches padding. */
function packRows(
  p: Planner,
  blocks: readonly Block[],
  b: Pointer,
  padded: number,
  panel: number,
  total: number,
): Pointer {
  const target = p.scratch(total * padded * FLOAT);
  const full = Math.floor(padded / panel);
  p.algorithm('pack');
  copiesPhase(
    p,
    blocks.flatMap(({ loops, b: offset, before, rows }): readonly Copy[] => {
      const rowLoops = (width: number): CopyLoop[] => {
        let to = width;
        const result: CopyLoop[] = [{ count: width, from: 1, to: 1 }];
        for (const loop of [...loops].reverse()) {
          result.unshift({ count: loop.count, from: loop.b / FLOAT, to });
          to *= loop.count;
        }
        return result;
      };
      const copy = (firstPanel: number, width: number, panels: number): Copy => ({
        from: b.plus(offset + firstPanel * panel * FLOAT),
        to: target.plus((before * padded + firstPanel * panel * rows) * FLOAT),
        loops: [
          ...(panels > 1 ? [{ count: panels, from: panel, to: panel * rows }] : []),
          ...rowLoops(width),
        ],
      });
      return [
        ...(full > 0 ? [copy(0, panel, full)] : []),
        ...(padded > full * panel ? [copy(full, padded - full * panel, 1)] : []),
      ];
    }),
  );
  return target;
}

/** Columns that are scattered together, a cache line: their addresses lie far apart, often in a few sets of the cache. */
const SCATTERED = 16;

/** Adds up parts and brings the sums into the host's order. `channels` of `taps` rows each are divided among the threads. */
export function sumPartsPhase(
  p: Planner,
  parts: Parts,
  to: Pointer,
  sets: readonly { readonly from: number; readonly to: number }[],
  { channels, columns, ...rest }: Omit<SumParts, 'parts' | 'partBytes'> & { readonly channels: number },
): void {
  const width = rest.to.column === FLOAT ? columns : SCATTERED;
  const pieces = sets.flatMap((set) =>
    Array.from({ length: Math.ceil(columns / width) }, (_, index) => ({
      from: set.from + index * width * FLOAT,
      to: set.to + index * width * rest.to.column,
      columns: Math.min(width, columns - index * width),
    })),
  );
  p.spread(pieces.length * channels, (first, last) => {
    const calls: Call[] = [];
    for (let item = first; item < last; ) {
      const index = Math.floor(item / channels);
      const end = Math.min(last, (index + 1) * channels);
      const channel = item - index * channels;
      const piece = pieces[index]!;
      const shape = { ...rest, columns: piece.columns, parts: parts.count, partBytes: parts.bytes };
      const add = p.kernel(sumParts, shape);
      calls.push(
        add({
          from: parts.at.plus(piece.from + channel * rest.from.channel),
          to: to.plus(piece.to + channel * rest.to.channel),
          channels: end - item,
        }),
      );
      item = end;
    }
    return calls;
  });
}
