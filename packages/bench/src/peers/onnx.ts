/**
 * The common part of onnxruntime-node and onnxruntime-web: creates a session from an ONNX file and runs it on
 * one input.
 */
import type { InferenceSession, Tensor } from 'onnxruntime-common';
import { fileNames, type Peer } from '../peer.js';

/** The part of the libraries that is used. */
interface OnnxRuntime {
  readonly InferenceSession: {
    create(path: string, options: InferenceSession.SessionOptions): Promise<InferenceSession>;
    create(file: Uint8Array, options: InferenceSession.SessionOptions): Promise<InferenceSession>;
  };
  readonly Tensor: new (type: 'float32', data: Float32Array, dims: readonly number[]) => Tensor;
}

/** Session options for a number of threads, and the number of threads in use. */
export interface OnnxOptions {
  readonly session: InferenceSession.SessionOptions;
  readonly threads: () => number;
  readonly notes?: readonly string[];
  /**
   * True to read the file before the session is created, which separates compiling from reading. Default: the
   * library reads it.
   */
  readonly readsFirst?: boolean;
}

/**
 * Creates the peer of one of the libraries.
 * @param optionsFor - its argument is undefined for the default number of threads.
 */
export const onnxPeer = (
  { InferenceSession, Tensor }: OnnxRuntime,
  optionsFor: (threads: number | undefined) => OnnxOptions,
): Peer => ({
  async load({ input, files, threads }, read) {
    const options = optionsFor(threads);
    const names = fileNames(input);
    const x = new Float32Array(await read(names.input));
    const file = options.readsFirst ? new Uint8Array(await read(names.onnx)) : undefined;
    const inMemory = file && performance.now();
    const session = await (file
      ? InferenceSession.create(file, options.session)
      : InferenceSession.create(files + names.onnx, options.session));
    const [inputName, outputName] = [session.inputNames[0]!, session.outputNames[0]!];
    return {
      async run() {
        const results = await session.run({ [inputName]: new Tensor('float32', x, input) });
        return results[outputName]!.data as Float32Array;
      },
      threads: options.threads(),
      notes: options.notes ?? [],
      ...(inMemory === undefined ? {} : { inMemory }),
    };
  },
});
