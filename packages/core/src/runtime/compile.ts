/** From a model and weights to a session: trace, simplify, verify, and hand over to a back end. */
import type { Backend } from '../backends/backend.js';
import { type BackendName, compileOn } from '../backends/select.js';
import { ShapeError } from '../errors.js';
import type { Module } from '../nn/module.js';
import { trace } from '../nn/trace.js';
import { matchParameters, parameters, requireMatch } from '../nn/walk.js';
import { prepareForInference } from '../passes/prepareForInference.js';
import type { Shape } from '../tensor/shape.js';
import type { Weights } from '../tensor/tensor.js';
import { compareWithCpu } from './compare.js';
import { createSession, type Session } from './session.js';

/** Options of {@link compile}. */
export interface CompileModelOptions {
  /** Weights by state-dict name: from `readWeights` or `initialise`. Keys must be exactly the model's. */
  readonly weights: Weights;
  /** The input's shape, batch first: `[1, 3, 224, 224]`. */
  readonly input: Shape;
  /** Default `'auto'`: a GPU where a real one answers, else wasm; `session.backend` says which it is. */
  readonly backend?: BackendName | Backend;
  /** Threads for the CPU path. Default: as many as there are cores. */
  readonly threads?: number;
  /** Paths of modules whose outputs `session.runAll` gives too, `['layer4']` for features. */
  readonly outputs?: readonly string[];
  /** Makes any fallback an error, with `'auto'` that from a GPU to the CPU too. Default false. */
  readonly strict?: boolean;
  /**
   * Compares one run with the CPU path before the session is given out, where it is not the CPU path itself.
   * Shows drivers that compute wrongly. Default false.
   */
  readonly verify?: boolean;
  /** Starts the path in error messages. */
  readonly name?: string;
  readonly signal?: AbortSignal;
}

/**
 * Compiles a model for inference on one input shape.
 * @throws ShapeError when the input does not fit the model, with the module's path.
 * @throws WeightsMismatch when the weights do not fit, naming every key.
 * @throws BackendUnavailable when the back end cannot run here.
 * @throws VerificationFailed with `verify`, when the results are not the CPU's.
 * @example
 * const session = await compile(model, { weights: initialise(model, { seed: 1 }), input: [1, 1, 32, 32] });
 * const logits = await session.run(new Float32Array(32 * 32));
 */
export async function compile(model: Module, options: CompileModelOptions): Promise<Session> {
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
  // A copy: the session goes by it for as long as it lives, whatever becomes of the caller's list.
  const input = [...options.input];
  signal?.throwIfAborted();
  const traced = trace(model, input, { name });
  for (const path of outputs) {
    const node = traced.modules.get(path);
    if (!node)
      throw new ShapeError(
        `${traced.at('')}: there is no module at '${path}' to give the output of; there are ${[...traced.modules.keys()].filter(Boolean).join(', ')}.`,
      );
    if ((traced.outputs.get(path) ?? node) !== node)
      throw new ShapeError(
        `${traced.at('')}: the module '${path}' has the name of another output of the model; rename it to ask for what it gives.`,
      );
    traced.outputs.set(path, node);
  }
  requireMatch(name || 'the model', matchParameters(parameters(model), weights));
  const { graph, weights: values } = prepareForInference(traced, weights);
  const { program, fallbackReason } = await compileOn(backend, graph, values, { strict, threads, signal });
  if (verified && program.backend !== 'wasm' && program.backend !== 'reference')
    try {
      await compareWithCpu(program, graph, values, signal);
    } catch (error) {
      await program.dispose();
      throw error;
    }
  return createSession(program, input, traced.output.shape, fallbackReason);
}
