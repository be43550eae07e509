/**
 * Shows which networks' generated code a change of the wasm back end affects: digests of the WebAssembly functions and
 * the command lists of every network, for inference and for training steps, on every kind of engine and on 1, 2 and 3
 * threads, and of the packed weights of some. CONTRIBUTING.md says how to use it.
 */
import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import {
  type ModelEntry,
  type Module,
  parameters,
  sizeOf,
  type Tensor,
  trace,
  type Weights,
} from '@cnn/core';
import { type Graph, parametersOf, prepareForInference } from '@cnn/core/graph';
import { adam, crossEntropy, sgd } from '@cnn/train';
import { families, loadFamily } from '../packages/cli/src/registry.js';
import { engineFor } from '../packages/core/src/backends/wasm/codegen/engine.js';
import { lowererFor } from '../packages/core/src/backends/wasm/ops/index.js';
import { planGraph } from '../packages/core/src/backends/wasm/planGraph.js';
import { layOutMemory } from '../packages/core/src/backends/wasm/runtime/memoryImage.js';
import { tileBatch } from '../packages/core/src/backends/wasm/schedule/batchTile.js';
import { trainingStep } from '../packages/train/src/step.js';

/** Networks whose packed weights are compared, and whose training step is compared with Adam as well as SGD. */
const thorough = new Set([
  'lenet5',
  'mobilenet_v2',
  'shufflenet_v2_x1_0',
  'resnet18',
  'efficientnet_b0',
  'densenet121',
  'googlenet',
]);

/** Every kind of engine: FMA or not, before Turboshaft, 128 bits, 256 bits. */
const engines = [false, true].flatMap((relaxedSimd) => [
  engineFor({ simd: true, threads: true, relaxedSimd, memory64: false }),
  engineFor({ simd: true, threads: true, relaxedSimd, memory64: true }),
  engineFor({ simd: true, threads: true, relaxedSimd, memory64: true }, true),
]);

/** Positive values of no meaning. */
const values = Float32Array.from(
  { length: 2 ** 20 },
  (_, i) => 0.25 + (((i + 1) * 2654435761) % 2 ** 32) / 2 ** 33,
);

/** A weight of any shape, made when it is read. */
const weightOf = (shape: readonly number[]): Tensor => ({
  shape,
  get data() {
    const data = new Float32Array(sizeOf(shape));
    for (let at = 0; at < data.length; at += values.length)
      data.set(values.subarray(0, Math.min(values.length, data.length - at)), at);
    return data;
  },
});

const weightsOf = (entries: Iterable<readonly [string, { readonly shape: readonly number[] }]>): Weights =>
  new Map([...entries].map(([name, { shape }]) => [name, weightOf(shape)]));

/** The module without its export section (id 7), whose names are no code. */
function withoutExports(module: Uint8Array): Uint8Array {
  const kept = [...module.subarray(0, 8)];
  for (let at = 8; at < module.length; ) {
    const start = at;
    const id = module[at++];
    let size = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = module[at++]!;
      size |= (byte & 127) << shift;
      if (byte < 128) break;
    }
    at += size;
    if (id !== 7) for (let i = start; i < at; i++) kept.push(module[i]!);
  }
  return Uint8Array.from(kept);
}

const digests: Record<string, string> = {};

/** Adds the digests of a graph; `filled` includes its packed weights for some engines. */
async function add(name: string, graph: Graph, weights: Weights, filled: boolean): Promise<void> {
  const lowerer = await lowererFor(graph);
  const tiled = tileBatch(graph);
  for (const [index, engine] of engines.entries())
    for (const threads of [1, 2, 3]) {
      const { parts } = planGraph(tiled, weights, engine, threads, lowerer);
      const { fills: all, region } = parts.constants;
      const fills = all.splice(0);
      const fill = filled && index % 2 === 1 && threads === 2;
      if (fill) all.push(...fills);
      const image = layOutMemory(parts, threads > 1);
      const memory = new ArrayBuffer(image.filled);
      await image.fill(memory);
      const { pages, commands, computePhaseCount, times } = image;
      const places = fills.map(({ at, floats, pieces }) => [at.address, floats, pieces]);
      const hash = createHash('sha256').update(withoutExports(image.module));
      hash.update(JSON.stringify([pages, commands, computePhaseCount, times, image.filled, places]));
      hash.update(new Uint8Array(memory, 0, fill ? image.filled : region.base));
      digests[`${name}, ${threads} threads, ${JSON.stringify(engine)}`] = hash.digest('hex').slice(0, 16);
    }
}

async function addNetwork({ name, build, input, minimum }: ModelEntry): Promise<void> {
  const model: Module = build();
  const weights = weightsOf(parameters(model));
  for (const batch of [1, 8]) {
    const prepared = prepareForInference(trace(model, [batch, ...input.slice(1)]), weights);
    await add(`${name}, batch ${batch}`, prepared.graph, prepared.weights, batch === 1 && thorough.has(name));
  }
  const side = (extent: number): number => Math.max(minimum, Math.min(64, extent));
  const small = [4, input[1]!, side(input[2]!), side(input[3]!)];
  const optimizers = { sgd: sgd({ momentum: 0.9 }), ...(thorough.has(name) ? { adam: adam() } : {}) };
  for (const [kind, optimizer] of Object.entries(optimizers)) {
    const step = trainingStep(model, { loss: crossEntropy(), optimizer, input: small });
    await add(`${name}, ${kind}`, step, weightsOf(parametersOf(step)), false);
  }
}

const usage = 'Usage: codeDigest.ts --save <file.json> | --compare <file.json> [part of the names]';
const { values: options, positionals } = parseArgs({
  args: process.argv.slice(2),
  allowPositionals: true,
  options: { save: { type: 'string' }, compare: { type: 'string' } },
});
const file = options.save ?? options.compare;
if (!file) throw new Error(usage);
const [part = ''] = positionals;
const before = options.compare
  ? (JSON.parse(await readFile(file, 'utf8')) as Readonly<Record<string, string>>)
  : undefined;
for (const family of Object.keys(families))
  for (const entry of Object.values((await loadFamily(family)).loaded!.models)) {
    if (!entry.name.includes(part)) continue;
    await addNetwork(entry);
    console.error(`${entry.name}: ${Object.keys(digests).length} digests`);
  }
if (!before) await writeFile(file, `${JSON.stringify(digests, null, 1)}\n`);
else {
  const names = new Set([...Object.keys(before), ...Object.keys(digests)]);
  const compared = [...names].filter((name) => name.slice(0, name.indexOf(',')).includes(part));
  const changed = compared.filter((name) => before[name] !== digests[name]);
  console.log(`${compared.length - changed.length} of ${compared.length} digests are the same.`);
  for (const name of changed.slice(0, 20)) console.log(name);
  process.exitCode = changed.length > 0 ? 1 : 0;
}
