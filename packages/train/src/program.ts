/** The compiled step of a trainer: its program, its state, and the values of a frozen trunk. */
import {
  type Backend,
  type BackendName,
  compileOn,
  definitionOf,
  type Graph,
  inputsOf,
  type Module,
  type Program,
  prepareForInference,
  referenceBackend,
  type Selected,
  type Shape,
  sizeOf,
  type Tensor,
  verify,
  type Weights,
} from '@cnn/core';
import type { Batch, Dataset } from './data.js';
import { type Split, splitFrozen } from './split.js';
import { type StepOptions, stepInputs, trainingStep, withOptimizerState } from './step.js';

/** Where a step runs. */
export interface PlaceOptions {
  /**
   * Default `'auto'`. `'reference'` computes in float32 here, so that a checkpoint holds its whole state;
   * give `referenceBackend()` for float64.
   */
  readonly backend?: BackendName | Backend;
  readonly threads?: number;
  /** Makes any fallback an error. Default false. */
  readonly strict?: boolean;
}

/** What a program is made from. */
export interface StepProgramOptions extends StepOptions, PlaceOptions {
  readonly model: Module;
  /** Computes the frozen layers once for each picture. Default false. */
  readonly cacheFeatures?: boolean;
}

/** Values by the names of the graph's inputs. */
export type Feeds = ReadonlyMap<string, Tensor>;

/** The step's graphs, fixed for a trainer. */
export interface StepPlan {
  /** What runs at each step. */
  readonly graph: Graph;
  readonly split: Split | undefined;
  readonly classes: number;
}

/** Traces the step; everything that can be wrong with the options shows here. */
export function planStep({ model, cacheFeatures = false, ...options }: StepProgramOptions): StepPlan {
  const step = trainingStep(model, options);
  const split = cacheFeatures ? splitFrozen(step) : undefined;
  const graph = split?.head ?? step;
  verify(graph, definitionOf);
  return { graph, split, classes: step.outputs.get('logits')!.shape[1]! };
}

/** The back end that training runs on. */
export const trainingBackend = (backend: BackendName | Backend = 'auto'): BackendName | Backend =>
  backend === 'reference' ? referenceBackend({ precision: 'float32' }) : backend;

/** Compiles a graph of a step with a complete state. */
export const compileStep = (
  graph: Graph,
  state: Weights,
  { backend, threads, strict }: PlaceOptions,
  signal?: AbortSignal,
): Promise<Selected> => compileOn(trainingBackend(backend), graph, state, { threads, strict, signal });

/** The state that a step starts with: weights, optimizer state, averages. */
export const initialState = ({ graph }: StepPlan, weights: Weights, { loss }: StepOptions): Weights =>
  withOptimizerState(graph, weights, loss.constants);

/** Only what the graph has an input for. */
export function feedsOf(graph: Graph, values: Feeds): Feeds {
  return new Map(
    [...inputsOf(graph).keys()].map((name) => {
      const value = values.get(name);
      if (!value) throw new Error(`The training step has an input '${name}' that nothing gives a value.`);
      return [name, value];
    }),
  );
}

/** A batch by the names of the step's inputs. */
export const feedsOfBatch = ({ x, labels }: Batch): Feeds =>
  new Map([
    [stepInputs.x, x],
    [stepInputs.labels, labels],
  ]);

/** Compiles a graph without anything to train, with what follows from its weights alone computed in advance. */
export async function compileFixed(
  graph: Graph,
  weights: Weights,
  place: PlaceOptions,
  signal?: AbortSignal,
): Promise<Program> {
  const prepared = prepareForInference(graph, weights);
  return (await compileStep(prepared.graph, prepared.weights, place, signal)).program;
}

/** The features of every picture of a dataset that has been seen, computed by the frozen trunk. */
export interface FeatureCache {
  /**
   * The features and labels of a batch, rows behind them 0; what is not known yet is loaded and computed. What is
   * known of another dataset is forgotten.
   */
  feeds(
    dataset: Dataset,
    indices: readonly number[],
    load: () => Promise<Batch>,
    signal?: AbortSignal,
  ): Promise<Feeds>;
  dispose(): Promise<void>;
}

/** A cache for the trunk of a split graph. */
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
