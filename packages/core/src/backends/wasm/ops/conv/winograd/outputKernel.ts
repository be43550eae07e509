/**
 * Output transform of a Winograd convolution: A^T M A for the matrix products M of each tile, with bias,
 * residual and activation.
 */
import type { Activation } from '../../../../../ops/activation.js';
import { type Expression, f32x8, i32, type Local } from '../../../codegen/index.js';
import { BLOCK_BYTES, CHANNEL_BLOCK, defineKernel, FLOAT, type Variant } from '../../../codegen/kernel.js';
import { applyActivation } from '../../pointwise/activationKernel.js';
import {
  scaleIndex,
  tileRegisters,
  transformTile,
  type WinogradAlgorithm,
  type WinogradMethod,
  winogradAlgorithms,
} from './transforms.js';

/** Strides of an image, in bytes. */
interface ImageStrides {
  readonly row: number;
  readonly pixel: number;
}

/** Everything that is fixed when an output transform is generated. Strides are in bytes. */
export interface OutputTransformShape {
  readonly method: WinogradMethod;
  /** Extents of the output image, in pixels. */
  readonly height: number;
  readonly width: number;
  /** Output channels including their padding: a multiple of eight. */
  readonly channels: number;
  readonly y: ImageStrides;
  readonly residual?: ImageStrides;
  /** Tiles in a row of tiles. */
  readonly tileColumns: number;
  /** From the matrix of one element of the transformed tile to the next. */
  readonly elementStride: number;
  readonly activation?: Activation;
}

/** Writes pixels from [element of the transformed tile][tile][channel]. */
export const winogradOutput = defineKernel({
  name: 'winograd output',
  parameters: {
    /** Address of the first tile's row in the matrix of the first element. */
    products: 'address',
    /** Address of the output image. */
    y: 'address',
    /** Address of the bias. */
    bias: 'address',
    /** Address of the residual's image. */
    residual: 'address?',
    /** Index of the first tile in the image. */
    first: 'integer',
    /** Number of tiles. */
    count: 'integer',
  },
  build(f, p, { engine, shape }: Variant<OutputTransformShape>) {
    const { height, width, channels, tileColumns, activation } = shape;
    const algorithm: WinogradAlgorithm = winogradAlgorithms[shape.method];
    const { outputTile: outputs, transformedTile: size } = algorithm;
    const tileBytes = channels * FLOAT;
    const [tile, end] = [f.pointer(), f.pointer()];
    const [tileRow, tileColumn] = [f.pointer(), f.pointer()];
    const [y, residual, bias] = [f.pointer(), f.pointer(), f.pointer()];
    const products = f.pointer();
    const [rowsLeft, columnsLeft] = [f.pointer(), f.pointer()];
    /** Address of the tile's first pixel. */
    const tileAddress = (image: Local<'i32'>, { row, pixel }: ImageStrides): Expression<'i32'> =>
      i32.add(image, i32.add(scaleIndex(outputs * row, tileRow), scaleIndex(outputs * pixel, tileColumn)));

    /**
     * @param guarded - true if some of the tile's pixels may lie outside of the image and are not written.
     */
    const channelBlock = (guarded: boolean): void => {
      const registers = tileRegisters(f, size, outputs);
      const finished = f.pool('finished', 2);
      transformTile(
        f,
        engine,
        algorithm.transformOutput,
        registers,
        (value, i, j) => f.set(value, f32x8.load(products, (i * size + j) * shape.elementStride)),
        (value, i, j) => {
          const write = (): void => {
            const sum = f32x8.add(value, f32x8.load(bias));
            const { residual: stride } = shape;
            f.set(
              finished,
              stride ? f32x8.add(sum, f32x8.load(residual, i * stride.row + j * stride.pixel)) : sum,
            );
            applyActivation(f, engine, activation, finished);
            f.store(y, finished, i * shape.y.row + j * shape.y.pixel);
          };
          if (guarded) f.when(i32.and(i32.ltS(i, rowsLeft), i32.ltS(j, columnsLeft)), write);
          else write();
        },
      );
    };
    const transform = (guarded: boolean): void =>
      f.repeat(channels / CHANNEL_BLOCK, () => {
        channelBlock(guarded);
        for (const address of [y, residual, bias, products]) f.advance(address, BLOCK_BYTES);
      });
    f.set(tile, p.first);
    f.set(end, i32.add(p.first, p.count));
    f.while(i32.ltS(tile, end), () => {
      f.set(tileRow, i32.divU(tile, tileColumns));
      f.set(tileColumn, i32.sub(tile, scaleIndex(tileColumns, tileRow)));
      f.set(y, tileAddress(p.y, shape.y));
      if (shape.residual) f.set(residual, tileAddress(p.residual, shape.residual));
      f.set(bias, p.bias);
      f.set(products, p.products);
      if (height % outputs === 0 && width % outputs === 0) transform(false);
      else {
        f.set(rowsLeft, i32.sub(height, scaleIndex(outputs, tileRow)));
        f.set(columnsLeft, i32.sub(width, scaleIndex(outputs, tileColumn)));
        f.when(
          i32.and(i32.geS(rowsLeft, outputs), i32.geS(columnsLeft, outputs)),
          () => transform(false),
          () => transform(true),
        );
      }
      f.advance(p.products, tileBytes);
      f.advance(tile, 1);
    });
  },
});
