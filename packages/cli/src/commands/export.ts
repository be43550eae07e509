/** `cnn export <model>`: a model with its weights as an ONNX file, for any other engine. */
import { formatShape, inputsOf, matchWeights, requireMatch, trace, writeAtomically } from '@cnn/core';
import { toOnnx } from '@cnn/onnx';
import { type ModelRequest, openModel } from '../openModel.js';
import { megabytes, type Terminal } from '../terminal.js';

/** Options of the command. */
export interface ExportOptions extends Omit<ModelRequest, 'model'> {
  readonly input?: readonly number[];
  readonly out?: string;
  readonly dynamicBatch?: boolean;
  readonly json?: boolean;
}

/** Writes the file, and says what it holds. */
export async function exportOnnx(
  name: string,
  options: ExportOptions,
  terminal: Terminal,
  signal?: AbortSignal,
): Promise<void> {
  const { entry, model, weights } = await openModel({ ...options, model: name }, terminal, signal);
  const graph = trace(model, options.input ?? entry.input, { name });
  // Weights of another model may hold all the names that this one needs, and more.
  requireMatch(name, matchWeights(model, weights));
  const bytes = toOnnx(graph, weights, { dynamicBatch: options.dynamicBatch });
  signal?.throwIfAborted();
  const file = options.out ?? `${name}.onnx`;
  await writeAtomically(file, bytes);
  const shapes = {
    input: inputsOf(graph).get('x')!.shape,
    output: graph.output.shape,
  };
  if (options.json)
    return terminal.print(JSON.stringify({ model: name, file, bytes: bytes.length, ...shapes }, null, 2));
  const pictures = options.dynamicBatch ? ', for any number of pictures' : '';
  terminal.print(
    `${name} is in ${file} (${megabytes(bytes.length)}): x ${formatShape(shapes.input)} to output ${formatShape(shapes.output)}${pictures}.`,
  );
}
