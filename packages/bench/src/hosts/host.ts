/** The part of a measured program that is the same in Node and in a browser: load, run once, then run in blocks. */
import type { Answer, BlockRequest, Effort, Job, Peer, ReadFile, Started, Workload } from '../protocol.js';
import { Unsupported } from '../protocol.js';

/** What the command asks a program for. */
export interface Program {
  start(job: Job): Promise<Answer<Started>>;
  block(request: BlockRequest): Promise<Answer<readonly number[]>>;
}

/** What the platform offers to a program. */
export interface Surroundings {
  readerFor(job: Job): ReadFile;
  /** The most memory held so far, in MB; 0 where it cannot be asked for. */
  peakMemory(): number;
  /** Kernels compiled for a GPU so far. */
  kernels(): number;
}

/** A program around a peer. */
export function programOf(peer: Peer, { readerFor, peakMemory, kernels }: Surroundings): Program {
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
        if (!workload) throw new Error('A block was asked for before the start.');
        await repeat(workload, warmUp);
        return repeat(workload, timed);
      }),
  };
}

/** Runs again and again; gives the milliseconds of each run. */
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
