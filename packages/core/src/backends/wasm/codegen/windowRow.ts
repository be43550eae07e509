/**
 * How a window slides along one row of output pixels: in blocks of several outputs that share loads.
 * Inside the picture one block is generated and looped; at the edges each block is generated on its own,
 * without the columns that are not there.
 */
import { type FunctionBuilder, i32, type Local } from './index.js';
import { FLOAT, LANES } from './kernel.js';

/** Most rows of a window: a kernel takes the address of each as a parameter. */
export const MOST_ROWS = 7;

/** A window sliding along a row. Extents are in pixels, strides in bytes. */
export interface WindowRow {
  /** Width of the window. */
  readonly columns: number;
  readonly stride: number;
  readonly dilation: number;
  /** Columns of padding on the left. */
  readonly left: number;
  readonly width: number;
  readonly outputWidth: number;
  /** From one pixel to the next in x and y. */
  readonly pixel: { readonly x: number; readonly y: number };
}

/** Outputs `start` to `start + count`, and `repeat - 1` blocks more that look the same. */
interface Block {
  readonly start: number;
  readonly count: number;
  readonly repeat: number;
}

/** The first input column under output x. */
const firstColumn = ({ stride, left }: WindowRow, x: number): number => x * stride - left;

/**
 * Blocks of at most `size` outputs; those wholly inside the picture are one, repeated.
 * @param apart whether the first is on its own in any case.
 */
export function blocksOf(window: WindowRow, size: number, apart = false): readonly Block[] {
  const { columns, dilation, width, outputWidth } = window;
  const inside = (start: number, count: number): boolean =>
    start + count <= outputWidth &&
    firstColumn(window, start) >= 0 &&
    firstColumn(window, start + count - 1) + (columns - 1) * dilation < width;
  const blocks: Block[] = [];
  for (let start = 0; start < outputWidth; ) {
    let repeat = 0;
    while (inside(start + repeat * size, size) && !(apart && start === 0 && repeat === 1)) repeat++;
    const count = Math.min(size, outputWidth - start);
    blocks.push({ start, count, repeat: Math.max(1, repeat) });
    start += count * Math.max(1, repeat);
  }
  return blocks;
}

/** What a block's code is given. */
export interface BlockCode {
  /** Its first output; of blocks that repeat, the first one's. */
  readonly start: number;
  readonly outputs: number;
  /**
   * Input columns of the block that exist, counted from its first output's first column, and how far behind the
   * address of x each lies, in bytes.
   */
  readonly columns: readonly { readonly column: number; readonly at: number }[];
  /** Whether output i looks at that column, and with which tap; -1 if not. */
  tap(output: number, column: number): number;
}

/**
 * Generates the blocks of a row. For each group of channels `body` is called with addresses that point
 * at the block's first column that exists (`x`, one for each of the rows given) and first output (`y`). Those of
 * columns in the padding could lie before the memory's start, and an address is never negative.
 * @param others addresses that move on by a number of bytes with each group of channels.
 */
export function slideAlongRow(
  f: FunctionBuilder,
  window: WindowRow,
  {
    size,
    step,
    rows,
    y,
    groups,
    others = [],
    apart,
  }: {
    readonly size: number;
    /** How far the addresses of x and y move on with each group of channels, in bytes. */
    readonly step: { readonly x: number; readonly y: number };
    readonly rows: readonly Local<'i32'>[];
    readonly y: Local<'i32'>;
    readonly groups: Local<'i32'>;
    readonly others?: readonly {
      readonly from: Local<'i32'>;
      readonly at: Local<'i32'>;
      readonly bytes: number;
      /** How far it moves from one output pixel to the next; 0 for weights. */
      readonly pixel: number;
    }[];
    /** Whether the first block is generated on its own. */
    readonly apart?: boolean;
  },
  body: (code: BlockCode, x: readonly Local<'i32'>[], y: Local<'i32'>) => void,
): void {
  const { columns, stride, dilation, width, pixel } = window;
  const x = rows.map((_, index) => f.pointer(`x ${index}`));
  const yAt = f.pointer('y');
  const xOffset = f.pointer('x offset');
  const block = f.pointer('block');
  f.set(xOffset, firstColumn(window, 0) * pixel.x);
  f.set(block, 0);
  for (const { start, count, repeat } of blocksOf(window, size, apart)) {
    const span = (count - 1) * stride + (columns - 1) * dilation + 1;
    const tap = (output: number, column: number): number => {
      const distance = column - output * stride;
      const index = distance / dilation;
      return distance >= 0 && distance % dilation === 0 && index < columns ? index : -1;
    };
    const first = firstColumn(window, start);
    const used = Array.from({ length: span }, (_, column) => column).filter(
      (column) =>
        first + column >= 0 &&
        first + column < width &&
        Array.from({ length: count }, (_, output) => tap(output, column)).some((index) => index >= 0),
    );
    const skipped = (used[0] ?? 0) * pixel.x;
    const present = used.map((column) => ({ column, at: column * pixel.x - skipped }));
    f.repeat(repeat, () => {
      for (const [index, row] of rows.entries()) {
        f.set(x[index]!, i32.add(row, xOffset));
        if (skipped > 0) f.advance(x[index]!, skipped);
      }
      f.set(yAt, i32.add(y, i32.mul(block, pixel.y)));
      for (const { from, at, pixel: distance } of others)
        f.set(at, distance === 0 ? from : i32.add(from, i32.mul(block, distance)));
      f.repeat(groups, () => {
        body({ start, outputs: count, columns: present, tap }, x, yAt);
        for (const address of x) f.advance(address, step.x);
        f.advance(yAt, step.y);
        for (const { at, bytes } of others) f.advance(at, bytes);
      });
      f.advance(xOffset, count * stride * pixel.x);
      f.advance(block, count);
    });
  }
}

/** Bytes of the weights of one tap of one group. */
export const tapBytes = (vectors: number): number => vectors * LANES * FLOAT;
