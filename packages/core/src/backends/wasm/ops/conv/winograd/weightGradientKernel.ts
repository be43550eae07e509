/**
 * Kernels of Winograd's weight gradient: the transform of dY before the matrix products, and the transform of
 * their sums into the 3x3 windows of dg.
 */
import { type F32x8Local, f32x4, f32x8 } from '../../../codegen/index.js';
import { defineKernel, FLOAT, LANES, type Variant } from '../../../codegen/kernel.js';
import { fourOf, transpose } from '../../../codegen/transpose.js';
import { type TileTransformShape, tileParameters, transformTiles } from './inputKernel.js';
import {
  columnValues,
  HALVES,
  halvesOf,
  tileRegisters,
  transformTile,
  type WinogradMethod,
  winogradAlgorithms,
} from './transforms.js';
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
    const part = f.pointer();
    const registers = tileRegisters(f, size, 3);
    const taps = columnValues(f, 'tap', TAPS);
    /** Sums the parts of one element. */
    const load = (sum: F32x8Local, offset: number): void => {
      f.set(sum, f32x8.load(p.from, offset));
      if (parts === 1) return;
      f.set(part, p.from);
      f.repeat(parts - 1, () => {
        f.advance(part, partStride);
        f.set(sum, f32x8.add(sum, f32x8.load(part, offset)));
      });
    };
    f.repeat(p.channels, () => {
      transformTile(
        f,
        engine,
        transformWeightGradient,
        registers,
        (value, i, j) => load(value, (i * size + j) * elementStride),
        (value, i, j) => f.set(taps[i * 3 + j]!, value),
      );
      for (const v of HALVES) {
        const halfTaps = halvesOf(taps, v);
        const temporary = fourOf((index) => registers.temporary[index]![v]!);
        const halfLanes = Math.min(LANES, lanes - v * LANES);
        const offset = (lane: number): number => (v * LANES + lane) * outputStride;
        for (const first of [0, LANES]) {
          const rows = fourOf((tap) => halfTaps[first + tap]!);
          const columns = transpose(f, rows, temporary);
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
