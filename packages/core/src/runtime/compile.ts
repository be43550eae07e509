/** Compiles a model with weights to a session: traces it, simplifies its graph, has a back end compile it. */

import type { Backend } from '../backends/backend.js';
import { type BackendName, compileOn } from '../backends/select.js';
import { ShapeError } from '../errors.js';
import type { Module } from '../nn/module.js';
import { trace } from '../nn/trace.js';
import { matchParameters, parameters, requireMatch } from '../nn/walk.js';
import { prepareForInference } from '../passes/prepareForInference.js';
import { describeValue, kindOf } from '../realms.js';
import { checkSignal } from '../signal.js';
import { requireShape, type Shape } from '../tensor/shape.js';
import type { Weights } from '../tensor/tensor.js';
import { createSession, type Session } from './session.js';

/** Options of {@link compile}. */
export interface CompileModelOptions {
  /**
   * Weights by state-dict name, from `readWeights` or `initialise`. The names must be exactly the model's.
   */
  readonly weights: Weights;
  /** Shape of the input, batch first: `[1, 3, 224, 224]`. */
  readonly input: Shape;
  /** Default `'auto'`: a hardware GPU if there is one, else wasm; `session.backend` gives the choice. */
  readonly backend?: BackendName | Backend;
  /** Number of threads of the CPU back end, at most 16, or 4 for each core. Default: the number of cores. */
  readonly threads?: number;
  /** Paths of modules whose outputs `session.runAll` gives too: `['layer4']` for features. Default: none. */
  readonly outputs?: readonly string[];
  /** Makes every fallback an error; with `'auto'` also that from a GPU to the CPU. Default false. */
  readonly strict?: boolean;
  /**
   * Compares the outputs of one run on a GPU with those of the CPU back end before `compile` returns: some
   * drivers compute wrong results. Default false.
   */
  readonly verify?: boolean;
  /** Name of the model, which starts the path in error messages. Default: none. */
  readonly name?: string;
  /** Aborts the compilation; the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/**
 * Compiles a model for inference on one input shape. Lazy weights are read while the back end packs them.
 * @throws ShapeError if the input does not fit the model, with the module's path.
 * @throws WeightsMismatch if the weights do not fit, with the keys.
 * @throws BackendUnavailable if the back end cannot run here.
 * @throws VerificationFailed with `verify`, if the results are not the CPU's.
 * @example
 * const session = await compile(model, { weights: initialise(model, { seed: 1 }), input: [1, 1, 32, 32] });
 * const logits = await session.run(new Float32Array(32 * 32));
 */
export async function compile(model: Module, options: CompileModelOptions): Promise<Session> {
  if (kindOf(options) !== 'Object')
    throw new TypeError(
      `The second argument of compile is an object with weights and input, got ${describeValue(options)}.`,
    );
  const {
    weights,
    backend = 'auto',
    outputs = [],
    strict,
    threads,
    verify: verified = false,
    name = '',
    signal,
  } = options;
  // Copied, since the session uses it for all its life, and the caller may change the array.
  const input = requireShape(options.input);
  checkSignal(signal);
  if (!Array.isArray(outputs))
    throw new TypeError(`The option 'outputs' is a list of module paths, got ${describeValue(outputs)}.`);
  if (typeof backend !== 'string' && typeof backend?.compile !== 'function')
    throw new TypeError(
      `The option 'backend' is a name such as 'wasm', or a back end, got ${describeValue(backend)}.`,
    );
  const traced = trace(model, input, { name });
  for (const path of outputs) {
    const node = traced.modules.get(path);
    if (!node)
      throw new ShapeError(
        `${traced.at('')}: there is no module at '${path}' to give the output of; there are ${[...traced.modules.keys()].filter(Boolean).join(', ')}.`,
      );
    if ((traced.outputs.get(path) ?? node) !== node)
      throw new ShapeError(
        `${traced.at('')}: the module '${path}' has the name of another output of the model; rename the module to request its output.`,
      );
    traced.outputs.set(path, node);
  }
  requireMatch(name || 'the model', matchParameters(parameters(model), weights));
  const { graph, weights: values } = prepareForInference(traced, weights);
  const { program, fallbackReason } = await compileOn(backend, graph, values, { strict, threads, signal });
  if (verified && program.backend !== 'wasm' && program.backend !== 'reference')
    try {
      // Part of what pages with a GPU have loaded already.
      const { compareWithCpu } = await import('../backends/gpu/compilers.js');
      const { program: cpu } = await compileOn('wasm', graph, values, { signal });
      await compareWithCpu(program, cpu, graph, signal).finally(() => cpu.dispose());
    } catch (error) {
      await program.dispose();
      throw error;
    }
  return createSession(program, input, traced.output.shape, fallbackReason);
}
