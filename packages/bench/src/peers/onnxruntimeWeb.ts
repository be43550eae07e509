/** onnxruntime-web on the CPU: the library's own WebAssembly, in Node and in a browser. */
import { env, InferenceSession, Tensor } from 'onnxruntime-web';
import { onnxPeer } from './onnx.js';

/** The peer. By itself the library takes half as many threads as there are cores. */
export const onnxruntimeWeb = onnxPeer({ InferenceSession, Tensor }, (threads) => {
  if (threads) env.wasm.numThreads = threads;
  // The page serves the library's files there; in Node the library finds them itself.
  if (typeof document !== 'undefined') env.wasm.wasmPaths = '/node_modules/onnxruntime-web/dist/';
  return { session: { executionProviders: ['wasm'] }, threads: () => env.wasm.numThreads ?? 0 };
});
