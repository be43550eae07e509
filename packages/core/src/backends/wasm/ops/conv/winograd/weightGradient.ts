/**
 * Weight gradient of a 3x3 convolution by the transposed Winograd algorithm (Lavin & Gray,
 * https://arxiv.org/abs/1509.09308):
 *
 *     dg = G^T [sum over tiles of (A dY A^T) * (B^T d B)] G
 *
 * Tiles of the input and of dY are transformed; for each element of the transformed tile, one matrix product
 * sums over tiles; the sums are transformed into windows. F(4x4) takes 4 times fewer multiplications than the
 * direct weight gradient. The sums are split into parts by shape, never by thread, so results have the same
 * bits for any number of threads.
 */

import { CHANNEL_BLOCK, FLOAT, paddedChannels } from '../../../codegen/kernel.js';
import { type Pixels, rowAt } from '../../../memory/layout.js';
import type { Pointer } from '../../../memory/region.js';
import type { LoweringContext } from '../../../schedule/context.js';
import type { Call } from '../../../schedule/kernelCache.js';
import { indices, type Range, shareOf, splitByUnit } from '../../../schedule/ranges.js';
import { matmulKernel, panelColumns, tilingOf } from '../../matmul/matmulKernel.js';
import { conflictFreeStride } from '../conflictFreeStride.js';
import { tileWorkspaceBytes, winogradInput } from './inputKernel.js';
import { elementCount, type WinogradMethod, winogradAlgorithms } from './transforms.js';
import { winogradOutputGradient, winogradWeightGradient } from './weightGradientKernel.js';

/** Operands of a weight gradient. */
export interface WeightGradient {
  /** The convolution's input. */
  readonly x: Pixels;
  /** The gradient with respect to its output. */
  readonly dy: Pixels;
  /** Rows of padding above, columns of padding on the left. */
  readonly top: number;
  readonly left: number;
  /** Address of the result, in PyTorch's order [output][input][3][3]. */
  readonly to: Pointer;
}

/** Maximum bytes of the sums of all channels that stay in a thread's cache while it loops over its tiles. */
const PRIVATE_SUM_BYTES = 1.25e6;
/** Tiles whose transforms stay in that cache together with the sums. */
const PRIVATE_TILES = 32;
/** With private sums: maximum number of partial sums over tiles, and minimum number of tiles in each. */
const MAX_PARTS = 8;
const MIN_PART_TILES = 16;
/**
 * With larger sums: tiles that are multiplied together, and maximum input and output channels of a thread's
 * block.
 */
const SHARED_TILES = 128;
const BLOCK_CHANNELS = { input: 64, output: 32 } as const;

/** Splits 0..total into equal ranges of at most `maxLength`, at multiples of `unit`. */
function splitEvenly(total: number, maxLength: number, unit = 1): readonly Range[] {
  const units = Math.ceil(total / unit);
  const count = Math.ceil(total / maxLength);
  return Array.from({ length: count }, (_, index): Range => {
    const [from, to] = shareOf(units, index, count);
    return [from * unit, Math.min(total, to * unit)];
  });
}

/** Input and output channels of a block of the weight. */
interface WeightBlock {
  readonly input: Range;
  readonly output: Range;
}

/** Addresses of transformed tiles. */
interface TransformedTiles {
  readonly x: Pointer;
  readonly dy: Pointer;
}

/** A weight gradient, divided into tiles. */
interface GradientPlan extends WeightGradient {
  readonly method: WinogradMethod;
  /** Tiles in a row of an image, in an image, and in all images. */
  readonly tiles: { readonly row: number; readonly image: number; readonly all: number };
  /** Output channels of a panel. */
  readonly panel: number;
  /** Channels of x and dY, padded. */
  readonly padded: { readonly x: number; readonly dy: number };
  /** Bytes between tiles of x: a matrix product reads the same channels of consecutive tiles. */
  readonly tileStride: number;
  /** Memory of each thread for the transform of a tile. */
  readonly tileWorkspace: readonly Pointer[];
}

