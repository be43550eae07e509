/** What onnxruntime-node and onnxruntime-web have in common: an ONNX file in, one tensor through. */
import type { InferenceSession, Tensor } from 'onnxruntime-node';
import { fileNames, type Peer } from '../protocol.js';

/** The part of the library that is used. */
interface OnnxRuntime {
  readonly InferenceSession: {
    create(path: string, options: InferenceSession.SessionOptions): Promise<InferenceSession>;
  };
  readonly Tensor: new (type: 'float32', data: Float32Array, dims: readonly number[]) => Tensor;
}

/** How the library is told the number of threads, and what it then uses. */
export interface OnnxOptions {
  readonly session: InferenceSession.SessionOptions;
  readonly threads: () => number;
  readonly notes?: readonly string[];
}

/** A peer on one of the libraries. */
export const onnxPeer = (
  { InferenceSession, Tensor }: OnnxRuntime,
  optionsFor: (threads: number | undefined) => OnnxOptions,
): Peer => ({
  async load({ input, files, threads }, read) {
    const options = optionsFor(threads);
    const session = await InferenceSession.create(files + fileNames(input).onnx, options.session);
    const x = new Float32Array(await read(fileNames(input).input));
    const [inputName, outputName] = [session.inputNames[0]!, session.outputNames[0]!];
    return {
      async run() {
        const results = await session.run({ [inputName]: new Tensor('float32', x, input) });
        return results[outputName]!.data as Float32Array;
      },
      threads: options.threads(),
      notes: options.notes ?? [],
    };
  },
});
