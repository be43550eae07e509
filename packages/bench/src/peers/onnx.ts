/** What onnxruntime-node and onnxruntime-web have in common: an ONNX file in, one tensor through. */
import type { InferenceSession, Tensor } from 'onnxruntime-common';
import { fileNames, type Peer } from '../protocol.js';

/** The part of the library that is used. */
interface OnnxRuntime {
  readonly InferenceSession: {
    create(path: string, options: InferenceSession.SessionOptions): Promise<InferenceSession>;
    create(file: Uint8Array, options: InferenceSession.SessionOptions): Promise<InferenceSession>;
  };
  readonly Tensor: new (type: 'float32', data: Float32Array, dims: readonly number[]) => Tensor;
}

/** How the library is told the number of threads, and what it then uses. */
export interface OnnxOptions {
  readonly session: InferenceSession.SessionOptions;
  readonly threads: () => number;
  readonly notes?: readonly string[];
  /** Whether the file is read first, so that compiling can be told from reading. Default: the library reads it. */
  readonly readsFirst?: boolean;
}

/** A peer on one of the libraries. */
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
