/** Edges: zeros around pictures, so that no window has to be tested for them, or the part of a window that lies inside. */
import type { Conv2dAttrs } from '../../../../ops/conv2d.js';
import { FLOAT, paddedChannels } from '../../codegen/kernel.js';
import type { Pixels } from '../../memory/layout.js';
import type { Pointer } from '../../memory/region.js';
import type { Call, CallMaker, Planner } from '../../schedule/planner.js';
import { paddedRows } from './paddingKernel.js';

/** Taps of a window that lie inside: from `first` up to but not including `end`. */
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

/** Rows and columns of the padded input that the windows of h x w outputs touch, and those before the picture in any case. */
export const reach = (
  { stride, dilation, padding: [top, left] }: Pick<Conv2dAttrs, 'stride' | 'dilation' | 'padding'>,
  kernel: readonly [number, number],
  { h, w }: { readonly h: number; readonly w: number },
): readonly [number, number] => [
  Math.max(top, (h - 1) * stride[0] + (kernel[0] - 1) * dilation[0] + 1),
  Math.max(left, (w - 1) * stride[1] + (kernel[1] - 1) * dilation[1] + 1),
];

/**
 * x with zeros around it, in scratch memory; x itself if it needs none. If the distance of its pixels is given,
 * pixels lie so far apart in any case.
 */
export function padPixels(
  p: Planner,
  x: Pixels,
  [top, left, bottom, right]: Conv2dAttrs['padding'],
  [height, width]: readonly [number, number],
  distance?: number,
): Pixels {
  if (top + left + bottom + right === 0 && (distance ?? x.pixel) === x.pixel) return x;
  const pixel = distance ?? paddedChannels(x.c) * FLOAT;
  const row = width * pixel;
  const padded: Pixels = {
    ...x,
    at: p.scratch(x.n * height * row),
    h: height,
    w: width,
    pixel,
    row,
    image: height * row,
  };
  const columns = Math.min(x.w, width - left);
  const whole = x.pixel === pixel;
  const pad = p.kernel(paddedRows, {
    from: x.row,
    to: row,
    before: left * pixel,
    after: (width - left - columns) * pixel,
    runs: whole ? 1 : columns,
    runBytes: whole ? columns * pixel : pixel,
    runFrom: x.pixel,
  });
  p.algorithm('pad');
  p.spread(x.n * height, (from, to) =>
    padCalls(pad, height, top, Math.min(x.h, height - top), from, to, {
      source: (image, y) => x.at.plus(image * x.image + y * x.row),
      target: (image, y) => padded.at.plus(image * padded.image + y * row),
    }),
  );
  return padded;
}

/** Calls that make padded rows `from` to `to`, counted through all pictures: rows of zeros, or of content. */
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
