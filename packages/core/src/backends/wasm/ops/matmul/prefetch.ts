/** Decides which matrix products prefetch their weights, and makes the table that prefetching by store needs. */
import type { Engine } from '../../codegen/engine.js';
import { CACHE_LINE, FLOAT } from '../../codegen/kernel.js';
import type { Pointer } from '../../memory/region.js';
import type { LoweringContext } from '../../schedule/context.js';
import { iterationsOf, type MatmulShape } from './matmulKernel.js';
import { fillFirstBytes } from './prefetchKernel.js';

/** Weights of more bytes than this do not stay in cache from one use to the next: they stream from memory. */
export const STREAMED_WEIGHT_BYTES = 512 * 1024;

/** Minimum number of tiles per panel: with fewer, compute cannot hide the latency of fetching the next panel. */
const MIN_TILES = 3;

/**
 * True if products of `tiles` tiles per panel prefetch their weights, provided these stream from memory and are
 * constant. Engines that do not unroll the K loop have too many iterations for it: ResNet-18 took 20 % longer in
 * Node 20.
 */
export const shouldPrefetch = ({ unroll }: Engine, tiles: number): boolean =>
  unroll > 1 && tiles >= MIN_TILES;

/** Cache lines of the next panel that each iteration of the innermost loop prefetches; 0 to prefetch none. */
export function prefetchLinesPerIteration(
  engine: Engine,
  product: Pick<MatmulShape, 'inner' | 'panel'>,
  tiles: number,
): number {
  const { iterations, size } = iterationsOf(engine, product);
  const lines = (size * product.panel * FLOAT) / CACHE_LINE;
  const prefetches = shouldPrefetch(engine, tiles) && iterations > 0 && Number.isInteger(lines);
  return prefetches ? Math.ceil(lines / (tiles * iterations)) : 0;
}

/** Returns the prefetch arguments of a call that uses the weights from byte `from` up to byte `to`. */
export type PrefetchArguments = (
  from: number,
  to: number,
) => { readonly lastLine: Pointer; readonly firstBytes: Pointer };

/** Adds the table of the first bytes of all cache lines of packed weights. */
export function planPrefetch(p: LoweringContext, weights: Pointer, bytes: number): PrefetchArguments {
  const lines = Math.floor(bytes / CACHE_LINE);
  const table = p.addConstant(Math.ceil(lines / FLOAT), ({ buffer, byteOffset }) =>
    fillFirstBytes(new Uint8Array(buffer, byteOffset, lines), new Uint8Array(buffer, weights.address, bytes)),
  );
  return (from, to) => ({
    lastLine: weights.plus((Math.floor(to / CACHE_LINE) - 1) * CACHE_LINE),
    firstBytes: table.plus(from / CACHE_LINE),
  });
}
