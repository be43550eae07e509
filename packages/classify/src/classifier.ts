/** Classifies pictures: any kind of picture in, the most likely classes by name out. */
import { type ModelEntry, probabilities, type Session, topK } from '@cnn/core';
import type { PictureSource } from '@cnn/image';
import { classNames, type Labels } from './labels.js';
import {
  type ManyOptions,
  type NetworkOptions,
  openNetwork,
  type PictureOptions,
  type PictureSources,
  requireCount,
} from './network.js';

/** Options of {@link classifier}. */
export interface ClassifierOptions<Options extends object = object> extends NetworkOptions<Options> {
  /**
   * Names of the classes. Default: those of the published weights, if the network has as many outputs; else `'class 0'`,
   * `'class 1'`, ...
   */
  readonly labels?: Labels;
}

/** A class that the network finds in a picture. */
export interface ClassScore {
  /** Name, such as `'tench'`. */
  readonly label: string;
  /** Index among the outputs, from 0. */
  readonly index: number;
  /** Share of the softmax of all outputs, in [0, 1]. */
  readonly probability: number;
  /** WordNet id of an ImageNet class, such as `'n01440764'`; absent for other classes. */
  readonly wnid?: string;
}

/** Options of a call of {@link Classify}. */
export interface ClassifyOptions extends PictureOptions {
  /** Number of classes, from 1 up. Default 5; fewer if the network has fewer. */
  readonly top?: number;
}

/** Options of {@link Classify.many}. */
export interface ClassifyManyOptions extends ClassifyOptions, ManyOptions {}

/** The classes of one of many pictures, or why there are none. */
export type Classified<S extends PictureSource = PictureSource> =
  | { readonly source: S; readonly classes: readonly ClassScore[]; readonly error?: undefined }
  | { readonly source: S; readonly classes?: undefined; readonly error: Error };

/** A classifier: a function from a picture to its classes. Dispose of it when done. */
export interface Classify {
  /**
   * Gives the most likely classes of a picture, the most likely first. Concurrent calls are queued.
   * @param source - a path, address, Blob, bytes, pixels, or what a page shows; see `toRgb` of `@cnn/image`.
   * @throws SourceError for what is no picture or cannot be read; FileFormatError for a damaged file.
   * @throws ClassifyError for a wrong `top`, outputs that are not numbers, and after `dispose`.
   */
  (source: PictureSource, options?: ClassifyOptions): Promise<readonly ClassScore[]>;
  /**
   * Classifies many pictures, in order, decoding while the network computes. Holds few at a time, however many there
   * are. A picture that cannot be read has an `error`; the others go on.
   * @param sources - a list, or a generator, also an asynchronous one.
   * @throws ClassifyError for options outside of their range. The iteration throws the signal's reason, what `sources`
   * throw, and errors of the back end.
   */
  many<S extends PictureSource>(
    sources: PictureSources<S>,
    options?: ClassifyManyOptions,
  ): AsyncIterableIterator<Classified<S>>;
  /** The compiled network: back end, threads, memory, input shape, profile. */
  readonly session: Session;
  /** Releases memory, threads and device once queued runs have ended; may be called again. */
  dispose(): Promise<void>;
  /** The same, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Makes a classifier of a network: loads its weights, and compiles it for one picture with the preparation and labels
 * that the weights were published with. Keeps the weights in memory beside the compiled network, for other batches.
 * @param entry - of a family's `models`, such as `models.mobilenet_v2`.
 * @throws ClassifyError without weights where none can be had, for an unknown name, and for labels that do not fit.
 * @throws WeightsMismatch if the weights do not fit the network; FileFormatError if they are damaged.
 * @throws BackendUnavailable if the back end cannot run here.
 * @example
 * const classify = await classifier(models.lenet5);
 * const [best] = await classify(encodePng({ width: 28, height: 28, data: new Uint8Array(3 * 28 * 28) }));
 */
export async function classifier<Options extends object = object>(
  entry: ModelEntry<Options>,
  options: ClassifierOptions<Options> = {},
): Promise<Classify> {
  const network = await openNetwork(entry, options);
  const { session, outputs, dispose } = network;
  const categories = network.record?.categories ?? Object.values(entry.weights)[0]?.categories;
  const { labels, wnids } = await classNames(options.labels, categories, outputs, options.signal).catch(
    async (error: unknown) => {
      await dispose();
      throw error;
    },
  );
  const ranked = (logits: Float32Array, top: number): readonly ClassScore[] =>
    topK(probabilities(logits), top).map(({ index, value: probability }) => {
      const wnid = wnids[index];
      const label = labels[index] ?? `class ${index}`;
      return { label, index, probability, ...(wnid === undefined ? {} : { wnid }) };
    });
  const classify = async (
    source: PictureSource,
    { top = 5, signal }: ClassifyOptions = {},
  ): Promise<readonly ClassScore[]> => {
    requireCount('top', top);
    return ranked(await network.run(source, { signal }), top);
  };
  const many = <S extends PictureSource>(
    sources: PictureSources<S>,
    { top = 5, ...rest }: ClassifyManyOptions = {},
  ): AsyncIterableIterator<Classified<S>> => {
    requireCount('top', top);
    const outcomes = network.many(sources, rest);
    return (async function* () {
      for await (const { source, row, error } of outcomes)
        yield row ? { source, classes: ranked(row, top) } : { source, error: error! };
    })();
  };
  return Object.assign(classify, { many, session, dispose, [Symbol.asyncDispose]: dispose });
}
