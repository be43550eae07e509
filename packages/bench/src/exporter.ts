/**
 * Writes the files of one network: weights, input, the ONNX model and the tfjs model. Runs in a separate
 * process.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { type ModelEntry, parameters, type Shape, trace, writeSafetensors } from '@cnn/core';
import { prepareForInference } from '@cnn/core/graph';
import { toOnnx } from '@cnn/onnx';
import { schemeInput, schemeWeights } from '@cnn/testing/scheme';
import { fileNames, Unsupported } from './peer.js';
import { toTfjs } from './peers/tfjsModel.js';

/** Command-line argument of the program, as JSON. */
export interface ExportJob {
  readonly network: string;
  readonly gain2: number;
  readonly input: Shape;
  readonly folder: string;
  /** Names of files that already exist. */
  readonly done: readonly string[];
}

/** Writes the missing files of the job on the command line. */
export async function exportNetwork(models: Readonly<Record<string, ModelEntry>>): Promise<void> {
  const { network, gain2, input, folder, done } = JSON.parse(process.argv[2]!) as ExportJob;
  const names = fileNames(input);
  await mkdir(folder, { recursive: true });
  const write = async (name: string, make: () => Uint8Array | string): Promise<void> => {
    if (!done.includes(name)) await writeFile(folder + name, make());
  };
  const model = models[network]!.build();
  const weights = schemeWeights(
    [...parameters(model)].map(([name, { shape }]) => [name, shape] as const),
    gain2,
  );
  const traced = trace(model, input, { name: network });
  await write(names.input, () => bytesOf(schemeInput(input).data));
  await write(names.weights, () => writeSafetensors(weights));
  await write(names.onnx, () => toOnnx(traced, weights));
  if (done.includes(names.tfjs) && done.includes(names.tfjsWeights)) return;
  const prepared = prepareForInference(traced, weights);
  try {
    const { model: translated, values } = toTfjs(prepared.graph, prepared.weights);
    await write(names.tfjsWeights, () => bytesOf(values));
    await write(names.tfjs, () => JSON.stringify(translated));
  } catch (error) {
    if (!(error instanceof Unsupported)) throw error;
    await write(names.tfjsWeights, () => '');
    await write(names.tfjs, () => JSON.stringify({ input, steps: [], unsupported: error.message }));
  }
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);
