/** A compiled network that takes pictures of any kind: what classifiers and embedders share. */
import {
  type Backend,
  type BackendName,
  compile,
  type ModelEntry,
  type Module,
  type Progress,
  type Session,
  type Tensor,
  type Transform,
  tensor,
  type WeightsRecord,
} from '@cnn/core';
import { checkSignal } from '@cnn/core/graph';
import { describeValue } from '@cnn/core/io';
import { type PictureSource, type ToRgbOptions, toRgb, transform } from '@cnn/image';
import { ahead, limited } from './ahead.js';
import { ClassifyError } from './errors.js';
import { assumedTransform, type ClassifierWeights, openWeights, renamedToFit } from './weights.js';

/** Options of networks that take pictures. */
export interface NetworkOptions<Options extends object = object> {
  /** Default: the first published weights of the entry, which Node downloads and keeps. */
  readonly weights?: ClassifierWeights;
  /** Options of the builder, such as `{ numClasses: 10 }`. Default: those that the weights need. */
  readonly build?: Options;
  /**
   * Preparation of pictures, in whole or in part. Default: that of the published weights; for other weights that on which
   * all published ones agree, else the usual one for the input's size.
   */
  readonly transform?: Partial<Transform>;
  /** Orientation of picture files: `'upright'` (default), as people see them, or as `'stored'`. */
  readonly orientation?: ToRgbOptions['orientation'];
  /** Default `'auto'`: a hardware GPU if there is one, else wasm; `session.backend` gives the choice. */
  readonly backend?: BackendName | Backend;
  /** Number of threads of the CPU back end. Default: the number of cores. */
  readonly threads?: number;
  /** Called with the bytes of the weights that are loaded so far. */
  readonly onProgress?: (progress: Progress) => void;
  /** Stops loading and compiling; the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** Options of one picture. */
export interface PictureOptions {
  /** Stops it; the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Options of many pictures. */
export interface ManyOptions extends PictureOptions {
  /**
   * Pictures in one run of the network, from 1 up. Default 1. The first use of another number compiles the network for
   * it, which is kept until `dispose`. More need more memory, and are faster if the network is small.
   */
  readonly batch?: number;
  /** Pictures that are read and decoded at the same time, from 1 up. Default 2. */
  readonly concurrency?: number;
}

/** Pictures one after the other. */
export type PictureSources<S extends PictureSource = PictureSource> = Iterable<S> | AsyncIterable<S>;

/** The output for a picture, or why there is none. */
export type Outcome<S> =
  | { readonly source: S; readonly row: Float32Array; readonly error?: undefined }
  | { readonly source: S; readonly row?: undefined; readonly error: Error };

/** An open network. */
export interface Network {
  readonly session: Session;
  /** Record of the published weights that are used, if that is known. */
  readonly record: WeightsRecord | undefined;
  /** Number of values of the output for one picture. */
  readonly outputs: number;
  /** Computes the output for one picture. */
  run(source: PictureSource, options?: PictureOptions): Promise<Float32Array>;
  /** Computes the outputs for many pictures, in order. */
  many<S extends PictureSource>(
    sources: PictureSources<S>,
    options?: ManyOptions,
  ): AsyncGenerator<Outcome<S>, void>;
  /** Releases memory, threads and device; may be called again. */
  dispose(): Promise<void>;
}

/**
 * Loads weights and compiles the network for one picture.
 * @param change - makes of the entry's model the one that is compiled, with the same parameters.
 * @throws ClassifyError if there are no weights; errors of `readWeights` and `compile`.
 */
export async function openNetwork<Options extends object>(
  entry: ModelEntry<Options>,
  options: NetworkOptions<Options>,
  change: (model: Module) => Module = (model) => model,
): Promise<Network> {
  const { backend, threads, orientation, signal } = options;
  const opened = await openWeights(entry, options);
  const { record } = opened;
  const model = change(entry.build({ ...record?.options, ...options.build } as Options));
  const weights = renamedToFit(model, opened.weights, entry);
  const preset: Transform = { ...(record?.transform ?? assumedTransform(entry)), ...options.transform };
  const compiled = (batch: number, at: AbortSignal | undefined): Promise<Session> =>
    compile(model, {
      weights,
      input: [batch, preset.mean.length, preset.crop, preset.crop],
      name: entry.name,
      ...(backend === undefined ? {} : { backend }),
      ...(threads === undefined ? {} : { threads }),
      ...(at ? { signal: at } : {}),
    });
  const session = await compiled(1, signal);
  const outputs = session.output.reduce((product, extent) => product * extent, 1);
  /** Sessions of other numbers of pictures. */
  const others = new Map<number, Promise<Session>>();
  const sessionOf = (batch: number): Promise<Session> => {
    if (batch === 1) return Promise.resolve(session);
    const made =
      others.get(batch) ??
      compiled(batch, undefined).catch((error: unknown) => {
        others.delete(batch);
        throw error;
      });
    others.set(batch, made);
    return made;
  };
  let disposal: Promise<void> | undefined;
  const requireLive = (): void => {
    if (disposal)
      throw new ClassifyError('ERR_DISPOSED', `This ${entry.name} has been disposed of; make a new one.`);
  };
  const prepare = async (source: PictureSource, at: AbortSignal | undefined): Promise<Tensor> =>
    transform(await toRgb(source, { ...(orientation ? { orientation } : {}), signal: at }), preset);

  /** Runs prepared pictures together; gives the output of each. */
  async function runAll(pictures: readonly Tensor[], batch: number, at: AbortSignal | undefined) {
    requireLive();
    const used = await sessionOf(pictures.length === 1 ? 1 : batch);
    let x = pictures[0]!;
    if (pictures.length > 1) {
      // Places without a picture, at the end, stay 0.
      const size = x.data.length;
      x = tensor(new Float32Array(batch * size), used.input);
      for (const [i, { data }] of pictures.entries()) x.data.set(data, i * size);
    }
    const { data } = await used.run(x, at ? { signal: at } : {});
    return pictures.map((_, i) => data.slice(i * outputs, (i + 1) * outputs));
  }

  async function* many<S extends PictureSource>(
    sources: PictureSources<S>,
    batch: number,
    concurrency: number,
    given: AbortSignal | undefined,
  ): AsyncGenerator<Outcome<S>, void> {
    checkSignal(given);
    // Aborted by the caller, or when the reader leaves.
    const stop = new AbortController();
    const abort = (): void => stop.abort(given?.reason);
    given?.addEventListener('abort', abort, { once: true });
    const decoding = limited(concurrency);
    async function* started() {
      for await (const source of sources as AsyncIterable<S>)
        yield {
          source,
          picture: decoding(() => prepare(source, stop.signal)).then(
            (x) => ({ x, error: undefined }),
            (error: Error) => ({ x: undefined, error }),
          ),
        };
    }
    async function* groups() {
      let group: { readonly source: S; readonly picture: Promise<Prepared> }[] = [];
      for await (const one of ahead(started(), Math.max(batch, concurrency), stop.signal)) {
        group.push(one);
        if (group.length < batch) continue;
        yield await outcomes(group);
        group = [];
      }
      if (group.length > 0) yield await outcomes(group);
    }
    async function outcomes(
      group: readonly { readonly source: S; readonly picture: Promise<Prepared> }[],
    ): Promise<Outcome<S>[]> {
      const pictures = await Promise.all(group.map(({ picture }) => picture));
      stop.signal.throwIfAborted();
      const good = pictures.flatMap(({ x }) => (x ? [x] : []));
      const rows = good.length > 0 ? await runAll(good, batch, stop.signal) : [];
      return group.map(({ source }, i) => {
        const { error } = pictures[i]!;
        if (error) return { source, error };
        const row = rows.shift()!;
        return row.some(Number.isNaN) ? { source, error: notNumbers(entry.name) } : { source, row };
      });
    }
    try {
      for await (const results of ahead(groups(), 1, stop.signal)) yield* results;
    } finally {
      given?.removeEventListener('abort', abort);
      stop.abort();
    }
  }

  return {
    session,
    record,
    outputs,
    async run(source, { signal: at } = {}) {
      requireLive();
      const [row] = await runAll([await prepare(source, at)], 1, at);
      if (row!.some(Number.isNaN)) throw notNumbers(entry.name);
      return row!;
    },
    many(sources, { batch = 1, concurrency = 2, signal: at } = {}) {
      requireLive();
      requireSources(sources);
      requireCount('batch', batch);
      requireCount('concurrency', concurrency);
      return many(sources, batch, concurrency, at);
    },
    dispose() {
      disposal ??= (async () => {
        const opened = await Promise.all([...others.values()].map((other) => other.catch(() => undefined)));
        for (const one of [session, ...opened]) await one?.dispose();
        others.clear();
      })();
      return disposal;
    },
  };
}

/** A picture as input of the network, or why it is none. */
type Prepared =
  | { readonly x: Tensor; readonly error: undefined }
  | { readonly x: undefined; readonly error: Error };

const notNumbers = (name: string): ClassifyError =>
  new ClassifyError(
    'ERR_NOT_NUMBERS',
    `The outputs of ${name} are not numbers (NaN): its weights are damaged, or need another preparation of pictures (the option transform).`,
  );

/** @throws ClassifyError for what is no list of pictures: texts and bytes can be iterated over, but are one picture. */
function requireSources(sources: unknown): void {
  const isList =
    typeof sources === 'object' &&
    sources !== null &&
    (Symbol.iterator in sources || Symbol.asyncIterator in sources) &&
    !ArrayBuffer.isView(sources);
  if (!isList)
    throw new ClassifyError(
      'ERR_OPTION',
      `Many pictures are given as a list or a generator, got ${describeValue(sources)}. Call the function itself for one picture.`,
    );
}

/** @throws ClassifyError for an option that is no whole number from 1 up. */
export function requireCount(name: string, value: unknown): void {
  if (!Number.isSafeInteger(value) || (value as number) < 1)
    throw new ClassifyError(
      'ERR_OPTION',
      `The option ${name} is a whole number from 1 up, got ${String(value)}.`,
    );
}
