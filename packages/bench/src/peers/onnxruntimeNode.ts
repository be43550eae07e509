/** onnxruntime-node: the native library. */
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { onnxPeer } from './onnx.js';

/** The peer. By itself the library takes as many threads as there are physical cores, and does not tell. */
export const onnxruntimeNode = onnxPeer({ InferenceSession, Tensor }, (threads = 0) => ({
  session: { intraOpNumThreads: threads },
  threads: () => threads,
}));
