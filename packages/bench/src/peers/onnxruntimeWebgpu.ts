/** onnxruntime-web on WebGPU. */
import { env, InferenceSession, Tensor } from 'onnxruntime-web/webgpu';
import { onnxPeer } from './onnx.js';

/** The peer. */
export const onnxruntimeWebgpu = onnxPeer({ InferenceSession, Tensor }, () => {
  env.wasm.wasmPaths = '/node_modules/onnxruntime-web/dist/';
  return { session: { executionProviders: ['webgpu'] }, threads: () => 0, readsFirst: true };
});
