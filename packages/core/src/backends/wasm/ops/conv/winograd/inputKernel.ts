/**
 * The first step of Winograd's method: tiles of the input become a row for each of the matrix products. For the
 * gradient of the weights, tiles of the output's gradient do so too.
 */
import { type FunctionBuilder, f32x4, i32, type V128, v128 } from '../../../codegen/index.js';
import {
  CHANNEL_BLOCK,
  defineKernel,
  FLOAT,
  type LocalsOf,
  type Variant,
  VECTOR,
} from '../../../codegen/kernel.js';
import { PAIR, product, type Transform, type Winograd, type WinogradMethod, winograd } from './transforms.js';

/** Everything that is fixed when an input transform is generated. Strides are in bytes. */
export interface WinogradInput {
  readonly method: WinogradMethod;
  /** Which tiles: those of the input, which overlap, or those of the output's gradient, which do not. */
  readonly of: 'inputs' | 'outputs';
  readonly height: number;
  readonly width: number;
  /** Channels as they are stored. */
  readonly channels: number;
  /** Rows of padding above, columns of padding on the left. */
  readonly top: number;
  readonly left: number;
  readonly row: number;
  readonly pixel: number;
  /** Tiles in a row of tiles. */
  readonly tileColumns: number;
  /** From one product's rows to the next product's: see `productStride`. */
  readonly product: number;
  /** From one tile's row to the next. */
  readonly tile: number;
  /** If rows are cut into panels: the channels of one, of which there is a whole number, and bytes from one to the next. */
  readonly panel?: { readonly channels: number; readonly bytes: number };
}

/** Pixels that a tile has in each direction. */
const tileSize = ({ method, of }: Pick<WinogradInput, 'method' | 'of'>): number => winograd[method][of];

/** Bytes of scratch that an input transform wants: one tile with its border of zeros. */
export const winogradScratch = (shape: Pick<WinogradInput, 'method' | 'of' | 'channels'>): number =>
  tileSize(shape) ** 2 * shape.channels * FLOAT;

/** Parameters of a transform of tiles. */
export const tileParameters = {
  /** Address of the picture. */
  x: 'address',
  /** Address of the first tile's result. */
  result: 'address',
  /** Address of the thread's scratch, of `winogradScratch` bytes. */
  scratch: 'address',
  /** Index of the first tile in the picture. */
  first: 'integer',
  /** Number of tiles. */
  count: 'integer',
} as const;

/** Transforms the input: [product][tile][channel]. */
export const winogradInput = defineKernel({
  name: 'winograd input',
  parameters: tileParameters,
  build: (f, p, variant: Variant<WinogradInput>) =>
    transformTiles(f, p, variant, winograd[variant.shape.method].input),
});

/**
 * Transforms tiles along each direction. Tiles at the edge are copied into a tile of zeros first.
 * @param transformed - done along each direction.
 */
