/** Gives features of pictures: vectors that are near each other for pictures that look alike to the network. */
import type { ModelEntry, Session } from '@cnn/core';
import type { PictureSource } from '@cnn/image';
import { featureModel } from './features.js';
import {
  type ManyOptions,
  type NetworkOptions,
  openNetwork,
  type PictureOptions,
  type PictureSources,
} from './network.js';

/** Options of {@link embedder}. */
export interface EmbedderOptions<Options extends object = object> extends NetworkOptions<Options> {
  /**
   * Path of the module whose output is taken, such as `'layer3'`; pictures are averaged over their pixels. Default: the
   * input of the last layer with weights, which makes classes of features.
   */
  readonly at?: string;
}

/** The features of one of many pictures, or why there are none. */
export type Embedded<S extends PictureSource = PictureSource> =
  | { readonly source: S; readonly features: Float32Array; readonly error?: undefined }
  | { readonly source: S; readonly features?: undefined; readonly error: Error };

/** An embedder: a function from a picture to its features. Dispose of it when done. */
export interface Embed {
  /**
   * Computes the features of a picture: `size` values, in a new array. Concurrent calls are queued.
   * @param source - a path, address, Blob, bytes, pixels, or what a page shows; see `toRgb` of `@cnn/image`.
   * @throws SourceError for what is no picture or cannot be read; FileFormatError for a damaged file.
   * @throws ClassifyError for features that are not numbers, and after `dispose`.
   */
  (source: PictureSource, options?: PictureOptions): Promise<Float32Array>;
  /**
   * Computes the features of many pictures, in order, as {@link Classify.many} classifies them.
   * @throws ClassifyError for options outside of their range.
   */
  many<S extends PictureSource>(
    sources: PictureSources<S>,
    options?: ManyOptions,
  ): AsyncIterableIterator<Embedded<S>>;
  /** Name of the network, with the module if one was named: `'resnet50'`, `'resnet50/layer3'`. */
  readonly model: string;
  /** Number of features. */
  readonly size: number;
  /** The compiled network: back end, threads, memory, input shape, profile. */
  readonly session: Session;
  /** Releases memory, threads and device once queued runs have ended; may be called again. */
  dispose(): Promise<void>;
  /** The same, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Makes an embedder of a network: loads its weights, and compiles the part that computes the features.
 * @param entry - of a family's `models`, such as `models.resnet50`.
 * @throws ClassifyError if there is no such module, or no weights can be had; else as `classifier` does.
 * @example
 * const embed = await embedder(models.lenet5);
 * const features = await embed({ width: 28, height: 28, data: new Uint8Array(28 * 28) }); // 84 values
 */
export async function embedder<Options extends object = object>(
  entry: ModelEntry<Options>,
  { at, ...options }: EmbedderOptions<Options> = {},
): Promise<Embed> {
  const network = await openNetwork(entry, options, (model) => featureModel(model, at, entry.name));
  const { session, outputs: size, dispose } = network;
  const embed = (source: PictureSource, { signal }: PictureOptions = {}): Promise<Float32Array> =>
    network.run(source, { signal });
  const many = <S extends PictureSource>(
    sources: PictureSources<S>,
    options?: ManyOptions,
  ): AsyncIterableIterator<Embedded<S>> => {
    const outcomes = network.many(sources, options);
    return (async function* () {
      for await (const { source, row, error } of outcomes)
        yield row ? { source, features: row } : { source, error: error! };
    })();
  };
  const model = at === undefined ? entry.name : `${entry.name}/${at}`;
  return Object.assign(embed, { many, model, size, session, dispose, [Symbol.asyncDispose]: dispose });
}
