/** What the kernels of convolutions share. */
import { range } from '../../kernels/shader.js';

/** Adjacent pixels of a row that a hand-written kernel computes at a time. */
export const PIXELS = 4;

/** Columns of the input, from the first that a kernel reads. */
export interface Columns {
  /** Column that a pixel of the output reads by a tap. */
  readonly of: (pixel: number, kx: number) => number;
  /** All of them, ascending. */
  readonly all: readonly number[];
}

/** Gives the columns that a row of `kw` taps reads for the pixels that a kernel computes at a time. */
export function columnsOf(kw: number, stride: number, dilation: number): Columns {
  const of = (pixel: number, kx: number): number => pixel * stride + kx * dilation;
  const all = new Set(range(PIXELS).flatMap((pixel) => range(kw).map((kx) => of(pixel, kx))));
  return { of, all: [...all].sort((a, b) => a - b) };
}

/** Writes the index of the group that a channel belongs to. */
export const groupOf = (channel: string, groups: number, channelsPerGroup: number): string =>
  groups === 1
    ? '0'
    : channelsPerGroup === 1
      ? channel
      : `Math.floor((${channel} + 0.5) / ${channelsPerGroup})`;
