/**
 * Weights that come from memory, asked for before they are needed. WebAssembly has no instruction for that, and
 * a load that misses the caches lets nothing behind it retire until its value is there. A store does not: it waits
 * in a buffer of its own while the line is brought. So a byte of each cache line is stored, namely the one that is
 * there already, which a table knows. It changes nothing, whoever reads the line meanwhile.
 */
import { type FunctionBuilder, type I32, i32, type Local } from '../../codegen/index.js';
import { CACHE_LINE } from '../../codegen/kernel.js';

/** The table of a stretch of weights: the first byte of each of its cache lines. */
export function fillTable(table: Uint8Array, weights: Uint8Array): void {
  for (let line = 0; line < table.length; line++) table[line] = weights[line * CACHE_LINE]!;
}

/** Writes the code that asks for a panel of weights while the one before it is worked with. */
export interface Prefetcher {
  /** From now on the panel behind this one is asked for. Its size is a multiple of a cache line. */
  readonly begin: (panel: Local<'i32'>, bytes: number) => void;
  /** Asks for the next cache lines; at the end of the panel for its last one again. */
  readonly ask: (lines: number) => void;
}

/**
 * @param first where the weights are that a call works with, at the start of a cache line
 * @param last the last cache line that may be asked for: other threads' weights lie behind it
 * @param table the bytes of `first` and what follows; it is used up
 */
export function prefetcher(
  f: FunctionBuilder,
  first: Local<'i32'>,
  last: Local<'i32'>,
  table: Local<'i32'>,
): Prefetcher {
  const [next, end] = [f.pointer('prefetch'), f.pointer('prefetch end')];
  const line = (address: I32) => i32.shrU(address, Math.log2(CACHE_LINE));
  const atMost = (limit: Local<'i32'>, address: I32) => i32.select(address, limit, i32.ltU(address, limit));
  // From here on it is where the byte of address zero would be.
  f.set(table, i32.sub(table, line(first)));
  return {
    begin(panel, bytes) {
      f.set(next, atMost(last, i32.add(panel, bytes)));
      f.set(end, atMost(last, i32.add(panel, 2 * bytes - CACHE_LINE)));
    },
    ask(lines) {
      for (let i = 0; i < lines; i++) {
        f.storeByte(next, i32.load8(i32.add(table, line(next))));
        f.set(next, atMost(end, i32.add(next, CACHE_LINE)));
      }
    },
  };
}
