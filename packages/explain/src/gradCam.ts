/**
 * Grad-CAM: where in the picture the evidence for a class lies. The channels of a layer are weighted by the
 * mean gradient of the class's logit, added up, and what speaks against the class is cut off.
 *
 * Paper: Selvaraju et al., Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization,
 * ICCV 2017, equations 1 and 2. https://arxiv.org/abs/1610.02391
 */
import {
  type Backend,
  type BackendName,
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
  globalAvgPool,
  type Module,
  matchParameters,
  mul,
  type Node,
  ops,
  parameters,
  prune,
  relu,
  requireMatch,
  reshape,
  type Shape,
  ShapeError,
  sameShape,
  sizeOf,
  type Tensor,
  tensor,
  trace,
  verify,
  type Weights,
} from '@cnn/core';

/** Options of {@link gradCam}. */
export interface GradCamOptions {
  /** Weights by state-dict name; keys must be exactly the model's. */
  readonly weights: Weights;
  /** The input's shape: one picture, `[1, 3, 224, 224]`. */
  readonly input: Shape;
  /** Path of the module to look at, `'layer4'`. Default: the last one whose output still has rows and columns. */
  readonly layer?: string;
  /** Default `'auto'`. */
  readonly backend?: BackendName | Backend;
  readonly threads?: number;
  /** Makes any fallback an error. Default false. */
  readonly strict?: boolean;
  /** Starts the path in error messages. */
  readonly name?: string;
  readonly signal?: AbortSignal;
}

/** Options of one explanation. */
export interface ExplainOptions {
  /** Which class to explain. Default: the one with the largest logit. */
  readonly classIndex?: number;
  readonly signal?: AbortSignal;
}

/** What speaks for a class, and where. */
export interface Explanation {
  readonly classIndex: number;
  /** The model's output, 1 x classes. */
  readonly logits: Tensor;
  /** Evidence by place, of the layer's h x w: 1 where it is strongest, 0 where there is none. */
  readonly map: Tensor;
}

/** A compiled model that explains its answers. Dispose of it when done. */
export interface GradCam {
  /** The layer that is looked at. */
  readonly layer: string;
  /** What really runs. */
  readonly backend: string;
  readonly threads: number;
  /** Why it is not the back end or the threads that were asked for; undefined when it is. */
  readonly fallbackReason: string | undefined;
  /**
   * Explains the answer for one picture.
   * @throws ShapeError when x has another shape than was compiled for.
   * @throws RangeError when there is no such class.
   */
  explain(x: Tensor | Float32Array, options?: ExplainOptions): Promise<Explanation>;
  /** Gives back memory, threads and device; may be called again. */
  dispose(): Promise<void>;
  /** The same, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Names of the program's inputs and outputs. */
const names = { x: 'x', classMask: 'classMask', logits: 'logits', map: 'map', layer: 'layer' } as const;

/**
 * Compiles a model, forward and back to one of its layers, to explain its answers by Grad-CAM.
 * @throws ShapeError when there is no such layer, or it has no rows and columns; the message names those that do.
 * @throws WeightsMismatch when the weights do not fit, naming every key.
 * @throws BackendUnavailable when the back end cannot run here.
 * @example
 * const cam = await gradCam(model, { weights: initialise(model, { seed: 1 }), input: [1, 3, 64, 64] });
 * const { map, classIndex } = await cam.explain(new Float32Array(3 * 64 * 64).fill(0.5));
 */
export async function gradCam(model: Module, options: GradCamOptions): Promise<GradCam> {
  const { weights, input, name = '', backend = 'auto', threads, strict, signal } = options;
  signal?.throwIfAborted();
  requireMatch(name || 'the model', matchParameters(parameters(model), weights));
  const traced = trace(model, input, { name });
  const layer = options.layer ?? lastPicture(traced);
  const { graph, classes } = gradCamGraph(traced, layer);
  // `gradCamGraph` folds batch norms before it differentiates; nothing is fused.
  const evaluated = evaluateConstants(graph, weights);
  verify(evaluated.graph, definitionOf);
  const { program, fallbackReason } = await compileOn(backend, evaluated.graph, evaluated.weights, {
    threads,
    strict,
    signal,
  });

  // A program runs one call at a time, and an explanation without a class takes two of them.
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
      const fed = x instanceof Float32Array ? tensor(x, input) : x;
      if (!sameShape(fed.shape, input))
        throw new ShapeError(
          `It was compiled for an input of ${formatShape(input)}, got ${formatShape(fed.shape)}.`,
        );
      if (
        classIndex !== undefined &&
        !(Number.isInteger(classIndex) && classIndex >= 0 && classIndex < classes)
      )
        throw new RangeError(`There is no class ${classIndex}; the model has classes 0 to ${classes - 1}.`);
      return enqueue(async () => {
        const wanted = classIndex ?? largest((await run(fed, undefined, at)).logits.data);
        const { logits, map } = await run(fed, wanted, at);
        return { classIndex: wanted, logits, map: relative(map) };
      });
    },
    dispose,
    [Symbol.asyncDispose]: dispose,
  };
}

/** Forward, and back to the layer: outputs are the logits and the map. Inputs: x, and 1 at the class, else 0. */
function gradCamGraph(traced: Graph, layer: string): { readonly graph: Graph; readonly classes: number } {
  const node = traced.modules.get(layer);
  if (!node || !isPicture(node))
    throw new ShapeError(
      `${traced.at('')}: ${node ? `'${layer}' gives ${formatShape(node.shape)}, which has no rows and columns` : `there is no module at '${layer}'`}; look at one of ${[...pictures(traced).keys()].join(', ')}.`,
    );
  const { output } = traced;
  const [batch, classes] = output.shape;
  if (output.shape.length !== 2 || batch !== 1)
    throw new ShapeError(
      `${traced.at('')}: one picture is explained at a time, by a row of logits; the model gives ${formatShape(output.shape)}. Compile it for an input of 1 x channels x height x width.`,
    );
  // As an output the layer keeps its own value: a batch norm behind it is not folded into it.
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

const isPicture = ({ shape }: Node): boolean => shape.length === 4 && shape[2]! * shape[3]! > 1;

/** The modules whose output has rows and columns. */
const pictures = (graph: Graph): ReadonlyMap<string, Node> =>
  new Map([...graph.modules].filter(([, node]) => isPicture(node)));

/** Path of the last module with rows and columns; of several that end there, the outermost. */
function lastPicture(graph: Graph): string {
  const found = [...pictures(graph)];
  const last = Math.max(...found.map(([, node]) => graph.nodes.indexOf(node)));
  const paths = found.filter(([, node]) => graph.nodes.indexOf(node) === last).map(([path]) => path);
  if (paths.length === 0)
    throw new ShapeError(`${graph.at('')}: no module's output has rows and columns to look at.`);
  return paths.reduce((shortest, path) => (path.length < shortest.length ? path : shortest));
}

const largest = (values: Float32Array): number =>
  values.reduce((best, value, index) => (value > values[best]! ? index : best), 0);

/** The map as h x w, by its largest value. */
function relative({ shape, data }: Tensor): Tensor {
  const peak = data.reduce((most, value) => Math.max(most, value), 0);
  const size = [shape[2]!, shape[3]!];
  return tensor(peak > 0 ? data.map((value) => value / peak) : new Float32Array(sizeOf(size)), size);
}
