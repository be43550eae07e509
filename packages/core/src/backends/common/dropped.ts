/** Disposes of programs that were dropped without `dispose`: workers and device memory are not garbage-collected. */
import type { Program } from '../backend.js';

let warned = false;

const registry =
  typeof FinalizationRegistry === 'undefined'
    ? undefined
    : new FinalizationRegistry<Program>((program) => {
        if (!warned)
          console.warn(
            `A compiled model was dropped without dispose(): its ${Math.ceil(program.memory / 2 ** 20)} MiB are freed late.`,
          );
        warned = true;
        program.dispose().catch(() => undefined);
      });

/**
 * Wraps a program, so that it is disposed of some time after the wrapper has become garbage; warns the first time.
 * Each method refers to the wrapper, and awaits its result, so that neither a method nor a run outlives the wrapper.
 */
export function disposeIfDropped(program: Program): Program {
  const { backend, threads, fallbackReason } = program;
  // It holds arrays only, which are garbage-collected.
  if (backend === 'reference') return program;
  const wrapper: Program = {
    backend,
    threads,
    fallbackReason,
    get memory() {
      return program.memory;
    },
    run: async (...parameters) => await program.run(...parameters),
    parameters: async () => await program.parameters(),
    profile: async (feeds) => await program.profile(feeds),
    dispose: async () => {
      registry?.unregister(wrapper);
      await program.dispose();
    },
  };
  registry?.register(wrapper, program, wrapper);
  return wrapper;
}
