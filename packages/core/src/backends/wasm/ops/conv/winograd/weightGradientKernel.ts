/**
 * Kernels of Winograd's weight gradient: the transform of dY before the matrix products, and the transform of
 * their sums into the 3x3 windows of dg.
 */
import { f32x4, type Local, VECTOR, v128 } from '../../../codegen/index.js';
import { defineKernel, FLOAT, LANES, type Variant } from '../../../codegen/kernel.js';
import { fourOf, transpose } from '../../../codegen/transpose.js';
import { type TileTransformShape, tileParameters, transformTiles } from './inputKernel.js';
import { HALVES, type WinogradMethod, winogradAlgorithms } from './transforms.js';
import { weightGradientTransforms } from './weightGradientTransforms.js';

/**
 * Computes A dY A^T for tiles of dY, whose image is `x`. The result is [element of the transformed
 * tile][tile][channel].
 */
export const winogradOutputGradient = defineKernel({
  name: 'winograd output gradient',
  parameters: tileParameters,
  build: (f, p, variant: Variant<TileTransformShape>) =>
    transformTiles(f, p, variant, weightGradientTransforms[variant.shape.method]!.transformOutputGradient),
});

/** Everything that is fixed when a transform into windows is generated. Strides are in bytes. */
export interface WeightGradientShape {
  readonly method: WinogradMethod;
  /** Number of partial sums over tiles, which are added first. */
  readonly parts: number;
  /** From one partial sum to the next. */
  readonly partStride: number;
  /** From the sums of one element of the transformed tile to the next. */
  readonly elementStride: number;
  /** From one input channel's sums to the next. */
  readonly channelStride: number;
  /** Number of output channels, up to eight. */
  readonly lanes: number;
  /** From one output channel's windows to the next in the result. */
  readonly outputStride: number;
}

/** Taps of a window. */
const TAPS = 9;

/**
 * Computes G^T S G, the gradient of 3x3 windows, for up to eight output channels. It loops over input
 * channels, so that each output channel's windows are written at rising addresses, in PyTorch's order
 * [output][input][3][3].
 */
export const winogradWeightGradient = defineKernel({
  name: 'winograd gradient',
  parameters: {
    /** Address of the first element's sums at the first input channel. */
    from: 'address',
    /** Address of the first output channel's window at the first input channel. */
    to: 'address',
    /** Number of input channels. */
    channels: 'integer',
  },
  build(f, p, { engine, shape }: Variant<WeightGradientShape>) {
    const { parts, partStride, elementStride, channelStride, lanes, outputStride } = shape;
    const size = winogradAlgorithms[shape.method].transformedTile;
    const { transformWeightGradient } = weightGradientTransforms[shape.method]!;
    const part = f.pointer('part');
    const loaded = HALVES.map((v) => f.vectors(`loaded ${v}`, size));
    const temporary = HALVES.map((v) => f.vectors(`temporary ${v}`, 4));
    const columnsDone = HALVES.map((v) => f.vectors(`columns done ${v}`, 3 * size));
    const taps = HALVES.map((v) => f.vectors(`tap ${v}`, TAPS));
    const load = (to: readonly Local<'v128'>[], offset: number): void => {
      for (const v of HALVES) f.set(to[v]!, v128.load(p.from, offset + v * VECTOR));
      if (parts === 1) return;
      f.set(part, p.from);
      f.repeat(parts - 1, () => {
        f.advance(part, partStride);
        for (const v of HALVES) f.set(to[v]!, f32x4.add(to[v]!, v128.load(part, offset + v * VECTOR)));
      });
    };
    f.repeat(p.channels, () => {
      for (let j = 0; j < size; j++) {
        for (let i = 0; i < size; i++)
          load(
            HALVES.map((v) => loaded[v]![i]!),
            (i * size + j) * elementStride,
          );
        const results = HALVES.map((v) => transformWeightGradient(f, engine, loaded[v]!, temporary[v]!));
        for (let i = 0; i < 3; i++)
          for (const v of HALVES) f.set(columnsDone[v]![i * size + j]!, results[v]![i]!);
      }
      for (let i = 0; i < 3; i++) {
        const results = HALVES.map((v) =>
          transformWeightGradient(f, engine, columnsDone[v]!.slice(i * size, (i + 1) * size), temporary[v]!),
        );
        for (let j = 0; j < 3; j++) for (const v of HALVES) f.set(taps[v]![i * 3 + j]!, results[v]![j]!);
      }
      for (const v of HALVES) {
        const halfTaps = taps[v]!;
        const halfLanes = Math.min(LANES, lanes - v * LANES);
        const offset = (lane: number): number => (v * LANES + lane) * outputStride;
        for (const first of [0, LANES]) {
          const rows = fourOf((tap) => halfTaps[first + tap]!);
          const columns = transpose(f, rows, temporary[v]!);
          for (let lane = 0; lane < halfLanes; lane++)
            f.store(p.to, columns[lane]!, offset(lane) + first * FLOAT);
        }
        for (let lane = 0; lane < halfLanes; lane++)
          f.storeF32(p.to, f32x4.lane(halfTaps[TAPS - 1]!, lane), offset(lane) + (TAPS - 1) * FLOAT);
      }
      f.advance(p.from, channelStride);
      f.advance(p.to, TAPS * FLOAT);
    });
  },
});
