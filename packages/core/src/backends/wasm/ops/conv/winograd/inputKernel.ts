/**
 * Input transform of a Winograd convolution: each tile becomes one row of A of each of the matrix products.
 * The weight gradient transforms tiles of dY with the same code.
 */
import { type F32x8, type FunctionBuilder, f32x4, f32x8, i32, type Local } from '../../../codegen/index.js';
import {
  BLOCK_BYTES,
  CHANNEL_BLOCK,
  defineKernel,
  FLOAT,
  type LocalsOf,
  type Variant,
} from '../../../codegen/kernel.js';
import {
  scaleIndex,
  type Transform,
  tileRegisters,
  transformTile,
  type WinogradAlgorithm,
  type WinogradMethod,
  winogradAlgorithms,
} from './transforms.js';

/** Everything that is fixed when a transform of tiles is generated. Strides are in bytes. */
export interface TileTransformShape {
  readonly method: WinogradMethod;
  /**
   * The tiles: those of the input, which may overlap, or those of the output or its gradient, which do not.
   */
  readonly side: 'input' | 'output';
  /** Extents of the image, in pixels. */
  readonly height: number;
  readonly width: number;
  /** Channels including their padding: a multiple of eight. */
  readonly channels: number;
  /** Rows of padding above, columns of padding on the left. */
  readonly top: number;
  readonly left: number;
  readonly rowStride: number;
  readonly pixelStride: number;
  /** Tiles in a row of tiles. */
  readonly tileColumns: number;
  /** From the matrix of one element of the transformed tile to the next. */
  readonly elementStride: number;
  /** From one tile's row of a matrix to the next. */
  readonly tileStride: number;
  /**
   * If rows are packed in panels: channels of a panel, which divide `channels`, and bytes from one panel to
   * the next.
   */
  readonly panel?: { readonly channels: number; readonly bytes: number };
}

/** Side of a tile before its transform, in pixels. */
const tileExtent = ({ method, side }: Pick<TileTransformShape, 'method' | 'side'>): number =>
  winogradAlgorithms[method][side === 'input' ? 'inputTile' : 'outputTile'];

/**
 * Bytes of workspace that a transform of tiles needs for each thread: one tile, for tiles that overlap
 * an edge.
 */
export const tileWorkspaceBytes = (shape: Pick<TileTransformShape, 'method' | 'side' | 'channels'>): number =>
  tileExtent(shape) ** 2 * shape.channels * FLOAT;

/** Parameters of a transform of tiles. */
export const tileParameters = {
  /** Address of the image. */
  x: 'address',
  /** Address of the first tile's row in the matrix of the first element. */
  result: 'address',
  /** Address of the thread's workspace of `tileWorkspaceBytes`. */
  workspace: 'address',
  /** Index of the first tile in the image. */
  first: 'integer',
  /** Number of tiles. */
  count: 'integer',
} as const;

/**
 * Computes B^T d B for tiles of the input. The result is [element of the transformed tile][tile][channel].
 */
export const winogradInput = defineKernel({
  name: 'winograd input',
  parameters: tileParameters,
  build: (f, p, variant: Variant<TileTransformShape>) =>
    transformTiles(f, p, variant, winogradAlgorithms[variant.shape.method].transformInput),
});

/**
 * Copies the part of a tile inside the image into the workspace and sets the rest to zero, eight floats at a time: for
 * so few bytes, WebAssembly's `memory.copy` and `memory.fill` take ten times as long.
 * @param y - row of the tile's first pixel, which may lie outside of the image.
 * @param x - its column.
 */
