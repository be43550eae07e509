/**
 * Inverted residuals, from expansion to projection. Large pictures go by rows: each thread expands the few
 * rows that a row of the depthwise convolution looks at into a ring that its cache holds, filters them, and
 * projects at once. Small pictures go by channels: each thread expands and filters channels of its own, so
 * that it reads half of the weights and nothing twice; all meet before the projection. Squeeze-and-excitation
 * sums each row while it is made, and the sums of rows in their order, so that results do not depend on the
 * number of threads.
 */
import type { Node } from '../../../graph/graph.js';
import type { Conv2dAttrs } from '../../../ops/conv2d.js';
import { sizeOf } from '../../../tensor/shape.js';
import { CHANNEL_BLOCK, FLOAT, paddedChannels } from '../kernels/kernel.js';
import { poolArea } from '../kernels/pool.js';
import { scalePanels } from '../kernels/scalePanels.js';
import type { Block, Squeeze } from '../plan/groups.js';
import type { Pointer } from '../plan/memory.js';
import { type Call, type Planner, shareOf } from '../plan/planner.js';
import { extents, type Pixels, valueAt } from '../plan/value.js';
import { lowerConvolution } from './conv2d.js';
import { convolutionOf } from './convolution.js';
import { type DepthwiseRows, planDepthwise } from './depthwise.js';
import { onPixels } from './elementwise.js';
import { biasOf, channelGroups, float32Bits, pixelsOf, weightStrides, zeroCall } from './lowering.js';
import { packPanels, productPhase } from './product.js';
import { planRowProduct, type RowProduct } from './rowProduct.js';

/**
 * Weights above this are read from the shared cache in every step: then it is by channels, each core reading
 * its own. MobileNetV2 on two threads took 3.64 ms with this limit, 3.70 with a quarter of it, and 4.03 layer
 * by layer.
 */
const LARGE_WEIGHTS = 256 * 1024;
/** The most of the expansion that may be done twice, where the rows of two threads meet. */
const MOST_REPEATED = 1 / 6;
/** Pixels that a step by rows makes at least, so that products have whole tiles. */
const STEP_PIXELS = 56;

/** A block with all that its phases share. */
interface Plan {
  readonly p: Planner;
  readonly block: Block;
  readonly x: Pixels;
  readonly y: Pixels;
  /** Extents of the depthwise convolution's input and output. */
  readonly wide: { readonly h: number; readonly w: number; readonly pixel: number };
  readonly narrow: { readonly n: number; readonly h: number; readonly w: number; readonly pixel: number };
  readonly expand?: RowProduct;
  readonly depthwise: DepthwiseRows;
  /** Where each output row's sums are, row by row; undefined without squeeze-and-excitation. */
  readonly sums?: Pointer;
}

export function lowerBlock(p: Planner, block: Block): void {
  const { expand, depthwise, squeeze, project } = block;
  const x = pixelsOf(p, (expand ?? depthwise).inputs[0]!);
  const y = pixelsOf(p, project);
  const { n, c, h, w } = extents(depthwise.shape);
  const pixel = paddedChannels(c) * FLOAT;
  const wide = { h: x.h, w: x.w, pixel: expand ? pixel : x.pixel };
  const narrow = { n, h, w, pixel };
  const plan: Plan = {
    p,
    block,
    x,
    y,
    wide,
    narrow,
    expand: expand && pointwise(p, expand, { a: x.pixel, c: pixel, residual: 0 }),
    depthwise: planDepthwise(
      p,
      convolutionOf(p, depthwise, () => x, y),
      wide,
      narrow,
      {
        sums: squeeze !== undefined,
      },
    ),
    sums: squeeze && p.scratch(n * h * pixel),
  };
  const byRows = rowsPay(plan);
  const name = `${expand ? 'expand, ' : ''}depthwise ${depthwise.inputs[1]!.shape.slice(2).join('x')}`;
  if (byRows && !squeeze) {
    const residual = project.inputs[3] && pixelsOf(p, project.inputs[3]);
    const product = pointwise(p, project, { a: pixel, c: y.pixel, residual: residual?.pixel ?? 0 });
    p.named(`${name}, project by rows`, () => rowsPhase(plan, { product, residual }));
    return;
  }
  const filtered = p.scratch(n * h * w * pixel);
  const value = valueAt(filtered, depthwise.shape) as Pixels;
  p.named(`${name} by ${byRows ? 'rows' : 'channels'}, ${squeeze ? 'squeeze, ' : ''}project`, () => {
    if (byRows) rowsPhase(plan, { filtered });
    else channelsPhase(plan, filtered);
    if (squeeze) squeezed(plan, squeeze, value);
    else
      lowerConvolution(
        p,
        convolutionOf(p, project, () => value, y),
      );
  });
}

