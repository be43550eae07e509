/** Plans and compiles a trainer's step, and caches the features of a frozen trunk. */
import {
  type Backend,
  type BackendName,
  type Module,
  referenceBackend,
  type Shape,
  sizeOf,
  type Tensor,
  type Weights,
} from '@cnn/core';
import {
  compileOn,
  definitionOf,
  type Graph,
  inputsOf,
  type Program,
  prepareForInference,
  type Selected,
  verify,
} from '@cnn/core/graph';
import type { Batch, Dataset } from './data.js';
import { type Split, splitFrozen } from './split.js';
import { type StepOptions, stepInputs, trainingStep, withOptimizerState } from './step.js';

/** Back end of a step. */
export interface PlaceOptions {
  /**
   * Default `'auto'`. `'reference'` computes in float32, the precision of checkpoints; pass
   * `referenceBackend()` for float64.
   */
  readonly backend?: BackendName | Backend;
  readonly threads?: number;
  /** Makes any fallback an error. Default false. */
  readonly strict?: boolean;
}

/** Options of a step's program. */
export interface StepProgramOptions extends StepOptions, PlaceOptions {
  readonly model: Module;
  /** Computes the frozen layers once per picture. Default false. */
  readonly cacheFeatures?: boolean;
}

/** Values by the names of the graph's inputs. */
export type Feeds = ReadonlyMap<string, Tensor>;

/** Graphs of a trainer's step. */
export interface StepPlan {
  /** Graph that runs at each step: the head if there is a split, else the whole step. */
  readonly graph: Graph;
  readonly split: Split | undefined;
  readonly classes: number;
}

/** Traces the step. Options that do not fit the model fail here, before anything is compiled. */
export function planStep({ model, cacheFeatures = false, ...options }: StepProgramOptions): StepPlan {
  const step = trainingStep(model, options);
  const split = cacheFeatures ? splitFrozen(step) : undefined;
  const graph = split?.head ?? step;
  verify(graph, definitionOf);
  return { graph, split, classes: step.outputs.get('logits')!.shape[1]! };
}

/** Gives the back end for training: the reference in float32 if it is named, else the given one. */
export const trainingBackend = (backend: BackendName | Backend = 'auto'): BackendName | Backend =>
  backend === 'reference' ? referenceBackend({ precision: 'float32' }) : backend;

/** Compiles the graph of a step with its complete state. */
export const compileStep = (
  graph: Graph,
  state: Weights,
  { backend, threads, strict }: PlaceOptions,
  signal?: AbortSignal,
): Promise<Selected> => compileOn(trainingBackend(backend), graph, state, { threads, strict, signal });

/** Gives the state before the first step: weights, optimizer state, averages. */
export const initialState = ({ graph }: StepPlan, weights: Weights, { loss }: StepOptions): Weights =>
  withOptimizerState(graph, weights, loss.constants);

/** Selects the values that the graph has inputs for. */
export function feedsOf(graph: Graph, values: Feeds): Feeds {
  return new Map(
    [...inputsOf(graph).keys()].map((name) => {
      const value = values.get(name);
      if (!value) throw new Error(`The training step has no value for its input '${name}'.`);
      return [name, value];
    }),
  );
}

/** Gives a batch by the names of the step's inputs. */
export const feedsOfBatch = ({ x, labels }: Batch): Feeds =>
  new Map([
    [stepInputs.x, x],
    [stepInputs.labels, labels],
  ]);

/** Compiles a graph without updates; what depends on its weights alone is computed here, not in each run. */
export async function compileFixed(
  graph: Graph,
  weights: Weights,
  place: PlaceOptions,
  signal?: AbortSignal,
): Promise<Program> {
  const prepared = prepareForInference(graph, weights);
  return (await compileStep(prepared.graph, prepared.weights, place, signal)).program;
}

/** Features of the pictures of one dataset, each computed once by the frozen trunk. */
export interface FeatureCache {
  /**
   * Gives features and labels of a batch; missing ones are loaded and computed. Rows after the last example
   * are 0. A call with another dataset empties the cache.
   */
  feeds(
    dataset: Dataset,
    indices: readonly number[],
    load: () => Promise<Batch>,
    signal?: AbortSignal,
  ): Promise<Feeds>;
  dispose(): Promise<void>;
}

/** Makes a cache for the trunk of a split graph. */
export async function featureCache(
  { trunk, features }: Split,
  weights: Weights,
  place: PlaceOptions,
): Promise<FeatureCache> {
  const program = await compileFixed(trunk, weights, place);
  let of: Dataset | undefined;
  const known = new Map<
    number,
    { readonly label: number; readonly rows: ReadonlyMap<string, Float32Array> }
  >();
  return {
    async feeds(dataset, indices, load, signal) {
      if (dataset !== of) known.clear();
      of = dataset;
      if (indices.some((index) => !known.has(index))) await compute(program, indices, await load(), signal);
      const batch = [...features].map(([name, shape]): [string, Tensor] => {
        const data = new Float32Array(sizeOf(shape));
        const size = data.length / shape[0]!;
        for (const [row, index] of indices.entries()) data.set(known.get(index)!.rows.get(name)!, row * size);
        return [name, { shape, data }];
      });
      const labels = Float32Array.from(indices, (index) => known.get(index)!.label);
      return new Map([...batch, [stepInputs.labels, { shape: [labels.length], data: labels }]]);
    },
    dispose: () => program.dispose(),
  };

  async function compute(
    on: Program,
    indices: readonly number[],
    { x, labels }: Batch,
    signal?: AbortSignal,
  ): Promise<void> {
    const results = await on.run(new Map([[stepInputs.x, x]]), signal);
    for (const [row, index] of indices.entries()) {
      const rows = [...results].map(([name, { data, shape }]): [string, Float32Array] => {
        const size = data.length / (shape as Shape)[0]!;
        return [name, data.slice(row * size, (row + 1) * size)];
      });
      known.set(index, { label: labels.data[row]!, rows: new Map(rows) });
    }
  }
}