function copyToWorkspace(
  f: FunctionBuilder,
  p: LocalsOf<typeof tileParameters>,
  shape: TileTransformShape,
  y: Local<'i32'>,
  x: Local<'i32'>,
): void {
  const { height, width, channels, rowStride, pixelStride } = shape;
  const size = tileExtent(shape);
  const [i, j] = [f.pointer(), f.pointer()];
  const [from, to] = [f.pointer(), f.pointer()];
  const writePixel = (value: F32x8): void =>
    f.repeat(channels / CHANNEL_BLOCK, () => {
      f.storeHalves(to, value);
      f.advance(from, BLOCK_BYTES);
      f.advance(to, BLOCK_BYTES);
    });
  f.set(to, p.workspace);
  f.set(i, 0);
  f.repeat(size, () => {
    f.set(j, 0);
    f.repeat(size, () => {
      const [row, column] = [i32.add(y, i), i32.add(x, j)];
      f.when(
        i32.and(i32.ltU(row, height), i32.ltU(column, width)),
        () => {
          f.set(from, i32.add(p.x, i32.add(scaleIndex(rowStride, row), scaleIndex(pixelStride, column))));
          writePixel(f32x8.load(from));
        },
        () => writePixel([f32x4.const(0), f32x4.const(0)]),
      );
      f.advance(j, 1);
    });
    f.advance(i, 1);
  });
}

/**
 * Transforms all columns of each tile, then all rows. Tiles that overlap an edge are first copied into the
 * workspace, with zeros outside of the image.
 * @param transformColumn - the one-dimensional transform.
 */
export function transformTiles(
  f: FunctionBuilder,
  p: LocalsOf<typeof tileParameters>,
  { engine, shape }: Variant<TileTransformShape>,
  transformColumn: Transform,
): void {
  const { height, width, channels, top, left, rowStride, pixelStride, tileColumns, panel } = shape;
  const algorithm: WinogradAlgorithm = winogradAlgorithms[shape.method];
  const results = algorithm.transformedTile;
  const size = tileExtent(shape);
  const step = shape.side === 'input' ? algorithm.inputStep : size;
  const tileBytes = channels * FLOAT;
  const tile = f.pointer();
  const [y, x] = [f.pointer(), f.pointer()];
  const [source, sourceRowStride] = [f.pointer(), f.pointer()];
  const result = f.pointer();
  const end = f.pointer();
  const rows = Array.from({ length: size }, () => f.pointer());

  const channelBlock = (pixelBytes: number): void =>
    transformTile(
      f,
      engine,
      transformColumn,
      tileRegisters(f, size, results),
      (value, i, j) => f.set(value, f32x8.load(rows[i]!, j * pixelBytes)),
      (value, i, j) => f.storeHalves(result, value, (i * results + j) * shape.elementStride),
    );
  const transform = (pixelBytes: number): void => {
    for (const [index, address] of rows.entries())
      f.set(address, i32.add(source, scaleIndex(index, sourceRowStride)));
    f.set(result, p.result);
    const transformChannels = (count: number): void =>
      f.repeat(count / CHANNEL_BLOCK, () => {
        channelBlock(pixelBytes);
        for (const address of [...rows, result]) f.advance(address, BLOCK_BYTES);
      });
    if (!panel) transformChannels(channels);
    else
      f.repeat(channels / panel.channels, () => {
        transformChannels(panel.channels);
        f.advance(result, panel.bytes - panel.channels * FLOAT);
      });
  };
  f.set(tile, p.first);
  f.set(end, i32.add(p.first, p.count));
  f.while(i32.ltS(tile, end), () => {
    f.set(y, i32.divU(tile, tileColumns));
    f.set(x, i32.sub(scaleIndex(step, i32.sub(tile, scaleIndex(tileColumns, y))), left));
    f.set(y, i32.sub(scaleIndex(step, y), top));
    const inside = i32.and(
      i32.and(i32.geS(y, 0), i32.geS(x, 0)),
      i32.and(i32.ltS(y, height - size + 1), i32.ltS(x, width - size + 1)),
    );
    f.when(
      inside,
      () => {
        f.set(source, i32.add(p.x, i32.add(scaleIndex(rowStride, y), scaleIndex(pixelStride, x))));
        f.set(sourceRowStride, rowStride);
        transform(pixelStride);
      },
      () => {
        copyToWorkspace(f, p, shape, y, x);
        f.set(source, p.workspace);
        f.set(sourceRowStride, size * tileBytes);
        transform(tileBytes);
      },
    );
    f.advance(p.result, shape.tileStride);
    f.advance(tile, 1);
  });
}
