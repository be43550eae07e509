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
import type { Pixels } from '../../../memory/layout.js';
import type { Pointer } from '../../../memory/region.js';
import { type Call, type Planner, shareOf } from '../../../schedule/planner.js';
import { type MatmulShape, matmulKernel, panelColumns, tilingOf } from '../../matmul/matmulKernel.js';
import { conflictFreeStride } from '../conflictFreeStride.js';
import { tileWorkspaceBytes, winogradInput } from './inputKernel.js';
import { elementCount, type WinogradMethod, winogradAlgorithms } from './transforms.js';
import { winogradOutputGradient, winogradWeightGradient } from './weightGradientKernel.js';
import { tilesByImage } from './winograd.js';

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

/** A range that excludes `to`. */
type Range = readonly [from: number, to: number];

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

/** Returns functions that make the kernel calls of each step. */
function stepsOf(p: Planner, { x, dy, top, left, to }: WeightGradient, method: WinogradMethod) {
  const { engine } = p;
  const { outputTile } = winogradAlgorithms[method];
  const elements = elementCount(method);
  const [inPadded, outPadded] = [paddedChannels(x.c), paddedChannels(dy.c)];
  const panel = panelColumns(engine, engine.tileRows, outPadded);
  const tileColumns = Math.ceil(dy.w / outputTile);
  const tiles = tileColumns * Math.ceil(dy.h / outputTile);
  // A matrix product reads the same channels of consecutive tiles.
  const tileStride = conflictFreeStride(inPadded);
  const elementStride = {
    x: (count: number): number => conflictFreeStride((count * tileStride) / FLOAT),
    dy: (count: number): number => conflictFreeStride(count * outPadded),
  };
  const tileWorkspace = p.workspacePerThread(
    Math.max(
      tileWorkspaceBytes({ method, side: 'input', channels: inPadded }),
      tileWorkspaceBytes({ method, side: 'output', channels: outPadded }),
    ),
  );
  const sumStride = ({ input, output }: WeightBlock): number =>
    conflictFreeStride((input[1] - input[0]) * (output[1] - output[0]));

  return {
    total: dy.n * tiles,
    panel,
    /** Bytes of `count` transformed tiles. */
    transformedBytes: (count: number) => ({
      x: elements * elementStride.x(count),
      dy: elements * elementStride.dy(count),
    }),
    /** Bytes of the sums of a block. */
    sumBytes: (block: WeightBlock): number => elements * sumStride(block),

    /**
     * Transforms tiles of x and dY.
     * @param at - address of all tiles of `range`.
     * @param range - tiles that are multiplied together.
     * @param part - the tiles of `range` to transform.
     */
    transform(at: TransformedTiles, range: Range, part: Range, thread: number): Call[] {
      const count = range[1] - range[0];
      const transformInput = p.kernel(winogradInput, {
        method,
        tileColumns,
        side: 'input',
        height: x.h,
        width: x.w,
        channels: inPadded,
        top,
        left,
        rowStride: x.rowStride,
        pixelStride: x.pixelStride,
        elementStride: elementStride.x(count),
        tileStride,
      });
      const transformOutputGradient = p.kernel(winogradOutputGradient, {
        method,
        tileColumns,
        side: 'output',
        height: dy.h,
        width: dy.w,
        channels: outPadded,
        top: 0,
        left: 0,
        rowStride: dy.rowStride,
        pixelStride: dy.pixelStride,
        elementStride: elementStride.dy(count),
        tileStride: panel * FLOAT,
        panel: { channels: panel, bytes: count * panel * FLOAT },
      });
      return tilesByImage(tiles, part[0], part[1] - part[0]).flatMap(
        ({ image, first, before, count: imageTiles }): readonly Call[] => {
          const row = part[0] - range[0] + before;
          const imagePart = { workspace: tileWorkspace[thread]!, first, count: imageTiles };
          return [
            transformInput({
              x: x.at.plus(image * x.imageStride),
              result: at.x.plus(row * tileStride),
              ...imagePart,
            }),
            transformOutputGradient({
              x: dy.at.plus(image * dy.imageStride),
              result: at.dy.plus(row * panel * FLOAT),
              ...imagePart,
            }),
          ];
        },
      );
    },

    /**
     * Multiplies the transformed tiles of a range for a block of the weight.
     * @param first - true to write the sums, false to add to them.
     */
    multiply(at: TransformedTiles, range: Range, block: WeightBlock, sums: Pointer, first: boolean): Call[] {
      const count = range[1] - range[0];
      const columns = block.output[1] - block.output[0];
      const { tileRows, large, small } = tilingOf(block.input[1] - block.input[0], engine.tileRows);
      const shape: MatmulShape = {
        inner: { loops: [], run: count, step: tileStride },
        tileRows,
        panel,
        narrowPanel: 0,
        pixel: { a: FLOAT, c: columns * FLOAT, residual: first ? 0 : columns * FLOAT },
        row: { a: 0, c: 0, residual: 0 },
        bias: false,
        residual: !first,
      };
      const multiplyTiles = p.kernel(matmulKernel, shape);
      return Array.from({ length: elements }, (_, element): Call => {
        const c = sums.plus(element * sumStride(block));
        return multiplyTiles({
          a: at.x.plus(element * elementStride.x(count) + block.input[0] * FLOAT),
          b: at.dy.plus(element * elementStride.dy(count) + block.output[0] * count * FLOAT),
          c,
          residual: first ? undefined : c,
          rows: 1,
          large,
          small,
          panels: columns / panel,
        });
      });
    },

    /**
     * Transforms the sums of a block into windows.
     * @param parts - number of partial sums, which are added first.
     * @param channels - input channels, counted from the block's first.
     * @param groups - groups of eight output channels, counted from the block's first.
     */
    transformSums(block: WeightBlock, sums: Pointer, parts: number, channels: Range, groups: Range): Call[] {
      const columns = block.output[1] - block.output[0];
      const calls: Call[] = [];
      for (let group = groups[0]; group < groups[1]; group++) {
        const column = group * CHANNEL_BLOCK;
        const out = block.output[0] + column;
        const lanes = Math.min(CHANNEL_BLOCK, dy.c - out);
        if (lanes <= 0) break;
        const transformGroup = p.kernel(winogradWeightGradient, {
          method,
          parts,
          partStride: elements * sumStride(block),
          elementStride: sumStride(block),
          channelStride: columns * FLOAT,
          lanes,
          outputStride: x.c * 9 * FLOAT,
        });
        calls.push(
          transformGroup({
            from: sums.plus((channels[0] * columns + column) * FLOAT),
            to: to.plus((out * x.c + block.input[0] + channels[0]) * 9 * FLOAT),
            channels: channels[1] - channels[0],
          }),
        );
      }
      return calls;
    },
  };
}

