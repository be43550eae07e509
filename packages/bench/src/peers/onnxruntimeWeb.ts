/** onnxruntime-web on the CPU, with its WebAssembly back end, in Node and in browsers. */
import { env, InferenceSession, Tensor } from 'onnxruntime-web';
import { onnxPeer } from './onnx.js';

/** onnxruntime-web as a peer. By default it uses one thread per two cores. */
export const onnxruntimeWeb = onnxPeer({ InferenceSession, Tensor }, (threads) => {
  if (threads) env.wasm.numThreads = threads;
  // In a page its files are at this path of the server; in Node it finds them itself.
  if (typeof document !== 'undefined') env.wasm.wasmPaths = '/node_modules/onnxruntime-web/dist/';
  return { session: { executionProviders: ['wasm'] }, threads: () => env.wasm.numThreads ?? 0 };
});
