/** TensorFlow.js on the CPU, with its WebAssembly back end. It uses threads in browsers only. */
import { getThreadsCount, setThreadsCount, setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';
import { tfjs } from './tfjs.js';

/** TensorFlow.js on WebAssembly as a peer. By default it uses one thread per core, at most four. */
export const tfjsWasm = tfjs(async (threads) => {
  const inPage = typeof document !== 'undefined';
  if (inPage) setWasmPaths('/node_modules/@tensorflow/tfjs-backend-wasm/dist/');
  if (threads) setThreadsCount(threads);
  await tf.setBackend('wasm');
  await tf.ready();
  return { threads: inPage ? getThreadsCount() : 1, notes: [] };
});
