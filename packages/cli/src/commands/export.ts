/** `cnn export [model]`: exports a model with its weights to ONNX. */
import { type ModelEntry, parameters, trace } from '@cnn/core';
import { formatShape, inputsOf, matchParameters, requireMatch } from '@cnn/core/graph';
import { toOnnx } from '@cnn/onnx';
import { requireResultPaths, writeResult, writtenTo } from '../files.js';
import { commandOf } from '../invocation.js';
import { type ModelRequest, openModel } from '../openModel.js';
import { megabytes, printJson, type Terminal } from '../terminal.js';
import { presetOf } from '../training/settings.js';

/** Options of the command. */
export interface ExportOptions extends ModelRequest {
  readonly input?: readonly number[];
  readonly out?: string;
  readonly dynamicBatch?: boolean;
  readonly json?: boolean;
}

/** Writes the file and prints its shapes. Without `--input` it has the input size of the weights. */
export async function exportOnnx(
  model: string | undefined,
  options: ExportOptions,
  terminal: Terminal,
  signal?: AbortSignal,
): Promise<void> {
  const check = ({ name }: ModelEntry): Promise<void> =>
    requireResultPaths({ '--out': options.out ?? `${name}.onnx` });
  const opened = await openModel(
    { ...options, model, typed: commandOf('export <model>'), check },
    terminal,
    signal,
  );
  const { weights, preset } = opened;
  const { name } = opened.entry;
  const graphInput = options.input ?? opened.input;
  const graph = trace(opened.model, graphInput, { name });
  // Names for another number of outputs belong to another model.
  const labels = opened.labels.length === graph.output.shape.at(-1) ? opened.labels : [];
  // Weights of another model may contain all names that this one needs, and more: refuse them.
  requireMatch(name, matchParameters(parameters(opened.model), weights));
  const bytes = toOnnx(graph, weights, {
    dynamicBatch: options.dynamicBatch,
    labels,
    transform: presetOf(preset, graphInput.at(-1)!),
  });
  signal?.throwIfAborted();
  const file = options.out ?? `${name}.onnx`;
  const replaced = await writeResult(file, bytes);
  const shapes = { input: inputsOf(graph).get('x')!.shape, output: graph.output.shape };
  if (options.json)
    return printJson(terminal, {
      model: name,
      file,
      bytes: bytes.length,
      ...shapes,
      transform: preset,
      classes: labels,
    });
  const pictures = options.dynamicBatch ? ', for any number of pictures' : '';
  terminal.print(
    `${name} is in ${writtenTo(file, replaced)} (${megabytes(bytes.length)}): x ${formatShape(shapes.input)} to output ${formatShape(shapes.output)}${pictures}.`,
  );
}
