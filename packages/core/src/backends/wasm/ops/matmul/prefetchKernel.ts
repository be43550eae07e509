/**
 * Prefetch by store. WebAssembly has no prefetch instruction, and a load that misses the caches keeps every later
 * instruction from retiring until its value arrives. A store does not: it waits in the store buffer while the cache
 * line is fetched. So the kernel stores one byte to each cache line of the next panel of weights: the first byte of
 * the line, unchanged, whose value a table holds. Other threads may read the line at the same time, since nothing
 * changes.
 */
import { type FunctionBuilder, type I32, i32, type Local } from '../../codegen/index.js';
import { CACHE_LINE } from '../../codegen/kernel.js';

/** Fills the prefetch table with the first byte of each cache line of the weights. */
export function fillFirstBytes(firstBytes: Uint8Array, weights: Uint8Array): void {
  for (let line = 0; line < firstBytes.length; line++) firstBytes[line] = weights[line * CACHE_LINE]!;
}

/** Emits the code that prefetches the next panel of weights while the current one is used. */
export interface Prefetcher {
  /** Begins to prefetch the panel after `panel`. `bytes` is the size of a panel, a multiple of a cache line. */
  readonly beginPanel: (panel: Local<'i32'>, bytes: number) => void;
  /** Prefetches the next `lines` cache lines; after the end of the panel, its last line again. */
  readonly prefetch: (lines: number) => void;
}

/**
 * Makes a prefetcher for one call of a kernel.
 * @param first - address of the weights of the call, at the start of a cache line.
 * @param lastLine - address of the last cache line that may be written: other threads' weights follow it.
 * @param firstBytes - address of the table, from the line of `first` on; the code changes this variable.
 */
export function prefetcher(
  f: FunctionBuilder,
  first: Local<'i32'>,
  lastLine: Local<'i32'>,
  firstBytes: Local<'i32'>,
): Prefetcher {
  const [next, end] = [f.pointer(), f.pointer()];
  const lineIndex = (address: I32) => i32.shrU(address, Math.log2(CACHE_LINE));
  const minimum = (limit: Local<'i32'>, address: I32) => i32.select(address, limit, i32.ltU(address, limit));
  // Moved back to the entry that address zero would have, so that the line index of any address is an offset from it.
  f.set(firstBytes, i32.sub(firstBytes, lineIndex(first)));
  return {
    beginPanel(panel, bytes) {
      f.set(next, minimum(lastLine, i32.add(panel, bytes)));
      f.set(end, minimum(lastLine, i32.add(panel, 2 * bytes - CACHE_LINE)));
    },
    prefetch(lines) {
      for (let i = 0; i < lines; i++) {
        f.storeByte(next, i32.load8(i32.add(firstBytes, lineIndex(next))));
        f.set(next, minimum(end, i32.add(next, CACHE_LINE)));
      }
    },
  };
}
