/**
 * Loops and reductions over the channels of one pixel, for kernels that combine channels: softmax, losses, norms.
 */
import { type FunctionBuilder, f32x4, i32x4, type Local, type V128, VECTOR, v128 } from './index.js';
import { LANES } from './kernel.js';

/**
 * Runs `body` for each vector of a pixel and advances the addresses after each full vector.
 * @param body - receives the number of lanes that hold channels: fewer than four in a partial last vector.
 */
export function forEachVector(
  f: FunctionBuilder,
  channels: number,
  addresses: readonly Local<'i32'>[],
  body: (lanes: number) => void,
): void {
  f.repeat(Math.floor(channels / LANES), () => {
    body(LANES);
    for (const address of addresses) f.advance(address, VECTOR);
  });
  if (channels % LANES > 0) body(channels % LANES);
}

/** Vectors in a partial sum of `sumChannels`. */
const PARTIAL_VECTORS = 16;

/**
 * Sums a value over the channels of a pixel, into all lanes of `sum`. Partial sums of 64 channels are added up, so
 * that sums over many channels keep their digits.
 */
export function sumChannels(
  f: FunctionBuilder,
  channels: number,
  addresses: readonly Local<'i32'>[],
  sum: Local<'v128'>,
  value: () => V128,
): void {
  const zero = f32x4.const(0);
  const [partial] = f.pool('partial sum', 1);
  const addPartialSum = (count: number): void => {
    f.set(partial, zero);
    forEachVector(f, count, addresses, (lanes) =>
      f.set(partial, f32x4.add(partial, selectFirstLanes(value(), lanes, zero))),
    );
    f.set(sum, f32x4.add(sum, partial));
  };
  const step = PARTIAL_VECTORS * LANES;
  f.set(sum, zero);
  f.repeat(Math.floor(channels / step), () => addPartialSum(step));
  if (channels % step > 0) addPartialSum(channels % step);
  reduceLanes(f, sum, f32x4.add);
}

/** The first `lanes` lanes of `value`, and the lanes of `other` after them. */
export function selectFirstLanes(value: V128, lanes: number, other: V128): V128 {
  if (lanes === LANES) return value;
  return v128.select(value, other, i32x4.lanes(...[0, 1, 2, 3].map((lane) => (lane < lanes ? -1 : 0))));
}

/** Combines the four lanes into one value and writes it to all of them. */
export function reduceLanes(
  f: FunctionBuilder,
  value: Local<'v128'>,
  combine: (a: V128, b: V128) => V128,
): void {
  const lane = (index: number) => f32x4.splat(f32x4.lane(value, index));
  f.set(value, combine(combine(lane(0), lane(1)), combine(lane(2), lane(3))));
}
