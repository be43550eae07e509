/**
 * The part of a measured program that Node and pages share: load the peer, run once, then run blocks on
 * request.
 */
import type { Answer, BlockRequest, Effort, Job, Started } from '../messages.js';
import { type Peer, type ReadFile, Unsupported, type Workload } from '../peer.js';

/** Requests that a measured program answers. */
export interface Runner {
  start(job: Job): Promise<Answer<Started>>;
  block(request: BlockRequest): Promise<Answer<readonly number[]>>;
}

/** Platform services of a runner. */
export interface PlatformServices {
  /** Creates the function that reads the job's files. */
  readerFor(job: Job): ReadFile;
  /** Peak memory so far, in MB; 0 if the platform does not report it. */
  peakMemory(): number;
  /** Number of GPU kernels compiled so far. */
  kernels(): number;
}

/** Creates the runner of a peer. */
export function createRunner(peer: Peer, { readerFor, peakMemory, kernels }: PlatformServices): Runner {
  let workload: Workload | undefined;
  return {
    start: (job) =>
      answer(async () => {
        const begun = performance.now();
        workload = await peer.load(job, readerFor(job));
        const output = [...(await workload.run())];
        const now = performance.now();
        for (let run = 1; run < (job.compared ?? 1); run++) output.push(...(await workload.run()));
        return {
          output,
          threads: workload.threads,
          notes: workload.notes,
          time: performance.timeOrigin + now,
          firstResult: now - begun,
          ...(workload.inMemory === undefined ? {} : { compile: now - workload.inMemory }),
          kernels: kernels(),
          peakMemory: peakMemory(),
        };
      }),
    block: ({ warmUp, timed }) =>
      answer(async () => {
        if (!workload) throw new Error('A block was requested before start.');
        await repeat(workload, warmUp);
        return repeat(workload, timed);
      }),
  };
}

/** Runs the workload repeatedly and returns the milliseconds of each run. */
async function repeat(workload: Workload, { milliseconds, runs }: Effort): Promise<readonly number[]> {
  const times: number[] = [];
  const started = performance.now();
  let now = started;
  while (times.length < runs || now - started < milliseconds) {
    await workload.run();
    const after = performance.now();
    times.push(after - now);
    now = after;
  }
  return times;
}

async function answer<T>(work: () => Promise<T>): Promise<Answer<T>> {
  try {
    return { value: await work() };
  } catch (error) {
    return {
      error: error instanceof Error ? error.message : String(error),
      unsupported: error instanceof Unsupported,
    };
  }
}
