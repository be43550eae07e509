/** A measured program in a page: the command calls it by a global name. */
import type { Peer } from '../protocol.js';
import { type Program, programOf } from './host.js';

/** The global that the command calls. */
export interface PageGlobals {
  program?: Program;
}

/** Offers the program to the command. A page cannot ask for its memory. */
export function serve(peer: Peer): void {
  const kernels = countKernels();
  (globalThis as PageGlobals).program = programOf(peer, {
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

/** Counts the pipelines of WebGPU and the programs of WebGL2 that are made from now on, whoever makes them. */
function countKernels(): () => number {
  let count = 0;
  const watch = (type: { readonly prototype: object } | undefined, method: string): void => {
    if (!type) return;
    const original = Reflect.get(type.prototype, method) as (...values: unknown[]) => unknown;
    Reflect.set(type.prototype, method, function (this: unknown, ...values: unknown[]) {
      count++;
      return original.apply(this, values);
    });
  };
  watch(globalThis.GPUDevice, 'createComputePipeline');
  watch(globalThis.GPUDevice, 'createComputePipelineAsync');
  watch(globalThis.WebGL2RenderingContext, 'linkProgram');
  return () => count;
}
