/** Inference with @cnn: builds the model, reads the weights from safetensors, and compiles. */
import {
  type Backend,
  type BackendName,
  compile,
  enableWideSimd,
  type ModelEntry,
  readWeights,
  sizeOf,
} from '@cnn/core';
import { fileNames, type Peer } from '../peer.js';

/** Creates the peer that runs the given models on a back end. */
export const ours = (
  models: Readonly<Record<string, ModelEntry>>,
  backend: BackendName | Backend = 'wasm',
): Peer => ({
  async load({ network, input, files, threads, wideSimd }, read) {
    if (wideSimd) enableWideSimd();
    const model = models[network]!.build();
    const weights = await readWeights(files + fileNames(input).weights, {
      // As documented for the option: below about 40 MB, reading in parts creates more garbage than a second
      // copy takes.
      onDemand: models[network]!.parameters > 1e7,
    });
    const x = new Float32Array(await read(fileNames(input).input), 0, sizeOf(input));
    const inMemory = performance.now();
    const session = await compile(model, {
      weights,
      input,
      backend,
      strict: threads !== undefined,
      name: network,
      ...(threads ? { threads } : {}),
    });
    const notes = [session.backend, ...(session.fallbackReason ? [session.fallbackReason] : [])];
    return { run: async () => (await session.run(x)).data, threads: session.threads, notes, inMemory };
  },
});
