/** A session: a compiled model that is fed and read by shape, one run at a time, until it is disposed of. */
import type { Profile, Program } from '../backends/backend.js';
import { createQueue } from '../backends/common/queue.js';
import { ShapeError } from '../errors.js';
import { MAIN_INPUT, MAIN_OUTPUT } from '../nn/trace.js';
import { formatShape, type Shape, sameShape, sizeOf } from '../tensor/shape.js';
import type { Tensor } from '../tensor/tensor.js';

/** Options of a run. */
export interface RunOptions {
  /** Stops the run, at once where it waits for another; the promise rejects with the signal's reason. The session stays usable. */
  readonly signal?: AbortSignal;
}

/** A compiled model. */
export interface Session {
  /** What really runs: `'wasm'`, `'gpu:webgpu'`, `'gpu:webgl2'` or `'reference'`. */
  readonly backend: string;
  readonly threads: number;
  /** Why it is not the back end or the threads that were asked for; undefined when it is. */
  readonly fallbackReason: string | undefined;
  /** Bytes held for weights and values. */
  readonly memory: number;
  /** The input's shape, batch first. */
  readonly input: Shape;
  /** The main output's shape. */
  readonly output: Shape;
  /**
   * Runs the model on one batch. Calls may overlap; they run in order. The values of x are read when the run's
   * turn comes, not copied before: leave them as they are until the promise is settled.
   * @throws ShapeError when x has another shape than the session was compiled for.
   */
  run(x: Tensor | Float32Array, options?: RunOptions): Promise<Tensor>;
  /** As `run`, but gives every output by name: `output` and the module paths asked for with `outputs`. */
  runAll(x: Tensor | Float32Array, options?: RunOptions): Promise<ReadonlyMap<string, Tensor>>;
  /** Times one run step by step, on the given input or on zeros. */
  profile(x?: Tensor | Float32Array): Promise<Profile>;
  /** Gives back memory, threads and device; may be called again. */
  dispose(): Promise<void>;
  /** The same, for `await using`. */
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
  /** Let go of when the session is disposed of, so that a session kept by mistake keeps no weights. */
  let live: Program | undefined = program;
  const enqueueRun = <T>(work: (program: Program) => Promise<T>): Promise<T> =>
    enqueue(async () => {
      if (!live) throw new Error('This session has been disposed of; compile the model again.');
      return work(live);
    });
  const reason = fallbackReason ?? program.fallbackReason;
  const feed = (x: Tensor | Float32Array): ReadonlyMap<string, Tensor> => {
    const value = x instanceof Float32Array ? { shape: input, data: x } : x;
    if (!sameShape(value.shape, input))
      throw new ShapeError(
        `The session was compiled for an input of ${formatShape(input)}, got ${formatShape(value.shape)}; compile the model for that shape.`,
      );
    if (value.data.length !== sizeOf(input))
      throw new ShapeError(
        `An input of ${formatShape(input)} has ${sizeOf(input)} values, got ${value.data.length}.`,
      );
    return new Map([[MAIN_INPUT, value]]);
  };
  const runAll = async (x: Tensor | Float32Array, { signal }: RunOptions = {}) => {
    const feeds = feed(x);
    signal?.throwIfAborted();
    return new Promise<ReadonlyMap<string, Tensor>>((resolve, reject) => {
      // A run that waits ends at once; one that has begun ends as its program sees fit.
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
