/**
 * Matrix products C = A^T B, sums over the rows of both matrices: gradients of weights are such sums over the
 * pixels of a batch. As in a split-K GEMM, rows are divided into parts with a partial sum each, and parts into blocks
 * that fit the caches: this divides the work and keeps rounding errors small. Parts depend on the shapes alone and
 * are added up in order, so that results are the same for any number of threads.
 */
import { FLOAT, paddedChannels } from '../../codegen/kernel.js';
import type { Pixels } from '../../memory/layout.js';
import type { Pointer } from '../../memory/region.js';
import type { LoweringContext } from '../../schedule/context.js';
import { shareOf, splitByUnit } from '../../schedule/ranges.js';
import { type Copy, copiesPhase } from '../data/copy.js';
import type { CopyLoop } from '../data/copyKernel.js';
import type { PartialSums } from '../reduce/sumParts.js';
import { type PlannedMatmul, planMatmul } from './matmul.js';

/** Maximum rows of a block: its panel of B and its part of A stay in the L1 cache (256 rows are 3 % slower). */
const BLOCK_ROWS = 128;
/** Maximum rows of a part, if memory allows: longer sums lose digits. */
const PART_ROWS = 2048;
/** Minimum units of work, parts times panels, if there are enough blocks. */
const MIN_UNITS = 16;
/** Maximum bytes of all parts together. */
const MAX_PARTS_BYTES = 32e6;

/** One of the nested loops over rows, with its strides in A and B in bytes. */
export interface RowLoop {
  readonly count: number;
  readonly a: number;
  readonly b: number;
}

/** A block of rows. */
interface Block {
  /** Outermost first. */
  readonly loops: readonly RowLoop[];
  /** Offsets of its first row in bytes. */
  readonly a: number;
  readonly b: number;
  /** Rows before this block, and rows in it. */
  readonly before: number;
  readonly rows: number;
}

/** Drops loops of one iteration and merges adjacent loops that are contiguous in both matrices. */
function mergeRowLoops(loops: readonly RowLoop[]): readonly RowLoop[] {
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

/**
 * Divides rows into blocks of at most `maxRows`: as many inner loops as fit stay whole, and the next one is divided
 * evenly.
 */
export function rowBlocks(all: readonly RowLoop[], maxRows: number): readonly Block[] {
  const loops = mergeRowLoops(all);
  let depth = loops.length;
  let innerRows = 1;
  while (depth > 0 && innerRows * loops[depth - 1]!.count <= maxRows) innerRows *= loops[--depth]!.count;
  const inner = loops.slice(depth);
  const divided = loops[depth - 1];
  if (!divided) return [{ loops: inner, a: 0, b: 0, before: 0, rows: innerRows }];
  const pieces = Math.ceil(divided.count / Math.max(1, Math.floor(maxRows / innerRows)));
  const blocks: Block[] = [];
  let before = 0;
  const visit = (outer: number, a: number, b: number): void => {
    const loop = loops[outer]!;
    if (outer < depth - 1) {
      for (let i = 0; i < loop.count; i++) visit(outer + 1, a + i * loop.a, b + i * loop.b);
      return;
    }
    for (let piece = 0; piece < pieces; piece++) {
      const [from, to] = shareOf(divided.count, piece, pieces);
      const rows = (to - from) * innerRows;
      blocks.push({
        loops: [{ ...divided, count: to - from }, ...inner],
        a: a + from * divided.a,
        b: b + from * divided.b,
        before,
        rows,
      });
      before += rows;
    }
  };
  visit(0, 0, 0);
  return blocks;
}

/** A product A^T B. */
export interface TransposedMatmul {
  /** Loops over the rows of both matrices, outermost first. */
  readonly rows: readonly RowLoop[];
  /** The first row of A as pixels of one channel each: the columns of A are the rows of C. */
  readonly a: Pixels;
  /** The first row of B, whose columns are contiguous. */
  readonly b: Pointer;
  readonly columns: number;
}

/**
 * Adds the phases of products of the same extents. Each part of the partial sums holds all products, one after the
 * other.
 * @param result - address to write to if there is only one part; a workspace is used otherwise.
 */
export function transposedMatmuls(
  p: LoweringContext,
  products: readonly TransposedMatmul[],
  result?: Pointer,
): PartialSums {
  const [{ rows, a, columns }] = products as [TransposedMatmul];
  const blocks = rowBlocks(rows, BLOCK_ROWS);
  const total = blocks.reduce((sum, block) => sum + block.rows, 0);
  const padded = paddedChannels(columns);
  const bytes = a.n * a.h * a.w * padded * FLOAT;
  const wanted = Math.max(
    Math.ceil(total / PART_ROWS),
    Math.ceil((MIN_UNITS * p.engine.tileColumns) / padded),
  );
  const affordable = Math.floor(MAX_PARTS_BYTES / bytes / products.length);
  const count = Math.max(1, Math.min(blocks.length, wanted, affordable));
  const partBytes = bytes * products.length;
  const at = count === 1 && result ? result : p.workspace(count * partBytes);

  const planned = products.map((product) => {
    let packed: { readonly at: Pointer } | undefined;
    const pack = (panel: number): Pointer => {
      packed ??= { at: packRows(p, blocks, product.b, padded, panel, total) };
      return packed.at;
    };
    return { product, pack };
  });
  /** Plans the product of one block, which is added to the sum of the blocks before it in its part. */
  const plan = (block: Block, index: number, part: number, first: boolean): PlannedMatmul => {
    const { product, pack } = planned[index]!;
    const c: Pixels = {
      ...product.a,
      at: at.plus(part * partBytes + index * bytes),
      c: columns,
      pixelStride: padded * FLOAT,
      rowStride: a.w * padded * FLOAT,
      imageStride: a.h * a.w * padded * FLOAT,
    };
    const [run, ...outer] = [...block.loops].reverse();
    return planMatmul(p, {
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
  p.parallelFor(algorithm, count * panels, (from, to) => {
    return splitByUnit([from, to], panels).flatMap(({ unit: part, first, count: width }) =>
      parts[part]!.flatMap(({ units, calls }) => calls([0, units], [first, first + width])),
    );
  });
  return { at, count, bytes: partBytes, algorithm };
}

/**
 * Packs the rows of B into panels, block after block. Floats after the last column only affect padding columns of
 * C.
 */
function packRows(
  p: LoweringContext,
  blocks: readonly Block[],
  b: Pointer,
  padded: number,
  panel: number,
  total: number,
): Pointer {
  const target = p.workspace(total * padded * FLOAT);
  const full = Math.floor(padded / panel);
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
