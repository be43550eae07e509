/** Exports a graph and its weights as the bytes of an ONNX file. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Node, Shape, Transform, Weights } from '@cnn/core';
import {
  definitionOf,
  evaluateConstants,
  forInference,
  formatShape,
  type Graph,
  inputsOf,
  isInput,
  isParameter,
  matchParameters,
  parametersOf,
  prune,
  requireMatch,
  verify,
} from '@cnn/core/graph';
import { version } from '../package.json';
import { batchedNodes } from './batch.js';
import { GraphBuilder } from './builder.js';
import type { Call } from './call.js';
import { OnnxExportError } from './errors.js';
import { encodeModel } from './file.js';
import { TensorProto_DataType, type ValueInfoProtoSchema } from './onnx_pb.js';
import { operatorOf } from './operators.js';

/** The operator set of exported files: the engines in use support it, and it has every operator that exports need. */
const OPSET = 17;
/** The version of the file format that was released with operator set 17. */
const IR_VERSION = 8;

/** Options of {@link toOnnx}. */
export interface ToOnnxOptions {
  /**
   * Exports the batch size as the dynamic dimension `batch`: the network then takes any number of pictures,
   * whatever it was traced for. Default false.
   */
  readonly dynamicBatch?: boolean;
  /** Names of the outputs, which the file then holds as the metadata `labels`, a JSON list. Default: none. */
  readonly labels?: readonly string[];
  /**
   * Preprocessing of pictures, which the file then holds as the metadata `mean` and `std` (JSON lists, for pixels
   * from 0 to 1), `size` (side of the input), `resize` (shorter side before the crop) and `interpolation`.
   * Default: none.
   */
  readonly transform?: Transform;
}

/** Gives the metadata of a file: texts, as the standard demands. */
function metadataOf({ labels = [], transform }: ToOnnxOptions): readonly { key: string; value: string }[] {
  const values = {
    ...(labels.length > 0 ? { labels } : {}),
    ...(transform
      ? {
          mean: transform.mean,
          std: transform.std,
          size: transform.crop,
          resize: transform.resize,
          interpolation: transform.interpolation,
        }
      : {}),
  };
  return Object.entries(values).map(([key, value]) => ({
    key,
    value: typeof value === 'string' ? value : JSON.stringify(value),
  }));
}

/**
 * Exports a network as an ONNX model (operator set 17). Returns the bytes of an `.onnx` file.
 *
 * Takes the graph that `trace` returns, or a simplified one, with its weights. Inputs and outputs keep their names
 * (`x`, `output`), parameters have their names in the state dict, and nodes the names of their modules. Dropout is
 * omitted, and fused layers become separate nodes. Weights are copied once, into the file.
 * @throws OnnxExportError for a graph that trains, with the module and the op; with `dynamicBatch`, for a graph
 * that only works for one batch size; and for a file over protobuf's limit of 2 GB.
 * @throws ShapeError for an illegal graph.
 * @throws WeightsMismatch when weights are missing or have another shape, naming keys.
 * @example
 * const graph = trace(model, [1, 3, 224, 224], { name: 'resnet18' });
 * await writeFile('resnet18.onnx', toOnnx(graph, weights));
 */
export function toOnnx(graph: Graph, weights: Weights, options: ToOnnxOptions = {}): Uint8Array {
  const { dynamicBatch = false } = options;
  const name = graph.name || 'model';
  const { graph: network, values } = prepare(graph, weights);
  const batched = dynamicBatch ? batchedNodes(network) : new Set<Node>();
  const builder = new GraphBuilder();
  const describe = (value: string, node: Node) => valueInfo(value, node.shape, batched.has(node));

  const names = new Map<Node, string>();
  for (const [input, node] of inputsOf(network)) names.set(node, builder.claim(input));
  for (const output of network.outputs.keys()) builder.claim(output);
  for (const [parameter, node] of parametersOf(network))
    names.set(node, builder.weight(parameter, node.shape, values.get(parameter)!.data));

  const operations = network.nodes.filter((node) => !isInput(node) && !isParameter(node));
  const counts = new Map<string, number>();
  for (const { path } of operations) counts.set(path, (counts.get(path) ?? 0) + 1);
  for (const node of operations) {
    const owned = counts.get(node.path) === 1;
    names.set(node, exportNode(node, names, batched, builder, owned));
  }

  nameOutputs(network, names, builder);
  return encodeModel(
    {
      irVersion: BigInt(IR_VERSION),
      opsetImport: [{ domain: '', version: BigInt(OPSET) }],
      producerName: '@cnn/onnx',
      producerVersion: version,
      docString: documentation(name, network, dynamicBatch),
      metadataProps: [...metadataOf(options)],
    },
    {
      name,
      node: builder.nodes,
      input: [...inputsOf(network)].map(([input, node]) => describe(input, node)),
      output: [...network.outputs].map(([output, node]) => describe(output, node)),
      valueInfo: operations
        .map((node) => [names.get(node)!, node] as const)
        .filter(([value]) => !network.outputs.has(value))
        .map(([value, node]) => describe(value, node)),
    },
    builder.initializers,
  );
}

