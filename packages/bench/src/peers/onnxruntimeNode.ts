/**
 * onnxruntime-node: the native library, or the patched copy in the environment variable ONNXRUNTIME_NODE (see
 * `avx2.ts`).
 */
import { onnxPeer } from './onnx.js';

const { InferenceSession, Tensor }: typeof import('onnxruntime-common') = await import(
  process.env.ONNXRUNTIME_NODE ?? 'onnxruntime-node'
);

/**
 * onnxruntime-node as a peer. By default it uses one thread per physical core, and does not report the
 * number.
 */
export const onnxruntimeNode = onnxPeer({ InferenceSession, Tensor }, (threads = 0) => ({
  session: { intraOpNumThreads: threads },
  threads: () => threads,
}));