function planGradient(p: LoweringContext, gradient: WeightGradient, method: WinogradMethod): GradientPlan {
  const { x, dy } = gradient;
  const { outputTile } = winogradAlgorithms[method];
  const padded = { x: paddedChannels(x.c), dy: paddedChannels(dy.c) };
  const row = Math.ceil(dy.w / outputTile);
  const image = row * Math.ceil(dy.h / outputTile);
  return {
    ...gradient,
    method,
    tiles: { row, image, all: dy.n * image },
    panel: panelColumns(p.engine, p.engine.tileRows, padded.dy),
    padded,
    tileStride: conflictFreeStride(padded.x),
    tileWorkspace: p.workspacePerThread(
      Math.max(
        tileWorkspaceBytes({ method, side: 'input', channels: padded.x }),
        tileWorkspaceBytes({ method, side: 'output', channels: padded.dy }),
      ),
    ),
  };
}

/** Returns the bytes between the elements of `count` transformed tiles. */
const elementStrides = ({ tileStride, padded }: GradientPlan, count: number) => ({
  x: conflictFreeStride((count * tileStride) / FLOAT),
  dy: conflictFreeStride(count * padded.dy),
});

/** Returns the bytes of `count` transformed tiles. */
function transformedBytes(plan: GradientPlan, count: number) {
  const { x, dy } = elementStrides(plan, count);
  return { x: elementCount(plan.method) * x, dy: elementCount(plan.method) * dy };
}

/** Returns the bytes between the elements of the sums of a block. */
const sumStride = ({ input, output }: WeightBlock): number =>
  conflictFreeStride((input[1] - input[0]) * (output[1] - output[0]));

/** Returns the bytes of the sums of a block. */
const sumBytes = ({ method }: GradientPlan, block: WeightBlock): number =>
  elementCount(method) * sumStride(block);

/**
 * Transforms tiles of x and dY.
 * @param at - address of all tiles of `range`.
 * @param range - tiles that are multiplied together.
 * @param part - the tiles of `range` to transform.
 */
function transformCalls(
  p: LoweringContext,
  plan: GradientPlan,
  at: TransformedTiles,
  range: Range,
  part: Range,
  thread: number,
): readonly Call[] {
  const { method, x, dy, panel, padded, tiles } = plan;
  const count = range[1] - range[0];
  const elementStride = elementStrides(plan, count);
  const transformInput = p.kernel(winogradInput, {
    method,
    tileColumns: tiles.row,
    side: 'input',
    height: x.h,
    width: x.w,
    channels: padded.x,
    top: plan.top,
    left: plan.left,
    rowStride: x.rowStride,
    pixelStride: x.pixelStride,
    elementStride: elementStride.x,
    tileStride: plan.tileStride,
  });
  const transformOutputGradient = p.kernel(winogradOutputGradient, {
    method,
    tileColumns: tiles.row,
    side: 'output',
    height: dy.h,
    width: dy.w,
    channels: padded.dy,
    top: 0,
    left: 0,
    rowStride: dy.rowStride,
    pixelStride: dy.pixelStride,
    elementStride: elementStride.dy,
    tileStride: panel * FLOAT,
    panel: { channels: panel, bytes: count * panel * FLOAT },
  });
  return splitByUnit(part, tiles.image).flatMap(({ unit: image, first, before, count }) => {
    const row = part[0] - range[0] + before;
    const imagePart = { workspace: plan.tileWorkspace[thread]!, first, count };
    return [
      transformInput({
        x: rowAt(x, image, 0),
        result: at.x.plus(row * plan.tileStride),
        ...imagePart,
      }),
      transformOutputGradient({
        x: rowAt(dy, image, 0),
        result: at.dy.plus(row * panel * FLOAT),
        ...imagePart,
      }),
    ];
  });
}

