/**
 * The gradient of a 3x3 convolution's weight by Winograd's method, transposed: tiles of the input and of the
 * output's gradient are transformed, multiplied for each transformed position, summed over all tiles, and
 * transformed back into windows. F(4x4) takes 4 times fewer multiplications than the direct way.
 * The sums are cut by shape, never by thread, so results are the same for any number of threads.
 */

import { CACHE_LINE, CHANNEL_BLOCK, FLOAT, paddedChannels } from '../../../codegen/kernel.js';
import type { Pixels } from '../../../memory/layout.js';
import type { Pointer } from '../../../memory/region.js';
import { type Call, type Planner, shareOf } from '../../../schedule/planner.js';
import { type MatrixProduct, matrixProduct, panelColumns, tilingOf } from '../../matmul/matmulKernel.js';
import { winogradInput, winogradScratch } from './inputKernel.js';
import { winogradOutputGradient } from './outputGradientKernel.js';
import { productStride, type WinogradMethod, winograd } from './transforms.js';
import { winogradGradient } from './weightGradientKernel.js';
import { tilesByPicture } from './winograd.js';

/** What is computed: dy and x of a convolution, and where the gradient goes, in the host's order. */
export interface WeightGradient {
  readonly x: Pixels;
  readonly dy: Pixels;
  /** Rows of padding above, columns of padding on the left. */
  readonly top: number;
  readonly left: number;
  readonly to: Pointer;
}

/** Sums up to this size stay in a thread's cache while its tiles pass. */
const PRIVATE_SUMS = 1.25e6;
/** Tiles whose transforms stay there with them. */
const PRIVATE_TILES = 32;
/** Parts that tiles are summed in where threads share them, and tiles in one at least. */
const PARTS = 8;
const PART_TILES = 16;
/** Otherwise: tiles that are multiplied together, and channels of input and output that one thread takes. */
const SHARED_TILES = 128;
const UNIT = { input: 64, output: 32 } as const;

/** A range, from its first up to but not including its end. */
type Range = readonly [from: number, to: number];

/** A range in even parts of at most `most`, cut at multiples of `unit`. */
function evenly(total: number, most: number, unit = 1): readonly Range[] {
  const units = Math.ceil(total / unit);
  const count = Math.ceil(total / most);
  return Array.from({ length: count }, (_, index): Range => {
    const [from, to] = shareOf(units, index, count);
    return [from * unit, Math.min(total, to * unit)];
  });
}

/** A block of the weight: input and output channels. */
interface Unit {
  readonly input: Range;
  readonly output: Range;
}

/** Where transformed tiles lie. */
interface Transformed {
  readonly x: Pointer;
  readonly dy: Pointer;
}

