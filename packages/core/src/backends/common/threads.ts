/** Numbers of threads. */
import { ShapeError } from '../../errors.js';
import { coreCount } from '../../platform.js';

/** Most threads by default: more do not pay on networks of this size. */
const MAX_DEFAULT_THREADS = 16;

/**
 * Most threads on request, for each core. Threads without a core of their own only wait at barriers, and each takes
 * about 8 MB and 0.1 seconds to start.
 */
const MAX_THREADS_PER_CORE = 4;

/**
 * Returns the number of threads of the CPU back end: by default one for each core, at most 16.
 * @param requested - the option `threads`; up to 16 on any machine, beyond that up to 4 for each core.
 * @throws ShapeError for a request that is no whole number, or out of range.
 */
export function threadCount(requested: unknown): number {
  const cores = coreCount();
  if (requested === undefined) return Math.min(cores, MAX_DEFAULT_THREADS);
  const most = Math.max(MAX_DEFAULT_THREADS, MAX_THREADS_PER_CORE * cores);
  const count = Number(requested);
  if (typeof requested === 'number' && Number.isInteger(count) && count >= 1 && count <= most) return count;
  throw new ShapeError(`The option threads is ${String(requested)}; give a whole number from 1 to ${most}.`);
}
