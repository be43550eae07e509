/** Words at the start of shared memory through which the calling thread and the workers control a run. */

/**
 * Byte addresses of the control words, each in a cache line of 64 bytes to avoid false sharing. They lie
 * before `CONSTANTS_AT`.
 */
export const control = {
  /** Number of threads that have reached a barrier, summed over all barriers of the run. */
  arrived: 0,
  /** Not zero: every thread leaves its command list at once. */
  stop: 64,
  /** Number of the run that was requested last. */
  requested: 128,
  /** Command of that run, see {@link Command}. */
  command: 192,
  /** Number of workers asleep between runs. */
  sleeping: 256,
  /** Number of workers that have finished the current run. */
  finished: 320,
  /** Number of the last run that all workers have finished. */
  completed: 384,
  /** Number of threads asleep in a barrier. */
  waiting: 448,
} as const;

/** Values of `control.command`. */
export const Command = {
  /** Executes the compute phases. */
  run: 1,
  /** Executes the compute phases and writes their times. */
  profile: 2,
  /** Executes the update phases. */
  commit: 3,
  /** Executes the update phases and writes their times. */
  profileCommit: 4,
  /** Ends the worker. */
  end: 5,
} as const;
