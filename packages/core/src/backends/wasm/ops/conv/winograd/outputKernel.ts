/** The last step of Winograd's method: the products become pixels, with bias, residual and activation. */
import type { Activation } from '../../../../../ops/activation.js';
import { type Expression, f32x4, i32, type Local, v128 } from '../../../codegen/index.js';
import { defineKernel, FLOAT, type Variant, VECTOR } from '../../../codegen/kernel.js';
import { applyActivation } from '../../pointwise/activationKernel.js';
import { PAIR, product, type Winograd, type WinogradMethod, winograd } from './transforms.js';

/** Everything that is fixed when an output transform is generated. Strides are in bytes. */
export interface WinogradOutput {
  readonly method: WinogradMethod;
  readonly height: number;
  readonly width: number;
  /** Output channels as they are stored. */
  readonly channels: number;
  readonly y: { readonly row: number; readonly pixel: number };
  readonly residual?: { readonly row: number; readonly pixel: number };
  readonly tileColumns: number;
  /** From one product's rows to the next product's: see `productStride`. */
  readonly product: number;
  readonly activation?: Activation;
}

/** Transforms the products back and adds bias, residual and activation. */
export const winogradOutput = defineKernel({
  name: 'winograd output',
  parameters: {
    /** Address of the first tile's products. */
    products: 'address',
    /** Address of the output picture. */
    y: 'address',
    /** Address of the bias. */
    bias: 'address',
    /** Address of the residual's picture. */
    residual: 'address?',
    /** Index of the first tile in the picture. */
    first: 'integer',
    /** Number of tiles. */
    count: 'integer',
  },
  build(f, p, { engine, shape }: Variant<WinogradOutput>) {
    const { height, width, channels, tileColumns, activation } = shape;
    const method: Winograd = winograd[shape.method];
    const { outputs, products: size } = method;
    const tileBytes = channels * FLOAT;
    const [tile, end] = [f.pointer('tile'), f.pointer('end')];
    const [tileRow, tileColumn] = [f.pointer('tile row'), f.pointer('tile column')];
    const [y, residual, bias] = [f.pointer('y'), f.pointer('residual'), f.pointer('bias')];
    const products = f.pointer('products');
    const [rowsLeft, columnsLeft] = [f.pointer('rows left'), f.pointer('columns left')];
    const place = (start: Local<'i32'>, { row, pixel }: { row: number; pixel: number }): Expression<'i32'> =>
      i32.add(start, i32.add(product(outputs * row, tileRow), product(outputs * pixel, tileColumn)));

    const channelPair = (guarded: boolean): void => {
      const loaded = PAIR.map((v) => f.vectors(`loaded ${v}`, size));
      const temporary = PAIR.map((v) => f.vectors(`temporary ${v}`, 4));
      const half = PAIR.map((v) => f.vectors(`half ${v}`, outputs * size));
      for (let column = 0; column < size; column++) {
        for (let i = 0; i < size; i++)
          for (const v of PAIR)
            f.set(loaded[v]![i]!, v128.load(products, (i * size + column) * shape.product + v * VECTOR));
        const results = PAIR.map((v) => method.output(f, engine, loaded[v]!, temporary[v]!));
        for (let i = 0; i < outputs; i++)
          for (const v of PAIR) f.set(half[v]![i * size + column]!, results[v]![i]!);
      }
      const finished = f.vectors('finished', 2);
      for (let i = 0; i < outputs; i++) {
        const results = PAIR.map((v) =>
          method.output(f, engine, half[v]!.slice(i * size, (i + 1) * size), temporary[v]!),
        );
        for (let j = 0; j < outputs; j++) {
          const write = (): void => {
            for (const v of PAIR) {
              const sum = f32x4.add(results[v]![j]!, v128.load(bias, v * VECTOR));
              const { residual: place } = shape;
              f.set(
                finished[v]!,
                place
                  ? f32x4.add(sum, v128.load(residual, i * place.row + j * place.pixel + v * VECTOR))
                  : sum,
              );
            }
            applyActivation(f, engine, activation, finished);
            for (const v of PAIR) f.store(y, finished[v]!, i * shape.y.row + j * shape.y.pixel + v * VECTOR);
          };
          if (guarded) f.when(i32.and(i32.ltS(i, rowsLeft), i32.ltS(j, columnsLeft)), write);
          else write();
        }
      }
    };
    const transform = (guarded: boolean): void =>
      f.repeat(channels / 8, () => {
        channelPair(guarded);
        for (const address of [y, residual, bias, products]) f.advance(address, 2 * VECTOR);
      });
    f.set(tile, p.first);
    f.set(end, i32.add(p.first, p.count));
    f.while(i32.ltS(tile, end), () => {
      f.set(tileRow, i32.divU(tile, tileColumns));
      f.set(tileColumn, i32.sub(tile, product(tileColumns, tileRow)));
      f.set(y, place(p.y, shape.y));
      if (shape.residual) f.set(residual, place(p.residual, shape.residual));
      f.set(bias, p.bias);
      f.set(products, p.products);
      if (height % outputs === 0 && width % outputs === 0) transform(false);
      else {
        f.set(rowsLeft, i32.sub(height, product(outputs, tileRow)));
        f.set(columnsLeft, i32.sub(width, product(outputs, tileColumn)));
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
