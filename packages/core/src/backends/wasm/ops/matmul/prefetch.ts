/** Which products ask for their weights ahead, and the table that this takes. */
import type { Engine } from '../../codegen/engine.js';
import { CACHE_LINE, FLOAT } from '../../codegen/kernel.js';
import type { Pointer } from '../../memory/region.js';
import type { Planner } from '../../schedule/planner.js';
import { type MatrixProduct, turnsOf } from './matmulKernel.js';
import { fillTable } from './prefetchKernel.js';

/** Weights above this stay in no cache while pixels pass: they come from memory. */
export const LARGE_WEIGHTS = 512 * 1024;

/** A panel needs so many tiles of pixels: else there is less to compute than what memory takes to bring the next one. */
const LEAST_TILES = 3;

/**
 * Whether products of so many tiles ask for weights, if these come from memory and never change. Engines that do not
 * unroll the innermost loop have too many turns for it: ResNet-18 took 20 % longer in Node 20.
 */
export const asksAhead = ({ unroll }: Engine, tiles: number): boolean => unroll > 1 && tiles >= LEAST_TILES;

/** How many cache lines of the next panel each turn of a product's innermost loop asks for; 0 where it does not. */
export function linesAhead(
  engine: Engine,
  product: Pick<MatrixProduct, 'inner' | 'panel'>,
  tiles: number,
): number {
  const { turns, size } = turnsOf(engine, product);
  const lines = (size * product.panel * FLOAT) / CACHE_LINE;
  const asks = asksAhead(engine, tiles) && turns > 0 && Number.isInteger(lines);
  return asks ? Math.ceil(lines / (tiles * turns)) : 0;
}

/** Gives the arguments of a matrix product that works with the weights between two offsets, in bytes. */
export type Asking = (from: number, to: number) => { readonly last: Pointer; readonly table: Pointer };

/** Keeps the table of packed weights beside them. */
export function askAhead(p: Planner, weights: Pointer, bytes: number): Asking {
  const lines = Math.floor(bytes / CACHE_LINE);
  const table = p.keep(Math.ceil(lines / FLOAT), ({ buffer, byteOffset }) =>
    fillTable(new Uint8Array(buffer, byteOffset, lines), new Uint8Array(buffer, weights.address, bytes)),
  );
  return (from, to) => ({
    last: weights.plus((Math.floor(to / CACHE_LINE) - 1) * CACHE_LINE),
    table: table.plus(from / CACHE_LINE),
  });
}
