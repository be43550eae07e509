/** TensorFlow.js on a GPU, with its WebGPU or its WebGL back end. */
import '@tensorflow/tfjs-backend-webgl';
import '@tensorflow/tfjs-backend-webgpu';
import * as tf from '@tensorflow/tfjs-core';
import { tfjs } from './tfjs.js';

/** Creates the peer of one back end. */
export const tfjsGpu = (backend: 'webgpu' | 'webgl') =>
  tfjs(async () => {
    await tf.setBackend(backend);
    await tf.ready();
    return { threads: 0, notes: [tf.getBackend()] };
  });