/**
 * Multiplies the transformed tiles of a range for a block of the weight.
 * @param first - true to write the sums, false to add to them.
 */
function multiplyCalls(
  p: LoweringContext,
  plan: GradientPlan,
  at: TransformedTiles,
  range: Range,
  { block, sums, first }: { readonly block: WeightBlock; readonly sums: Pointer; readonly first: boolean },
): readonly Call[] {
  const count = range[1] - range[0];
  const elementStride = elementStrides(plan, count);
  const columns = block.output[1] - block.output[0];
  const { tileRows, large, small } = tilingOf(block.input[1] - block.input[0], p.engine.tileRows);
  const multiplyTiles = p.kernel(matmulKernel, {
    inner: { loops: [], run: count, step: plan.tileStride },
    tileRows,
    panel: plan.panel,
    narrowPanel: 0,
    pixel: { a: FLOAT, c: columns * FLOAT, residual: first ? 0 : columns * FLOAT },
    row: { a: 0, c: 0, residual: 0 },
    bias: false,
    residual: !first,
  });
  return indices([0, elementCount(plan.method)]).map((element) => {
    const c = sums.plus(element * sumStride(block));
    return multiplyTiles({
      a: at.x.plus(element * elementStride.x + block.input[0] * FLOAT),
      b: at.dy.plus(element * elementStride.dy + block.output[0] * count * FLOAT),
      c,
      residual: first ? undefined : c,
      rows: 1,
      large,
      small,
      panels: columns / plan.panel,
    });
  });
}

/** The sums of a block. */
interface BlockSums {
  readonly block: WeightBlock;
  readonly at: Pointer;
  /** Number of partial sums, which are added first. */
  readonly parts: number;
}

/**
 * Transforms the sums of a block into windows.
 * @param channels - input channels, counted from the block's first.
 * @param groups - groups of eight output channels, counted from the block's first.
 */
function transformSumsCalls(
  p: LoweringContext,
  plan: GradientPlan,
  { block, at, parts }: BlockSums,
  channels: Range,
  groups: Range,
): readonly Call[] {
  const { x, dy, method } = plan;
  const columns = block.output[1] - block.output[0];
  const calls: Call[] = [];
  for (const group of indices(groups)) {
    const column = group * CHANNEL_BLOCK;
    const out = block.output[0] + column;
    const lanes = Math.min(CHANNEL_BLOCK, dy.c - out);
    if (lanes <= 0) break;
    const transformGroup = p.kernel(winogradWeightGradient, {
      method,
      parts,
      partStride: sumBytes(plan, block),
      elementStride: sumStride(block),
      channelStride: columns * FLOAT,
      lanes,
      outputStride: x.c * 9 * FLOAT,
    });
    calls.push(
      transformGroup({
        from: at.plus((channels[0] * columns + column) * FLOAT),
        to: plan.to.plus((out * x.c + block.input[0] + channels[0]) * 9 * FLOAT),
        channels: channels[1] - channels[0],
      }),
    );
  }
  return calls;
}

/**
 * Plans a weight gradient. If the sums of all channels fit into a core's cache, parts of the tiles are summed
 * independently and the partial sums added. Otherwise, threads share the transformed tiles and each computes
 * blocks of the weight.
 */
export function lowerWinogradWeightGradient(
  p: LoweringContext,
  gradient: WeightGradient,
  method: WinogradMethod,
): void {
  const plan = planGradient(p, gradient, method);
  const whole: WeightBlock = { input: [0, gradient.x.c], output: [0, plan.padded.dy] };
  if (sumBytes(plan, whole) <= PRIVATE_SUM_BYTES) tilesPerThread(p, plan, whole);
  else blocksPerThread(p, plan, whole);
}

/** Algorithm label in profiles. */
const labelOf = ({ method }: GradientPlan): string => `${winogradAlgorithms[method].name} over tiles`;

