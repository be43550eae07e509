/** Runs a peer in a page. The benchmark calls the runner through a global variable. */
import type { Peer } from '../peer.js';
import { createRunner, type Runner } from './runner.js';

/** Global variable through which the benchmark calls the runner. */
export interface PageGlobals {
  runner?: Runner;
}

/** Publishes the runner as a global variable. Peak memory is 0, since a page cannot measure it. */
export function serve(peer: Peer): void {
  const kernels = countKernels();
  (globalThis as PageGlobals).runner = createRunner(peer, {
    readerFor:
      ({ files }) =>
      async (name) => {
        const response = await fetch(files + name);
        if (!response.ok) throw new Error(`${files}${name}: ${response.status} ${response.statusText}`);
        return response.arrayBuffer();
      },
    peakMemory: () => 0,
    kernels,
  });
}

/** Counts the WebGPU pipelines and WebGL2 programs that any library in the page creates from here on. */
function countKernels(): () => number {
  let count = 0;
  const countCalls = (type: { readonly prototype: object } | undefined, method: string): void => {
    if (!type) return;
    const original = Reflect.get(type.prototype, method) as (...values: unknown[]) => unknown;
    Reflect.set(type.prototype, method, function (this: unknown, ...values: unknown[]) {
      count++;
      return original.apply(this, values);
    });
  };
  countCalls(globalThis.GPUDevice, 'createComputePipeline');
  countCalls(globalThis.GPUDevice, 'createComputePipelineAsync');
  countCalls(globalThis.WebGL2RenderingContext, 'linkProgram');
  return () => count;
}