export function transformTiles(
  f: FunctionBuilder,
  p: LocalsOf<typeof tileParameters>,
  { engine, shape }: Variant<WinogradInput>,
  transformed: Transform,
): void {
  const { height, width, channels, top, left, row, pixel, tileColumns, panel } = shape;
  const method: Winograd = winograd[shape.method];
  const results = method.products;
  const size = tileSize(shape);
  const step = shape.of === 'inputs' ? method.step : size;
  const tileBytes = channels * FLOAT;
  const tile = f.pointer('tile');
  const [y, x] = [f.pointer('y'), f.pointer('x')];
  const [base, rowStep] = [f.pointer('base'), f.pointer('row step')];
  const result = f.pointer('result');
  const end = f.pointer('end');
  const rows = Array.from({ length: size }, (_, index) => f.pointer(`row ${index}`));

  const channelPair = (pixelBytes: number): void => {
    const loaded = PAIR.map((v) => f.vectors(`loaded ${v}`, size));
    const temporary = PAIR.map((v) => f.vectors(`temporary ${v}`, 4));
    const half = PAIR.map((v) => f.vectors(`half ${v}`, results * size));
    for (let column = 0; column < size; column++) {
      for (let i = 0; i < size; i++)
        for (const v of PAIR) f.set(loaded[v]![i]!, v128.load(rows[i]!, column * pixelBytes + v * VECTOR));
      const filtered = PAIR.map((v) => transformed(f, engine, loaded[v]!, temporary[v]!));
      for (let i = 0; i < results; i++)
        for (const v of PAIR) f.set(half[v]![i * size + column]!, filtered[v]![i]!);
    }
    for (let i = 0; i < results; i++) {
      const finished = PAIR.map((v) =>
        transformed(f, engine, half[v]!.slice(i * size, (i + 1) * size), temporary[v]!),
      );
      for (let j = 0; j < results; j++)
        for (const v of PAIR)
          f.store(result, finished[v]![j]!, (i * results + j) * shape.product + v * VECTOR);
    }
  };
  const transform = (pixelBytes: number): void => {
    for (const [index, address] of rows.entries()) f.set(address, i32.add(base, product(index, rowStep)));
    f.set(result, p.result);
    const run = (count: number): void =>
      f.repeat(count / CHANNEL_BLOCK, () => {
        channelPair(pixelBytes);
        for (const address of [...rows, result]) f.advance(address, 2 * VECTOR);
      });
    if (!panel) run(channels);
    else
      f.repeat(channels / panel.channels, () => {
        run(panel.channels);
        f.advance(result, panel.bytes - panel.channels * FLOAT);
      });
  };
  /**
   * Copies what exists of the tile into the scratch, with zeros for the rest, a pair of vectors at a time:
   * the engine's own `memory.copy` and `memory.fill` cost ten times that for so few bytes.
   */
  const copyToScratch = (): void => {
    const [i, j] = [f.pointer('i'), f.pointer('j')];
    const [from, to] = [f.pointer('from'), f.pointer('to')];
    const pixelOf = (value: (v: number) => V128): void =>
      f.repeat(channels / 8, () => {
        for (const v of PAIR) f.store(to, value(v), v * VECTOR);
        f.advance(from, 2 * VECTOR);
        f.advance(to, 2 * VECTOR);
      });
    f.set(to, p.scratch);
    f.set(i, 0);
    f.repeat(size, () => {
      f.set(j, 0);
      f.repeat(size, () => {
        const [row, column] = [i32.add(y, i), i32.add(x, j)];
        f.when(
          i32.and(i32.ltU(row, height), i32.ltU(column, width)),
          () => {
            f.set(from, i32.add(p.x, i32.add(product(shape.row, row), product(pixel, column))));
            pixelOf((v) => v128.load(from, v * VECTOR));
          },
          () => pixelOf(() => f32x4.const(0)),
        );
        f.advance(j, 1);
      });
      f.advance(i, 1);
    });
  };
  f.set(tile, p.first);
  f.set(end, i32.add(p.first, p.count));
  f.while(i32.ltS(tile, end), () => {
    f.set(y, i32.divU(tile, tileColumns));
    f.set(x, i32.sub(product(step, i32.sub(tile, product(tileColumns, y))), left));
    f.set(y, i32.sub(product(step, y), top));
    const inside = i32.and(
      i32.and(i32.geS(y, 0), i32.geS(x, 0)),
      i32.and(i32.ltS(y, height - size + 1), i32.ltS(x, width - size + 1)),
    );
    f.when(
      inside,
      () => {
        f.set(base, i32.add(p.x, i32.add(product(row, y), product(pixel, x))));
        f.set(rowStep, row);
        transform(pixel);
      },
      () => {
        copyToScratch();
        f.set(base, p.scratch);
        f.set(rowStep, size * tileBytes);
        transform(tileBytes);
      },
    );
    f.advance(p.result, shape.tile);
    f.advance(tile, 1);
  });
}
