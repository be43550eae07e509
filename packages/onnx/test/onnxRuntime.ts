/** Test helper: onnxruntime-node as a back end, so that the suites for back ends test exported graphs. */
import { createRequire } from 'node:module';
import { type Backend, sizeOf, type Tensor } from '@cnn/core';
import type { InferenceSession } from 'onnxruntime-common';
import { type ToOnnxOptions, toOnnx } from '../src/toOnnx.js';

// The package takes 288 MB, so it is outside the workspace: `installRuntime.ts` installs it.
const runtime: typeof import('onnxruntime-common') = createRequire(
  new URL('../runtime/package.json', import.meta.url),
)('onnxruntime-node');

/** Loads a model with one thread and without warnings about its optimisations. */
export const loadOnnx = (model: Uint8Array): Promise<InferenceSession> =>
  runtime.InferenceSession.create(model, { intraOpNumThreads: 1, interOpNumThreads: 1, logSeverityLevel: 3 });

/** Runs a loaded model. */
export async function runOnnx(
  session: InferenceSession,
  feeds: ReadonlyMap<string, Tensor>,
): Promise<ReadonlyMap<string, Tensor>> {
  const results = await session.run(
    Object.fromEntries(
      [...feeds].map(([name, { data, shape }]) => [name, new runtime.Tensor('float32', data, shape)]),
    ),
  );
  return new Map(
    Object.entries(results).map(([name, { data, dims }]) => [
      name,
      { shape: dims, data: Float32Array.from(data as Float32Array) },
    ]),
  );
}

/** A back end that exports each graph with {@link toOnnx} and runs it in onnxruntime-node. */
export const onnxRuntime = (options?: ToOnnxOptions): Backend => ({
  name: 'onnxruntime-node',
  async compile(graph, weights) {
    const session = await loadOnnx(toOnnx(graph, weights, options));
    return {
      backend: 'onnxruntime-node',
      threads: 1,
      memory: [...weights.values()].reduce((bytes, { shape }) => bytes + 4 * sizeOf(shape), 0),
      run: (feeds) => runOnnx(session, feeds),
      parameters: () => Promise.reject(new Error('An exported model has no parameters that change.')),
      profile: () => Promise.reject(new Error('An exported model is not profiled here.')),
      dispose: () => session.release(),
    };
  },
});
