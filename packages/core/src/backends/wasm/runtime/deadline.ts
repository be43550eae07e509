/** Ends waits for a worker that never answers, where the platform does not tell that it has died. */

/** Longest wait for a started worker's first answer, in milliseconds; starting takes about 100. */
export const START_MS = 30_000;

/** Longest wait for a worker to end after `terminate`, in milliseconds; browsers can take seconds. */
export const END_MS = 5_000;

/**
 * Longest wait for a run, in milliseconds: a minute plus the time at 0.1 GFLOP/s. For a ResNet-50 that is 140 seconds.
 * The slowest matmul measured in `engineFor` reaches 22 GFLOP/s on one core.
 * @param flops - floating-point operations of the run.
 */
export const runMilliseconds = (flops: number): number => 60_000 + flops / 1e5;

/**
 * Calls `expire` with the reason after a time, unless the returned function is called before. The time is waited for in
 * two halves: after a suspended machine or a blocked event loop, a worker's answer is handled before the second half
 * ends.
 * @param watched - true if the deaths of the workers are noticed, so that there is no deadline.
 */
export function startDeadline(
  milliseconds: number,
  expire: (reason: Error) => void,
  watched = false,
): () => void {
  if (watched) return () => undefined;
  // Timers hold at most 2^31 - 1 milliseconds, 24 days; longer ones expire at once.
  const half = Math.min(milliseconds / 2, 2 ** 31 - 1);
  const reason = `it has not answered for ${Math.ceil(milliseconds / 1000)} seconds`;
  let timer = setTimeout(() => {
    timer = setTimeout(() => expire(new Error(reason)), half);
  }, half);
  return () => clearTimeout(timer);
}
