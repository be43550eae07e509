/** Zero padding: images copied into larger ones with zeros around them, or windows clipped to the image. */
import type { Conv2dAttrs } from '../../../../ops/conv2d.js';
import { FLOAT, paddedChannels } from '../../codegen/kernel.js';
import type { WindowRow } from '../../codegen/windowRow.js';
import { type Pixels, rowAt } from '../../memory/layout.js';
import type { Pointer } from '../../memory/region.js';
import type { LoweringContext } from '../../schedule/context.js';
import type { Call, CallMaker } from '../../schedule/kernelCache.js';
import { paddedRows } from './paddingKernel.js';

/**
 * Clips a window to an axis of the image.
 * @param start - position of tap 0; negative in the padding.
 * @returns the taps inside: from `first` up to but not including `end`.
 */
export function insideWindow(
  start: number,
  taps: number,
  dilation: number,
  extent: number,
): readonly [number, number] {
  const first = Math.max(0, Math.ceil(-start / dilation));
  const end = Math.max(0, Math.min(taps, Math.ceil((extent - start) / dilation)));
  return [Math.min(first, end), end];
}

/** Returns how a window slides along a row of y. @param columns - of the window. */
export const windowRow = (
  { stride, dilation, padding }: Pick<Conv2dAttrs, 'stride' | 'dilation' | 'padding'>,
  columns: number,
  x: Pick<Pixels, 'w' | 'pixelStride'>,
  y: Pick<Pixels, 'w' | 'pixelStride'>,
): WindowRow => ({
  columns,
  stride: stride[1],
  dilation: dilation[1],
  left: padding[1],
  width: x.w,
  outputWidth: y.w,
  pixel: { x: x.pixelStride, y: y.pixelStride },
});

/**
 * Rows and columns of the padded input that the windows of h x w outputs read; at least the padding before the
 * image.
 */
export const paddedExtents = (
  { stride, dilation, padding: [top, left] }: Pick<Conv2dAttrs, 'stride' | 'dilation' | 'padding'>,
  kernel: readonly [number, number],
  { h, w }: { readonly h: number; readonly w: number },
): readonly [number, number] => [
  Math.max(top, (h - 1) * stride[0] + (kernel[0] - 1) * dilation[0] + 1),
  Math.max(left, (w - 1) * stride[1] + (kernel[1] - 1) * dilation[1] + 1),
];

/**
 * Copies x into a workspace with zeros around it. Returns x itself if there is no padding and it has the
 * requested pixel stride.
 * @param extents - height and width of the result.
 * @param stride - pixel stride of the result in bytes; by default the smallest.
 */
export function padPixels(
  p: LoweringContext,
  x: Pixels,
  [top, left, bottom, right]: Conv2dAttrs['padding'],
  [height, width]: readonly [number, number],
  stride?: number,
): Pixels {
  if (top + left + bottom + right === 0 && (stride ?? x.pixelStride) === x.pixelStride) return x;
  const pixelStride = stride ?? paddedChannels(x.c) * FLOAT;
  const rowStride = width * pixelStride;
  const padded: Pixels = {
    ...x,
    at: p.workspace(x.n * height * rowStride),
    h: height,
    w: width,
    pixelStride,
    rowStride,
    imageStride: height * rowStride,
  };
  const columns = Math.min(x.w, width - left);
  const sameStride = x.pixelStride === pixelStride;
  const pad = p.kernel(paddedRows, {
    from: x.rowStride,
    to: rowStride,
    before: left * pixelStride,
    after: (width - left - columns) * pixelStride,
    runs: sameStride ? 1 : columns,
    runBytes: sameStride ? columns * pixelStride : pixelStride,
    runFrom: x.pixelStride,
  });
  p.parallelFor('pad', x.n * height, (from, to) =>
    padCalls(pad, height, top, Math.min(x.h, height - top), from, to, {
      source: (image, y) => rowAt(x, image, y),
      target: (image, y) => rowAt(padded, image, y),
    }),
  );
  return padded;
}

/**
 * Makes the calls for padded rows `from` to `to`, counted through all images.
 * @param height - rows of a padded image.
 * @param content - rows of the image itself, after `top` rows of zeros.
 */
export function padCalls(
  pad: CallMaker<typeof paddedRows.parameters>,
  height: number,
  top: number,
  content: number,
  from: number,
  to: number,
  {
    source,
    target,
  }: {
    readonly source: (image: number, y: number) => Pointer;
    readonly target: (image: number, y: number) => Pointer;
  },
): readonly Call[] {
  const calls: Call[] = [];
  for (let at = from; at < to; ) {
    const image = Math.floor(at / height);
    const y = at - image * height;
    const inside = y >= top && y < top + content;
    const border = y < top ? top : inside ? top + content : height;
    const rows = Math.min(to, image * height + border) - at;
    calls.push(
      inside
        ? pad({ from: source(image, y - top), to: target(image, y), rows })
        : pad({ to: target(image, y), zeros: rows }),
    );
    at += rows;
  }
  return calls;
}