/** Whether rows are the way: where they can be shared out evenly, at little cost, and weights are not the larger part. */
function rowsPay({ p: { threads }, block: { expand, depthwise, project }, narrow, wide }: Plan): boolean {
  const rows = narrow.n * narrow.h;
  const bytes = (node: Node | undefined): number => (node ? sizeOf(node.inputs[1]!.shape) * FLOAT : 0);
  const overlap = depthwise.inputs[1]!.shape[2]! - depthwise.attrs.stride[0];
  const repeated = expand ? (overlap * (threads - 1)) / (narrow.n * wide.h) : 0;
  return (
    (rows >= 6 * threads || rows % threads === 0) &&
    repeated <= MOST_REPEATED &&
    Math.max(bytes(expand), bytes(project)) <= LARGE_WEIGHTS
  );
}

/** A 1x1 convolution as a product that is called for some pixels. */
function pointwise(
  p: Planner,
  node: Node<Conv2dAttrs>,
  pixel: { readonly a: number; readonly c: number; readonly residual: number },
): RowProduct {
  const [, weight, bias] = node.inputs as [Node, Node, Node | undefined];
  const [out, channels] = weight.shape as [number, number];
  const [outStride, inStride] = weightStrides(p, weight) as [number, number];
  return planRowProduct(p, {
    inner: { loops: [], run: channels },
    columns: out,
    weights: (panel) => packPanels(p, weight, out, panel, [{ count: channels, from: inStride }], outStride),
    bias: bias && biasOf(p, bias, out),
    activation: node.attrs.activation,
    streamed: sizeOf(weight.shape) * FLOAT > LARGE_WEIGHTS,
    pixel,
  });
}

/** Calls that make the pixels of some rows of a picture, in one if they lie one after the other. */
function productOfRows(
  { call }: RowProduct,
  rows: number,
  width: number,
  x: { readonly at: Pointer; readonly row: number; readonly pixel: number },
  y: { readonly at: Pointer; readonly row: number; readonly pixel: number },
  options: { readonly residual?: Pixels; readonly panels?: readonly [number, number] } = {},
): Call[] {
  const { residual, panels } = options;
  const joined = [x, y, ...(residual ? [residual] : [])].every(({ row, pixel }) => row === width * pixel);
  const [count, pixels] = joined ? [1, rows * width] : [rows, width];
  return Array.from({ length: count }, (_, i) =>
    call(pixels, x.at.plus(i * x.row), y.at.plus(i * y.row), {
      residual: residual?.at.plus(i * residual.row),
      panels,
    }),
  );
}

/** Each thread makes rows of its own; of expanded rows it keeps as many as a step looks at. */
function rowsPhase(
  { p, x, y, wide, narrow, expand, depthwise, sums, block }: Plan,
  last: { readonly product: RowProduct; readonly residual?: Pixels } | { readonly filtered: Pointer },
): void {
  const rows = narrow.n * narrow.h;
  const share = Math.ceil(rows / p.threads);
  const step = Math.max(1, Math.min(share, narrow.h, Math.ceil(STEP_PIXELS / narrow.w)));
  const window = block.depthwise.inputs[1]!.shape[2]!;
  const { stride, dilation } = block.depthwise.attrs;
  const ringRows = Math.min(wide.h, (step - 1) * stride[0] + (window - 1) * dilation[0] + 1);
  const wideRow = wide.w * wide.pixel;
  const narrowRow = narrow.w * narrow.pixel;
  const rings = expand && p.scratchForEach(ringRows * wideRow);
  const results = 'product' in last ? p.scratchForEach(step * narrowRow) : undefined;
  p.spread(rows, (from, to, thread) => {
    const calls: Call[] = [];
    if (sums) calls.push(zeroCall(p, sums.plus(from * narrow.pixel), (to - from) * narrow.pixel));
    for (let at = from; at < to; ) {
      const image = Math.floor(at / narrow.h);
      const end = Math.min(to, (image + 1) * narrow.h);
      const picture = x.at.plus(image * x.image);
      const source = (row: number): Pointer =>
        rings ? rings[thread]!.plus((row % ringRows) * wideRow) : picture.plus(row * x.row);
      /** The first row that has not been expanded yet. */
      let next = depthwise.under(at - image * narrow.h)[0];
      for (; at < end; at += step) {
        const first = at - image * narrow.h;
        const count = Math.min(step, end - at);
        const needed = depthwise.under(first + count - 1)[1];
        while (expand && next < needed) {
          const slot = next % ringRows;
          const several = Math.min(needed - next, ringRows - slot);
          const from = { ...x, at: picture.plus(next * x.row) };
          const into = { at: source(next), row: wideRow, pixel: wide.pixel };
          calls.push(...productOfRows(expand, several, wide.w, from, into));
          next += several;
        }
        const target = results
          ? results[thread]!
          : (last as { filtered: Pointer }).filtered.plus(at * narrowRow);
        for (let i = 0; i < count; i++)
          calls.push(
            depthwise.call(
              first + i,
              source,
              target.plus(i * narrowRow),
              [0, depthwise.groups],
              sums?.plus((at + i) * narrow.pixel),
            ),
          );
        if ('product' in last) {
          const place = (value: Pixels): Pixels => ({
            ...value,
            at: value.at.plus(image * value.image + first * value.row),
          });
          const made = { at: target, row: narrowRow, pixel: narrow.pixel };
          const residual = last.residual && place(last.residual);
          calls.push(...productOfRows(last.product, count, narrow.w, made, place(y), { residual }));
        }
      }
      at = end;
    }
    return calls;
  });
}

