/**
 * Slides a window along one row of output pixels, in blocks of several outputs that share loads. One loop
 * computes all blocks whose windows lie inside the image. Each block at an edge is unrolled without the
 * columns in the padding.
 */
import { type FunctionBuilder, i32, type Local } from './index.js';
import { FLOAT, LANES } from './kernel.js';

/** Maximum rows of a window: a kernel takes the address of each as a parameter. */
export const MAX_WINDOW_ROWS = 7;

/** A window that slides along a row. All extents are in pixels. */
export interface WindowRow {
  /** Columns of the window, without dilation. */
  readonly columns: number;
  readonly stride: number;
  readonly dilation: number;
  /** Columns of padding on the left. */
  readonly left: number;
  /** Columns of the input x. */
  readonly width: number;
  /** Columns of the output y. */
  readonly outputWidth: number;
  /** Bytes between neighbouring pixels of x and of y. */
  readonly pixel: { readonly x: number; readonly y: number };
}

/** Neighbouring outputs that share code, repeated for the following blocks that need the same code. */
interface Block {
  /** First output of the first block. */
  readonly start: number;
  /** Outputs of a block. */
  readonly count: number;
  /** Number of blocks, at least 1. */
  readonly repeat: number;
}

/** Returns the first input column under the window of output x; negative in the left padding. */
const firstColumn = ({ stride, left }: WindowRow, x: number): number => x * stride - left;

/**
 * Divides a row into blocks of at most `size` outputs. Neighbouring blocks inside the image are one entry,
 * repeated.
 * @param apart - true if the first block is an entry of its own even so. Default: false.
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

/** A block for which code is generated. */
export interface BlockCode {
  /** First output; if the block repeats, of its first repetition. */
  readonly start: number;
  /** Number of outputs. */
  readonly outputs: number;
  /**
   * Input columns that the block reads, without those in the padding. `column` counts from the first column
   * under the first output's window; `at` is the column's offset from the address of x, in bytes.
   */
  readonly columns: readonly { readonly column: number; readonly at: number }[];
  /** Returns the tap with which an output reads a column; -1 if it does not. */
  tap(output: number, column: number): number;
}

/**
 * Generates the blocks of a row. Each block loops over the groups of channels.
 * @param body - generates the code for a block and a group. `x` holds, for each input row, the address of the
 *   first column in `columns`; `y` is the address of the first output. `x` never points at the padding: its
 *   address could be negative, which WebAssembly does not allow.
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
    /** Most outputs of a block. */
    readonly size: number;
    /** Bytes between neighbouring groups of channels of x and of y. */
    readonly step: { readonly x: number; readonly y: number };
    /** Addresses of the input rows. */
    readonly rows: readonly Local<'i32'>[];
    /** Address of the output row. */
    readonly y: Local<'i32'>;
    /** Number of groups of channels. */
    readonly groups: Local<'i32'>;
    /** Other operands, such as weights or a residual. */
    readonly others?: readonly {
      /** Address for the first output pixel and the first group. */
      readonly from: Local<'i32'>;
      /** Variable that holds the address for the current block and group. */
      readonly at: Local<'i32'>;
      /** Bytes between neighbouring groups of channels. */
      readonly bytes: number;
      /** Bytes between neighbouring output pixels; 0 for weights. */
      readonly pixel: number;
    }[];
    /** True if the code of the first block is not shared with others. Default: false. */
    readonly apart?: boolean;
  },
  body: (code: BlockCode, x: readonly Local<'i32'>[], y: Local<'i32'>) => void,
): void {
  const { columns, stride, dilation, width, pixel } = window;
  const x = rows.map(() => f.pointer());
  const yAt = f.pointer();
  const xOffset = f.pointer();
  const block = f.pointer();
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

/** Returns the bytes of the weights of one tap for a group of `vectors` vectors of channels. */
export const tapBytes = (vectors: number): number => vectors * LANES * FLOAT;
