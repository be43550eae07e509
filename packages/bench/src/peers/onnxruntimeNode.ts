/** onnxruntime-node: the native library, or the copy of it that ONNXRUNTIME_NODE names (see `avx2.ts`). */
import { onnxPeer } from './onnx.js';

const { InferenceSession, Tensor }: typeof import('onnxruntime-common') = await import(
  process.env.ONNXRUNTIME_NODE ?? 'onnxruntime-node'
);

/** The peer. By itself the library takes as many threads as there are physical cores, and does not tell. */
export const onnxruntimeNode = onnxPeer({ InferenceSession, Tensor }, (threads = 0) => ({
  session: { intraOpNumThreads: threads },
  threads: () => threads,
}));