/** The steps, as calls, for a planner and a gradient. */
function steps(p: Planner, { x, dy, top, left, to }: WeightGradient, method: WinogradMethod) {
  const { engine } = p;
  const { outputs } = winograd[method];
  const products = winograd[method].products ** 2;
  const [inPadded, outPadded] = [paddedChannels(x.c), paddedChannels(dy.c)];
  const panel = panelColumns(engine, engine.tileRows, outPadded);
  const tileColumns = Math.ceil(dy.w / outputs);
  const tiles = tileColumns * Math.ceil(dy.h / outputs);
  // An odd number of cache lines: a product walks over the same channels of one tile after the other.
  const pitch = (Math.ceil((inPadded * FLOAT) / CACHE_LINE) | 1) * CACHE_LINE;
  const stride = {
    x: (count: number): number => productStride(count, pitch / FLOAT),
    dy: (count: number): number => productStride(count, outPadded),
  };
  const scratch = p.scratchForEach(
    Math.max(
      winogradScratch({ method, of: 'inputs', channels: inPadded }),
      winogradScratch({ method, of: 'outputs', channels: outPadded }),
    ),
  );
  const sumStride = ({ input, output }: Unit): number =>
    productStride(input[1] - input[0], output[1] - output[0]);

  return {
    total: dy.n * tiles,
    panel,
    /** Bytes of so many tiles' transforms. */
    transformedBytes: (count: number) => ({ x: products * stride.x(count), dy: products * stride.dy(count) }),
    sumBytes: (unit: Unit): number => products * sumStride(unit),

    /** Transforms some of the tiles that are held together; `at` are all of them. */
    transform(at: Transformed, held: Range, some: Range, thread: number): Call[] {
      const count = held[1] - held[0];
      const ofInput = p.kernel(winogradInput, {
        method,
        tileColumns,
        of: 'inputs',
        height: x.h,
        width: x.w,
        channels: inPadded,
        top,
        left,
        row: x.row,
        pixel: x.pixel,
        product: stride.x(count),
        tile: pitch,
      });
      const ofGradient = p.kernel(winogradOutputGradient, {
        method,
        tileColumns,
        of: 'outputs',
        height: dy.h,
        width: dy.w,
        channels: outPadded,
        top: 0,
        left: 0,
        row: dy.row,
        pixel: dy.pixel,
        product: stride.dy(count),
        tile: panel * FLOAT,
        panel: { channels: panel, bytes: count * panel * FLOAT },
      });
      const before = some[0] - held[0];
      return tilesByPicture(tiles, some[0], some[1] - some[0]).flatMap(
        ({ image, first, before: behind, count: few }): readonly Call[] => {
          const row = before + behind;
          const tiles = { scratch: scratch[thread]!, first, count: few };
          return [
            ofInput({ x: x.at.plus(image * x.image), result: at.x.plus(row * pitch), ...tiles }),
            ofGradient({
              x: dy.at.plus(image * dy.image),
              result: at.dy.plus(row * panel * FLOAT),
              ...tiles,
            }),
          ];
        },
      );
    },

    /** Multiplies the tiles that are held together, for a block of the weight; adds to the sums unless they are the first. */
    multiply(at: Transformed, held: Range, unit: Unit, sums: Pointer, first: boolean): Call[] {
      const count = held[1] - held[0];
      const columns = unit.output[1] - unit.output[0];
      const { tileRows, large, small } = tilingOf(unit.input[1] - unit.input[0], engine.tileRows);
      const product: MatrixProduct = {
        inner: { loops: [], run: count, step: pitch },
        tileRows,
        panel,
        narrowPanel: 0,
        pixel: { a: FLOAT, c: columns * FLOAT, residual: first ? 0 : columns * FLOAT },
        row: { a: 0, c: 0, residual: 0 },
        bias: false,
        residual: !first,
      };
      const call = p.kernel(matrixProduct, product);
      return Array.from({ length: products }, (_, index): Call => {
        const c = sums.plus(index * sumStride(unit));
        return call({
          a: at.x.plus(index * stride.x(count) + unit.input[0] * FLOAT),
          b: at.dy.plus(index * stride.dy(count) + unit.output[0] * count * FLOAT),
          c,
          residual: first ? undefined : c,
          rows: 1,
          large,
          small,
          panels: columns / panel,
        });
      });
    },

    /** Transforms the sums of a block back; `channels` are some of its input channels, `groups` of its output channels. */
    finish(unit: Unit, sums: Pointer, parts: number, channels: Range, groups: Range): Call[] {
      const columns = unit.output[1] - unit.output[0];
      const calls: Call[] = [];
      for (let group = groups[0]; group < groups[1]; group++) {
        const column = group * CHANNEL_BLOCK;
        const out = unit.output[0] + column;
        const lanes = Math.min(CHANNEL_BLOCK, dy.c - out);
        if (lanes <= 0) break;
        const call = p.kernel(winogradGradient, {
          method,
          parts,
          partBytes: products * sumStride(unit),
          product: sumStride(unit),
          row: columns * FLOAT,
          lanes,
          column: x.c * 9 * FLOAT,
        });
        calls.push(
          call({
            from: sums.plus((channels[0] * columns + column) * FLOAT),
            to: to.plus((out * x.c + unit.input[0] + channels[0]) * 9 * FLOAT),
            channels: channels[1] - channels[0],
          }),
        );
      }
      return calls;
    },
  };
}

