/**
 * Grad-CAM: a map of the evidence for a class in a picture. Weights the channels of a layer by the mean gradient of
 * the class's logit, sums them, and sets negative values, evidence against the class, to 0.
 *
 * Paper: Selvaraju et al., Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization,
 * ICCV 2017, equations 1 and 2. https://arxiv.org/abs/1610.02391
 */
import {
  type Backend,
  type BackendName,
  globalAvgPool,
  type Module,
  mul,
  type Node,
  parameters,
  relu,
  reshape,
  type Shape,
  ShapeError,
  sizeOf,
  type Tensor,
  tensor,
  topK,
  trace,
  type Weights,
} from '@cnn/core';
import {
  checkSignal,
  compileOn,
  createQueue,
  definitionOf,
  differentiate,
  emit,
  evaluateConstants,
  foldBatchNorm,
  forInference,
  formatShape,
  type Graph,
  inputTensor,
  matchParameters,
  ops,
  prune,
  requireMatch,
  verify,
} from '@cnn/core/graph';

/** Options of {@link gradCam}. */
export interface GradCamOptions {
  /** Weights by state-dict name; keys must be exactly the model's. */
  readonly weights: Weights;
  /** The input's shape: one picture, `[1, 3, 224, 224]`. */
  readonly input: Shape;
  /** Path of the module to explain, such as `'layer4'`. Default: the last one whose output is a feature map. */
  readonly layer?: string;
  /** Default `'auto'`. */
  readonly backend?: BackendName | Backend;
  readonly threads?: number;
  /** Throws instead of falling back to another back end or fewer threads. Default false. */
  readonly strict?: boolean;
  /** The model's name, for error messages. */
  readonly name?: string;
  readonly signal?: AbortSignal;
}

/** Options of one explanation. */
export interface ExplainOptions {
  /** The class to explain. Default: the one with the largest logit. */
  readonly classIndex?: number;
  readonly signal?: AbortSignal;
}

/** The evidence for a class. */
export interface Explanation {
  readonly classIndex: number;
  /** The model's output, 1 x classes. */
  readonly logits: Tensor;
  /** The evidence at each pixel of the layer, h x w, divided by its maximum: from 0 (none) to 1 (strongest). */
  readonly map: Tensor;
}