/** Returns the graph for inference with its weights; constant subgraphs have become weights. */
function prepare(graph: Graph, weights: Weights): { readonly graph: Graph; readonly values: Weights } {
  if (graph.updates.size > 0)
    throw new OnnxExportError(
      `${graph.at('')}: the graph is a training step, it updates ${[...graph.updates.keys()][0]}. Export the graph that trace returns.`,
    );
  verify(graph, definitionOf);
  const needed = prune(forInference(graph));
  const match = matchParameters(parametersOf(needed), weights);
  // Additional weights are accepted: a checkpoint may hold those of parts that only train, such as auxiliary heads.
  if (match.missing.length + match.shapeMismatch.length > 0) requireMatch(graph.at(''), match);
  const evaluated = evaluateConstants(needed, weights);
  return { graph: evaluated.graph, values: evaluated.weights };
}

/**
 * Appends the ONNX nodes of a node. Returns the name of the last value.
 * @param owned - true if no other node has the same path.
 */
function exportNode(
  node: Node,
  names: ReadonlyMap<Node, string>,
  batched: ReadonlySet<Node>,
  builder: GraphBuilder,
  owned: boolean,
): string {
  const operator = operatorOf(node);
  if (typeof operator !== 'function')
    throw new OnnxExportError(
      `${node.graph.at(node.path)}: ${node.op} cannot be exported to ONNX: ${operator}. Export the graph that trace returns.`,
    );
  const call: Call = {
    node,
    inputs: node.inputs.map((input) => names.get(input)!),
    emit: (opType, inputs, attributes = {}) => builder.node(opType, inputs, attributes, node.path, owned),
    integers: (kind, values, dims) => builder.integers(kind, values, dims),
    floats: (name, values, dims) => builder.floats(name, values, dims),
    // In the shape of a Reshape, 0 means the extent of the input.
    shape: (shape) => builder.integers('shape', batched.has(node) ? [0, ...shape.slice(1)] : shape),
  };
  return operator(call);
}

/** Renames the values that a run returns to the names of the outputs, which toOnnx has claimed. */
function nameOutputs(graph: Graph, names: Map<Node, string>, builder: GraphBuilder): void {
  const taken = new Set<string>();
  for (const [output, node] of graph.outputs) {
    const value = names.get(node)!;
    if (isInput(node) || isParameter(node) || taken.has(value)) {
      // An ONNX value has one name: a second one needs an Identity node.
      builder.nodes.push({
        name: `${output}/Identity`,
        opType: 'Identity',
        input: [value],
        output: [output],
      });
      continue;
    }
    taken.add(output);
    names.set(node, output);
    for (const { input, output: results } of builder.nodes)
      for (const list of [input, results])
        for (const [i, other] of list.entries()) if (other === value) list[i] = output;
  }
}

const valueInfo = (
  name: string,
  shape: Shape,
  batched: boolean,
): MessageInitShape<typeof ValueInfoProtoSchema> => ({
  name,
  type: {
    value: {
      case: 'tensorType',
      value: {
        elemType: TensorProto_DataType.FLOAT,
        shape: {
          dim: shape.map((extent, axis) => ({
            value:
              batched && axis === 0
                ? { case: 'dimParam' as const, value: 'batch' }
                : { case: 'dimValue' as const, value: BigInt(extent) },
          })),
        },
      },
    },
  },
});

/** Returns a description of the model, which viewers show. */
function documentation(name: string, graph: Graph, dynamicBatch: boolean): string {
  const list = (nodes: ReadonlyMap<string, Node>): string =>
    [...nodes].map(([key, { shape }]) => `${key} (${formatShape(shape)})`).join(', ');
  const open = dynamicBatch ? ' The batch size, the first dimension, is dynamic.' : '';
  return `${name}, from ${list(inputsOf(graph))} to ${list(graph.outputs)}, float32.${open} Exported by @cnn/onnx.`;
}