/** Adds the phases of a weight's gradient. */
export function winogradWeightPhases(p: Planner, gradient: WeightGradient, method: WinogradMethod): void {
  const step = steps(p, gradient, method);
  const [channels, out] = [gradient.x.c, paddedChannels(gradient.dy.c)];
  p.algorithm(`${winograd[method].name} over tiles`);
  const whole: Unit = { input: [0, channels], output: [0, out] };
  const bytes = step.sumBytes(whole);
  if (bytes <= PRIVATE_SUMS) {
    // Each thread takes its own tiles through transforms and products, into sums of its own.
    const count = Math.min(PARTS, Math.ceil(step.total / PART_TILES));
    const parts = Array.from({ length: count }, (_, part) => {
      const [from, to] = shareOf(step.total, part, count);
      return evenly(to - from, PRIVATE_TILES).map(([first, end]): Range => [from + first, from + end]);
    });
    const most = step.transformedBytes(PRIVATE_TILES);
    const sums = p.scratch(count * bytes);
    const xs = p.scratchForEach(most.x);
    const dys = p.scratchForEach(most.dy);
    p.spread(count, (from, to, thread) => {
      const at = { x: xs[thread]!, dy: dys[thread]! };
      return parts
        .slice(from, to)
        .flatMap((held, index) =>
          held.flatMap((range, block) => [
            ...step.transform(at, range, range, thread),
            ...step.multiply(at, range, whole, sums.plus((from + index) * bytes), block === 0),
          ]),
        );
    });
    const groups = out / CHANNEL_BLOCK;
    p.spread(groups * channels, (from, to) => {
      const calls: Call[] = [];
      for (let item = from; item < to; ) {
        const group = Math.floor(item / channels);
        const end = Math.min(to, (group + 1) * channels);
        const range: Range = [item - group * channels, end - group * channels];
        calls.push(...step.finish(whole, sums, count, range, [group, group + 1]));
        item = end;
      }
      return calls;
    });
    return;
  }
  // Transforms are shared; each thread takes blocks of the weight, with the sums of a block in its cache.
  const units = evenly(channels, UNIT.input, CHANNEL_BLOCK).flatMap((input) =>
    evenly(out, Math.max(UNIT.output, step.panel), step.panel).map((output): Unit => ({ input, output })),
  );
  const held = evenly(step.total, SHARED_TILES);
  const most = step.transformedBytes(Math.min(step.total, SHARED_TILES));
  const at = { x: p.scratch(most.x), dy: p.scratch(most.dy) };
  const unitBytes = Math.max(...units.map(step.sumBytes));
  const own = held.length > 1 ? undefined : p.scratchForEach(unitBytes);
  const shared = held.length > 1 ? p.scratch(units.length * unitBytes) : undefined;
  for (const [block, range] of held.entries()) {
    p.spread(range[1] - range[0], (from, to, thread) =>
      step.transform(at, range, [range[0] + from, range[0] + to], thread),
    );
    p.spread(units.length, (from, to, thread) =>
      units.slice(from, to).flatMap((unit, index) => {
        const sums = shared?.plus((from + index) * unitBytes) ?? own![thread]!;
        const [rows, columns] = [unit.input[1] - unit.input[0], unit.output[1] - unit.output[0]];
        return [
          ...step.multiply(at, range, unit, sums, block === 0),
          ...(block === held.length - 1
            ? step.finish(unit, sums, 1, [0, rows], [0, columns / CHANNEL_BLOCK])
            : []),
        ];
      }),
    );
  }
}