/** One thread transforms and multiplies the tiles of a part, and writes a partial sum. */
function tilesPerThread(p: LoweringContext, plan: GradientPlan, whole: WeightBlock): void {
  const { all } = plan.tiles;
  const bytes = sumBytes(plan, whole);
  const count = Math.min(MAX_PARTS, Math.ceil(all / MIN_PART_TILES));
  const parts = indices([0, count]).map((part) => {
    const [from, to] = shareOf(all, part, count);
    return splitEvenly(to - from, PRIVATE_TILES).map(([first, end]): Range => [from + first, from + end]);
  });
  const capacity = transformedBytes(plan, PRIVATE_TILES);
  const sums = p.workspace(count * bytes);
  const xs = p.workspacePerThread(capacity.x);
  const dys = p.workspacePerThread(capacity.dy);
  p.parallelFor(labelOf(plan), count, (from, to, thread) => {
    const at = { x: xs[thread]!, dy: dys[thread]! };
    return indices([from, to]).flatMap((part) =>
      parts[part]!.flatMap((range, i) => [
        ...transformCalls(p, plan, at, range, range, thread),
        ...multiplyCalls(p, plan, at, range, {
          block: whole,
          sums: sums.plus(part * bytes),
          first: i === 0,
        }),
      ]),
    );
  });
  const [channels, out] = [whole.input[1], whole.output[1]];
  p.parallelFor(labelOf(plan), (out / CHANNEL_BLOCK) * channels, (from, to) =>
    splitByUnit([from, to], channels).flatMap(({ unit: group, first, count: rows }) =>
      transformSumsCalls(
        p,
        plan,
        { block: whole, at: sums, parts: count },
        [first, first + rows],
        [group, group + 1],
      ),
    ),
  );
}

/** Each thread computes blocks of the weight, with the sums of a block in its cache. */
function blocksPerThread(p: LoweringContext, plan: GradientPlan, whole: WeightBlock): void {
  const { all } = plan.tiles;
  const { input: maxInput, output: maxOutput } = BLOCK_CHANNELS;
  const blocks = splitEvenly(whole.input[1], maxInput, CHANNEL_BLOCK).flatMap((input) =>
    splitEvenly(whole.output[1], Math.max(maxOutput, plan.panel), plan.panel).map(
      (output): WeightBlock => ({ input, output }),
    ),
  );
  const ranges = splitEvenly(all, SHARED_TILES);
  const capacity = transformedBytes(plan, Math.min(all, SHARED_TILES));
  const at = { x: p.workspace(capacity.x), dy: p.workspace(capacity.dy) };
  const blockBytes = Math.max(...blocks.map((block) => sumBytes(plan, block)));
  // The sums of every block live from one range of tiles to the next; with one range, a thread reuses its
  // sums.
  const threadSums = ranges.length > 1 ? undefined : p.workspacePerThread(blockBytes);
  const blockSums = ranges.length > 1 ? p.workspace(blocks.length * blockBytes) : undefined;
  for (const [i, range] of ranges.entries()) {
    p.parallelFor(labelOf(plan), range[1] - range[0], (from, to, thread) =>
      transformCalls(p, plan, at, range, [range[0] + from, range[0] + to], thread),
    );
    p.parallelFor(labelOf(plan), blocks.length, (from, to, thread) =>
      indices([from, to]).flatMap((index) => {
        const block = blocks[index]!;
        const sums = blockSums?.plus(index * blockBytes) ?? threadSums![thread]!;
        const [rows, columns] = [block.input[1] - block.input[0], block.output[1] - block.output[0]];
        return [
          ...multiplyCalls(p, plan, at, range, { block, sums, first: i === 0 }),
          ...(i === ranges.length - 1
            ? transformSumsCalls(
                p,
                plan,
                { block, at: sums, parts: 1 },
                [0, rows],
                [0, columns / CHANNEL_BLOCK],
              )
            : []),
        ];
      }),
    );
  }
}
