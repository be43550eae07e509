/** onnxruntime-web with its WebGPU back end. */
import { env, InferenceSession, Tensor } from 'onnxruntime-web/webgpu';
import { onnxPeer } from './onnx.js';

/** onnxruntime-web on WebGPU as a peer. */
export const onnxruntimeWebgpu = onnxPeer({ InferenceSession, Tensor }, () => {
  env.wasm.wasmPaths = '/node_modules/onnxruntime-web/dist/';
  return { session: { executionProviders: ['webgpu'] }, threads: () => 0, readsFirst: true };
});
