/** Selects a back end by name, with the reason if it is not the first choice. */
import { BackendUnavailable, ShapeError } from '../errors.js';
import { elementsOf, type Graph, isInput } from '../graph/graph.js';
import { formatShape } from '../tensor/shape.js';
import type { Weights } from '../tensor/tensor.js';
import type { Backend, CompileOptions, Program } from './backend.js';
import { disposeIfDropped } from './common/dropped.js';
import { threadCount } from './common/threads.js';
import { gpuBackend } from './gpu/gpu.js';
import { referenceBackend } from './reference/reference.js';
import { wasmBackend } from './wasm/wasm.js';

/** Name of a back end. `auto` is a hardware GPU if there is one, else wasm, else the reference in float32. */
export type BackendName = 'auto' | 'gpu' | 'wasm' | 'reference';

/** A program, with the reason if it is not on the first choice. */
export interface Selected {
  readonly program: Program;
  readonly fallbackReason?: string;
}

const candidates: Readonly<Record<BackendName, readonly Backend[]>> = {
  auto: [gpuBackend({ software: false }), wasmBackend(), referenceBackend({ precision: 'float32' })],
  gpu: [gpuBackend()],
  wasm: [wasmBackend()],
  reference: [referenceBackend()],
};

/** Most values of an array: 4 GiB of float32, as much as WebAssembly addresses. */
const MAX_VALUES = 2 ** 30;

/**
 * Throws a ShapeError for values that no back end can hold, before one plans them: inputs and outputs, which are whole
 * batches, and the values of one image in between, since back ends may compute a batch in parts.
 */
function requireSizes(graph: Graph): void {
  const outputs = new Set(graph.outputs.values());
  for (const node of graph.nodes) {
    const isWhole = isInput(node) || outputs.has(node);
    // A scalar has no batch.
    const values = elementsOf(node) / (isWhole ? 1 : Math.max(1, node.shape[0] ?? 1));
    if (!(values <= MAX_VALUES))
      throw new ShapeError(
        `${graph.at(node.path)}: the ${node.op} of ${formatShape(node.shape)} has ${values.toLocaleString('en-US')} values${isWhole ? '' : ' for each image'}, more than ${MAX_VALUES.toLocaleString('en-US')} (4 GiB); make the picture or the batch smaller.`,
      );
  }
}

/**
 * Compiles on the named back end. A program that is dropped without `dispose` is disposed of late, with a warning.
 * `auto` falls back to the next one if one is unavailable, unless `strict`.
 * @param choice - a name, or a back end.
 * @throws ShapeError for a number of threads out of range, and for values beyond 4 GiB.
 * @throws BackendUnavailable if none of the candidates can run here; with `strict`, if the first cannot.
 */
export async function compileOn(
  choice: BackendName | Backend,
  graph: Graph,
  weights: Weights,
  { strict = false, ...options }: CompileOptions & { readonly strict?: boolean },
): Promise<Selected> {
  if (typeof choice === 'string' && !Object.hasOwn(candidates, choice))
    throw new BackendUnavailable(
      choice,
      `There is no back end called '${choice}'; use one of ${Object.keys(candidates).join(', ')}.`,
    );
  // Back ends without threads ignore the option; a wrong one is refused all the same.
  threadCount(options.threads);
  requireSizes(graph);
  const list = typeof choice === 'string' ? candidates[choice] : [choice];
  const reasons: string[] = [];
  for (const backend of list) {
    try {
      const program = await backend.compile(graph, weights, options);
      const fallbackReason = [...reasons, program.fallbackReason].filter(Boolean).join(' ') || undefined;
      if (strict && fallbackReason) {
        await program.dispose();
        throw new BackendUnavailable(backend.name, `With 'strict' there is no fallback. ${fallbackReason}`);
      }
      return { program: disposeIfDropped(program), fallbackReason };
    } catch (error) {
      if (!(error instanceof BackendUnavailable) || strict || list.length === 1) throw error;
      reasons.push(`${backend.name}: ${error.message}`);
    }
  }
  throw new BackendUnavailable(String(choice), `No back end can run here. ${reasons.join(' ')}`);
}