/** Each thread makes channels of its own, of all rows. */
function channelsPhase({ p, x, wide, narrow, expand, depthwise, sums }: Plan, filtered: Pointer): void {
  const wideRow = wide.w * wide.pixel;
  const picture = wide.h * wideRow;
  const expanded = expand && p.scratch(narrow.n * picture);
  const perPanel = expand ? expand.panel / depthwise.groupChannels : 1;
  const units = Math.ceil(depthwise.groups / perPanel);
  p.phase((thread) => {
    const [from, to] = shareOf(units, thread, p.threads);
    if (from === to) return [];
    const groups = [from * perPanel, Math.min(to * perPanel, depthwise.groups)] as const;
    const groupBytes = depthwise.groupChannels * FLOAT;
    const calls: Call[] = [];
    for (let image = 0; image < narrow.n; image++) {
      const input = x.at.plus(image * x.image);
      const wideAt = expanded?.plus(image * picture);
      if (expand && wideAt) {
        const into = { at: wideAt, row: wideRow, pixel: wide.pixel };
        calls.push(
          ...productOfRows(expand, wide.h, wide.w, { ...x, at: input }, into, { panels: [from, to] }),
        );
      }
      for (let row = 0; row < narrow.h; row++) {
        const at = image * narrow.h + row;
        if (sums) {
          const own = sums.plus(at * narrow.pixel + groups[0] * groupBytes);
          calls.push(zeroCall(p, own, (groups[1] - groups[0]) * groupBytes));
        }
        calls.push(
          depthwise.call(
            row,
            (of) => (wideAt ? wideAt.plus(of * wideRow) : input.plus(of * x.row)),
            filtered.plus(at * narrow.w * narrow.pixel),
            groups,
            sums?.plus(at * narrow.pixel),
          ),
        );
      }
    }
    return calls;
  });
}

/** The gates from the rows' sums, and the projection of what they scale. */
function squeezed({ p, block, y, narrow, sums }: Plan, { pool, reduce, gate }: Squeeze, value: Pixels): void {
  const { project } = block;
  const rowValue = (shape: readonly number[]): Pixels => {
    const [n, c] = shape as [number, number];
    return valueAt(p.scratch(n * paddedChannels(c) * FLOAT), [n, c, 1, 1]) as Pixels;
  };
  const [means, reduced, gates] = [rowValue(pool.shape), rowValue(reduce.shape), rowValue(gate.shape)];
  const mean = p.kernel('pool area', { reduction: 'mean' as const, row: narrow.pixel, column: 0 }, poolArea);
  const factor = float32Bits(1 / (narrow.h * narrow.w));
  p.spread(channelGroups(value.c), (from, to) =>
    Array.from({ length: narrow.n }, (_, image) => ({
      kernel: mean,
      parameters: [
        sums!.plus(image * narrow.h * narrow.pixel + from * CHANNEL_BLOCK * FLOAT),
        means.at.plus(image * means.image + from * CHANNEL_BLOCK * FLOAT),
        narrow.h,
        1,
        factor,
        to - from,
      ],
    })),
  );
  lowerConvolution(
    p,
    convolutionOf(p, reduce, () => means, reduced),
  );
  lowerConvolution(
    p,
    convolutionOf(p, gate, () => reduced, gates),
  );
  const scaledInput = y.n > 1 || y.c * 2 > y.h * y.w;
  if (scaledInput) {
    onPixels(p, 'mul', [value, { ...gates, h: value.h, w: value.w, row: 0, pixel: 0 }], value);
    lowerConvolution(
      p,
      convolutionOf(p, project, () => value, y),
    );
    return;
  }
  const [, weight, bias, residual] = project.inputs as [Node, Node, Node | undefined, Node | undefined];
  const [out, channels] = weight.shape as [number, number];
  const [outStride, inStride] = weightStrides(p, weight) as [number, number];
  productPhase(p, {
    name: 'gemm',
    inner: { loops: [], run: channels },
    columns: out,
    weights(panel) {
      const packed = packPanels(p, weight, out, panel, [{ count: channels, from: inStride }], outStride);
      const columns = paddedChannels(out);
      const scaled = p.scratch(columns * channels * FLOAT);
      const full = Math.floor(columns / panel);
      const kernel = p.kernel(
        'scale panels',
        { inner: channels, panel, narrowPanel: columns % panel },
        (_, shape) => scalePanels(shape),
      );
      p.spread(Math.ceil(columns / panel), (from, to) => {
        const at = from * panel * channels * FLOAT;
        return [
          {
            kernel,
            parameters: [
              packed.plus(at),
              scaled.plus(at),
              gates.at,
              Math.min(to, full) - from,
              to > full ? 1 : 0,
            ],
          },
        ];
      });
      return scaled;
    },
    bias: bias && biasOf(p, bias, out),
    residual: residual && pixelsOf(p, residual),
    activation: project.attrs.activation,
    x: value,
    y,
    inputBytes: value.n * value.image,
  });
}
