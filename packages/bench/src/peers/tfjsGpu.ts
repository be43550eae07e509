/** TensorFlow.js on a GPU: its back ends for WebGPU and for WebGL. */
import '@tensorflow/tfjs-backend-webgl';
import '@tensorflow/tfjs-backend-webgpu';
import * as tf from '@tensorflow/tfjs-core';
import { tfjs } from './tfjs.js';

/** The peer on one of the two. */
export const tfjsGpu = (backend: 'webgpu' | 'webgl') =>
  tfjs(async () => {
    await tf.setBackend(backend);
    await tf.ready();
    return { threads: 0, notes: [tf.getBackend()] };
  });