/**
 * Plans a weight gradient. If the sums of all channels fit into a core's cache, parts of the tiles are summed
 * independently and the partial sums added. Otherwise, threads share the transformed tiles and each computes
 * blocks of the weight.
 */
export function lowerWinogradWeightGradient(
  p: Planner,
  gradient: WeightGradient,
  method: WinogradMethod,
): void {
  const steps = stepsOf(p, gradient, method);
  const [channels, out] = [gradient.x.c, paddedChannels(gradient.dy.c)];
  p.setAlgorithm(`${winogradAlgorithms[method].name} over tiles`);
  const whole: WeightBlock = { input: [0, channels], output: [0, out] };
  const bytes = steps.sumBytes(whole);
  if (bytes <= PRIVATE_SUM_BYTES) {
    // One thread transforms and multiplies the tiles of a part, and writes a partial sum.
    const count = Math.min(MAX_PARTS, Math.ceil(steps.total / MIN_PART_TILES));
    const parts = Array.from({ length: count }, (_, part) => {
      const [from, to] = shareOf(steps.total, part, count);
      return splitEvenly(to - from, PRIVATE_TILES).map(([first, end]): Range => [from + first, from + end]);
    });
    const capacity = steps.transformedBytes(PRIVATE_TILES);
    const sums = p.workspace(count * bytes);
    const xs = p.workspacePerThread(capacity.x);
    const dys = p.workspacePerThread(capacity.dy);
    p.parallelFor(count, (from, to, thread) => {
      const at = { x: xs[thread]!, dy: dys[thread]! };
      return parts
        .slice(from, to)
        .flatMap((ranges, index) =>
          ranges.flatMap((range, i) => [
            ...steps.transform(at, range, range, thread),
            ...steps.multiply(at, range, whole, sums.plus((from + index) * bytes), i === 0),
          ]),
        );
    });
    const groups = out / CHANNEL_BLOCK;
    p.parallelFor(groups * channels, (from, to) => {
      const calls: Call[] = [];
      for (let item = from; item < to; ) {
        const group = Math.floor(item / channels);
        const end = Math.min(to, (group + 1) * channels);
        const range: Range = [item - group * channels, end - group * channels];
        calls.push(...steps.transformSums(whole, sums, count, range, [group, group + 1]));
        item = end;
      }
      return calls;
    });
    return;
  }
  // Each thread computes blocks of the weight, with the sums of a block in its cache.
  const { input: maxInput, output: maxOutput } = BLOCK_CHANNELS;
  const blocks = splitEvenly(channels, maxInput, CHANNEL_BLOCK).flatMap((input) =>
    splitEvenly(out, Math.max(maxOutput, steps.panel), steps.panel).map(
      (output): WeightBlock => ({ input, output }),
    ),
  );
  const ranges = splitEvenly(steps.total, SHARED_TILES);
  const capacity = steps.transformedBytes(Math.min(steps.total, SHARED_TILES));
  const at = { x: p.workspace(capacity.x), dy: p.workspace(capacity.dy) };
  const blockBytes = Math.max(...blocks.map(steps.sumBytes));
  // The sums of every block live from one range of tiles to the next; with one range, a thread reuses its
  // sums.
  const threadSums = ranges.length > 1 ? undefined : p.workspacePerThread(blockBytes);
  const blockSums = ranges.length > 1 ? p.workspace(blocks.length * blockBytes) : undefined;
  for (const [i, range] of ranges.entries()) {
    p.parallelFor(range[1] - range[0], (from, to, thread) =>
      steps.transform(at, range, [range[0] + from, range[0] + to], thread),
    );
    p.parallelFor(blocks.length, (from, to, thread) =>
      blocks.slice(from, to).flatMap((block, index) => {
        const sums = blockSums?.plus((from + index) * blockBytes) ?? threadSums![thread]!;
        const [rows, columns] = [block.input[1] - block.input[0], block.output[1] - block.output[0]];
        return [
          ...steps.multiply(at, range, block, sums, i === 0),
          ...(i === ranges.length - 1
            ? steps.transformSums(block, sums, 1, [0, rows], [0, columns / CHANNEL_BLOCK])
            : []),
        ];
      }),
    );
  }
}
