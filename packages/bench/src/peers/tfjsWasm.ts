/** TensorFlow.js on the CPU: its WebAssembly back end. Its threads work in browsers only. */

import { getThreadsCount, setThreadsCount, setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';
import { tfjs } from './tfjs.js';

/** The peer. By itself the library takes as many threads as there are cores, up to four. */
export const tfjsWasm = tfjs(async (threads) => {
  const inPage = typeof document !== 'undefined';
  if (inPage) setWasmPaths('/node_modules/@tensorflow/tfjs-backend-wasm/dist/');
  if (threads) setThreadsCount(threads);
  await tf.setBackend('wasm');
  await tf.ready();
  return { threads: inPage ? getThreadsCount() : 1, notes: [] };
});
