/** Sessions: compiled models, which check input shapes and execute one run at a time. */

import type { Profile, Program } from '../backends/backend.js';
import { createQueue } from '../backends/common/queue.js';
import { MAIN_INPUT, MAIN_OUTPUT } from '../nn/trace.js';
import { checkSignal } from '../signal.js';
import { inputTensor } from '../tensor/input.js';
import { type Shape, sizeOf } from '../tensor/shape.js';
import type { Tensor } from '../tensor/tensor.js';

/** Options of a run. */
export interface RunOptions {
  /**
   * Aborts the run, at once if it is queued: the promise rejects with its reason. The session stays usable.
   */
  readonly signal?: AbortSignal;
}

/** A compiled model. */
export interface Session {
  /** The back end in use: `'wasm'`, `'gpu:webgpu'`, `'gpu:webgl2'` or `'reference'`. */
  readonly backend: string;
  /** Number of threads in use. */
  readonly threads: number;
  /** Reason for another back end or fewer threads than requested; undefined if there was no fallback. */
  readonly fallbackReason: string | undefined;
  /** Memory for weights and values, in bytes; 0 once the session is disposed of. */
  readonly memory: number;
  /** Shape of the input, batch first. */
  readonly input: Shape;
  /** Shape of the main output, batch first. */
  readonly output: Shape;
  /**
   * Runs the model on one batch. Concurrent calls are queued and run in order.
   * @param x - a tensor of the shape `input`, or its values, row-major. Not copied: do not modify them until
   * the promise settles.
   * @returns the main output, in a new array.
   * @throws TypeError if x is neither.
   * @throws ShapeError if x has another shape or number of values than the session was compiled for.
   * @throws Error once the session is disposed of.
   */
  run(x: Tensor | Float32Array, options?: RunOptions): Promise<Tensor>;
  /**
   * Runs as `run` does; gives all outputs by name: `output`, and the module paths requested with `outputs`.
   */
  runAll(x: Tensor | Float32Array, options?: RunOptions): Promise<ReadonlyMap<string, Tensor>>;
  /**
   * Measures the time of each step of one run.
   * @param x - as of `run`. Default: zeros.
   */
  profile(x?: Tensor | Float32Array): Promise<Profile>;
  /** Releases memory, threads and device once the queued runs have ended; may be called again. */
  dispose(): Promise<void>;
  /** Calls `dispose`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Wraps a program with one input `x` and a main output `output`, as `trace` names them. */
export function createSession(
  program: Program,
  input: Shape,
  output: Shape,
  fallbackReason?: string,
): Session {
  const enqueue = createQueue();
  /** Undefined once the session is disposed of, so that a leaked session leaks no weights. */
  let live: Program | undefined = program;
  const enqueueRun = <T>(work: (program: Program) => Promise<T>): Promise<T> =>
    enqueue(async () => {
      if (!live) throw new Error('This session has been disposed of; compile the model again.');
      return work(live);
    });
  const reason = fallbackReason ?? program.fallbackReason;
  const feed = (x: Tensor | Float32Array): ReadonlyMap<string, Tensor> =>
    new Map([[MAIN_INPUT, inputTensor(x, input)]]);
  const runAll = async (x: Tensor | Float32Array, options?: RunOptions) => {
    const feeds = feed(x);
    const { signal } = options ?? {};
    checkSignal(signal);
    return new Promise<ReadonlyMap<string, Tensor>>((resolve, reject) => {
      // A queued run is rejected at once; one that has begun, when its program handles the signal.
      const waiting = new AbortController();
      signal?.addEventListener('abort', () => reject(signal.reason), { signal: waiting.signal });
      enqueueRun((present) => {
        waiting.abort();
        signal?.throwIfAborted();
        return present.run(feeds, signal);
      })
        .then(resolve, reject)
        .finally(() => waiting.abort());
    });
  };
  let disposal: Promise<void> | undefined;
  const dispose = (): Promise<void> => {
    disposal ??= enqueueRun((present) => {
      live = undefined;
      return present.dispose();
    });
    return disposal;
  };
  return {
    backend: program.backend,
    threads: program.threads,
    fallbackReason: reason,
    get memory() {
      return live?.memory ?? 0;
    },
    input,
    output,
    run: async (x, options) => (await runAll(x, options)).get(MAIN_OUTPUT)!,
    runAll,
    profile: async (x = new Float32Array(sizeOf(input))) => {
      const feeds = feed(x);
      const profile = await enqueueRun((present) => present.profile(feeds));
      return reason ? { ...profile, notes: [...profile.notes, reason] } : profile;
    },
    dispose,
    [Symbol.asyncDispose]: dispose,
  };
}