/** A compiled model that explains its predictions. Dispose of it when done. */
export interface GradCam {
  /** Path of the explained layer. */
  readonly layer: string;
  /** The back end in use. */
  readonly backend: string;
  readonly threads: number;
  /** The reason if back end or threads differ from the requested ones, else undefined. */
  readonly fallbackReason: string | undefined;
  /**
   * Explains the prediction for one picture. Concurrent calls are queued.
   * @throws ShapeError if the shape of x is not the compiled one.
   * @throws RangeError if there is no such class.
   */
  explain(x: Tensor | Float32Array, options?: ExplainOptions): Promise<Explanation>;
  /** Releases memory, threads and device; may be called again. */
  dispose(): Promise<void>;
  /** The same, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Names of the program's inputs and outputs. */
const names = { x: 'x', classMask: 'classMask', logits: 'logits', map: 'map', layer: 'layer' } as const;

/**
 * Compiles a model, with the gradient of one layer, to explain its predictions by Grad-CAM.
 * @throws ShapeError if there is no such layer, or its output is not a feature map; the message names valid layers.
 * @throws WeightsMismatch if the weights do not fit, naming keys.
 * @throws BackendUnavailable if the back end cannot run here.
 * @example
 * const cam = await gradCam(model, { weights: initialise(model, { seed: 1 }), input: [1, 3, 64, 64] });
 * const { map, classIndex } = await cam.explain(new Float32Array(3 * 64 * 64).fill(0.5));
 */
export async function gradCam(model: Module, options: GradCamOptions): Promise<GradCam> {
  const { weights, input, name = '', backend = 'auto', threads, strict, signal } = options;
  checkSignal(signal);
  requireMatch(name || 'the model', matchParameters(parameters(model), weights));
  const traced = trace(model, input, { name });
  const layer = options.layer ?? lastFeatureMap(traced);
  const { graph, classes } = gradCamGraph(traced, layer);
  // `gradCamGraph` folds batch norms before it differentiates; nothing is fused.
  const evaluated = evaluateConstants(graph, weights);
  verify(evaluated.graph, definitionOf);
  const { program, fallbackReason } = await compileOn(backend, evaluated.graph, evaluated.weights, {
    threads,
    strict,
    signal,
  });

  // A program runs one call at a time, and an explanation without a class runs it twice.
  const enqueue = createQueue();
  const run = async (x: Tensor, classIndex: number | undefined, at?: AbortSignal) => {
    const mask = new Float32Array(classes);
    if (classIndex !== undefined) mask[classIndex] = 1;
    const results = await program.run(
      new Map([
        [names.x, x],
        [names.classMask, tensor(mask, [1, classes])],
      ]),
      at,
    );
    return { logits: results.get(names.logits)!, map: results.get(names.map)! };
  };
  let disposal: Promise<void> | undefined;
  const dispose = (): Promise<void> => {
    disposal ??= enqueue(() => program.dispose());
    return disposal;
  };
  return {
    layer,
    backend: program.backend,
    threads: program.threads,
    fallbackReason,
    async explain(x, { classIndex, signal: at } = {}) {
      const fed = inputTensor(x, input);
      if (
        classIndex !== undefined &&
        !(Number.isInteger(classIndex) && classIndex >= 0 && classIndex < classes)
      )
        throw new RangeError(`There is no class ${classIndex}; the model has classes 0 to ${classes - 1}.`);
      return enqueue(async () => {
        const wanted = classIndex ?? topK((await run(fed, undefined, at)).logits.data, 1)[0]!.index;
        const { logits, map } = await run(fed, wanted, at);
        return { classIndex: wanted, logits, map: normalised(map) };
      });
    },
    dispose,
    [Symbol.asyncDispose]: dispose,
  };
}

/**
 * Builds the graph of the forward pass, the gradient of `layer`, and the map. Its inputs are `x` and `classMask`, 1 at
 * the class and 0 elsewhere; its outputs are `logits` and `map`.
 */
function gradCamGraph(traced: Graph, layer: string): { readonly graph: Graph; readonly classes: number } {
  const node = traced.modules.get(layer);
  if (!node || !isFeatureMap(node))
    throw new ShapeError(
      `${traced.at('')}: ${node ? `the output of '${layer}', ${formatShape(node.shape)}, is not a feature map of more than one pixel` : `there is no module at '${layer}'`}; choose one of ${[...featureMaps(traced).keys()].join(', ')}.`,
    );
  const { output } = traced;
  const [batch, classes] = output.shape;
  if (output.shape.length !== 2 || batch !== 1)
    throw new ShapeError(
      `${traced.at('')}: Grad-CAM explains one picture at a time, from an output of 1 x classes; the model's is ${formatShape(output.shape)}. Compile it for an input of 1 x channels x height x width.`,
    );
  // As an output, the layer keeps its value: foldBatchNorm does not fold a following batch norm into it.
  traced.outputs.set(names.layer, node);
  const graph = prune(foldBatchNorm(forInference(traced)));
  const [logits, features] = [graph.output, graph.outputs.get(names.layer)!];
  const mask = graph.input(names.classMask, logits.shape);
  const gradient = differentiate(logits, [features], mask).get(features);
  if (!gradient)
    throw new ShapeError(`${graph.at(layer)}: the model's output does not depend on this layer.`);
  const importance = reshape([1, features.shape[1]!, 1, 1])(globalAvgPool(gradient));
  const shape = [1, 1, features.shape[2]!, features.shape[3]!];
  const map = relu(emit(ops.sumTo, [mul(features, importance)], { shape }));
  graph.outputs.clear();
  graph.outputs.set(names.logits, logits).set(names.map, map);
  return { graph: prune(graph), classes: classes! };
}

/** True if a node's value has rows and columns, more than one pixel. */
const isFeatureMap = ({ shape }: Node): boolean => shape.length === 4 && shape[2]! * shape[3]! > 1;

/** Returns the modules whose output is a feature map, by path. */
const featureMaps = (graph: Graph): ReadonlyMap<string, Node> =>
  new Map([...graph.modules].filter(([, node]) => isFeatureMap(node)));

/** Returns the path of the last module whose output is a feature map; the outermost, if several share the output. */
function lastFeatureMap(graph: Graph): string {
  const found = [...featureMaps(graph)];
  const last = Math.max(...found.map(([, node]) => graph.nodes.indexOf(node)));
  const paths = found.filter(([, node]) => graph.nodes.indexOf(node) === last).map(([path]) => path);
  if (paths.length === 0)
    throw new ShapeError(
      `${graph.at('')}: no module's output is a feature map, so there is no layer to explain.`,
    );
  return paths.reduce((shortest, path) => (path.length < shortest.length ? path : shortest));
}

/** Returns the map as h x w, divided by its maximum. */
function normalised({ shape, data }: Tensor): Tensor {
  const peak = data.reduce((most, value) => Math.max(most, value), 0);
  const size = [shape[2]!, shape[3]!];
  return tensor(peak > 0 ? data.map((value) => value / peak) : new Float32Array(sizeOf(size)), size);
}
