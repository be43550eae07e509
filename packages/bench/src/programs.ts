/** The programs that are measured and the one that exports networks: bundled from the sources, minified, into the workplace. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { formatShape, type Shape } from '@cnn/core';
import { type BuildOptions, build } from 'esbuild';
import { moduleTextPlugin } from '../../../scripts/moduleText.mjs';
import type { ExportJob } from './exporter.js';
import type { Network } from './networks.js';
import { fileNames } from './protocol.js';
import { root, type Work, workplace } from './workplace.js';

const sources = fileURLToPath(new URL('.', import.meta.url));

/** Where a program runs. */
export type Platform = 'node' | 'page';

type BundleOptions = Pick<BuildOptions, 'alias' | 'mainFields'>;

/** A program around a peer: what it imports, and the expression for the peer. */
interface ProgramSource {
  readonly imports: readonly string[];
  readonly peer: string;
  /** What its bundle needs beyond what all have. */
  readonly options?: BundleOptions;
  /** The same, in pages alone. */
  readonly pageOptions?: BundleOptions;
  /** Whether it holds the models of the network's family. */
  readonly ofFamily?: boolean;
}

const from = (file: string, ...names: string[]): string => `import { ${names.join(', ')} } from '${file}';`;

const importOfModels = (family: string): string =>
  from(family === 'cifar' ? './cifarModels.js' : `@cnn/${family}`, 'models');

const programs: Readonly<Record<string, ProgramSource>> = {
  ours: { ofFamily: true, imports: [from('./peers/ours.js', 'ours')], peer: 'ours(models)' },
  'ours-webgpu': {
    ofFamily: true,
    imports: [from('./peers/ours.js', 'ours'), from('@cnn/core', 'gpuBackend')],
    peer: "ours(models, gpuBackend({ mode: 'webgpu' }))",
  },
  'ours-webgl2': {
    ofFamily: true,
    imports: [from('./peers/ours.js', 'ours'), from('@cnn/core', 'gpuBackend')],
    peer: "ours(models, gpuBackend({ mode: 'webgl2' }))",
  },
  'ours-training': {
    ofFamily: true,
    imports: [from('./peers/oursTraining.js', 'oursTraining')],
    peer: 'oursTraining(models)',
  },
  'jax-training': { imports: [from('./peers/jaxTraining.js', 'jaxTraining')], peer: 'jaxTraining' },
  'tfjs-training': {
    imports: [from('./peers/tfjsTraining.js', 'tfjsTraining')],
    peer: 'tfjsTraining',
    // The gradients are in its ES modules only.
    options: { mainFields: ['module', 'main'] },
  },
  'onnxruntime-node': {
    imports: [from('./peers/onnxruntimeNode.js', 'onnxruntimeNode')],
    peer: 'onnxruntimeNode',
  },
  'onnxruntime-web': {
    imports: [from('./peers/onnxruntimeWeb.js', 'onnxruntimeWeb')],
    peer: 'onnxruntimeWeb',
    // In Node it is not bundled; in a page this is the part of it that the CPU needs.
    pageOptions: { alias: { 'onnxruntime-web': 'onnxruntime-web/wasm' } },
  },
  'onnxruntime-webgpu': {
    imports: [from('./peers/onnxruntimeWebgpu.js', 'onnxruntimeWebgpu')],
    peer: 'onnxruntimeWebgpu',
  },
  'tfjs-wasm': { imports: [from('./peers/tfjsWasm.js', 'tfjsWasm')], peer: 'tfjsWasm' },
  'tfjs-webgpu': { imports: [from('./peers/tfjsGpu.js', 'tfjsGpu')], peer: "tfjsGpu('webgpu')" },
  'tfjs-webgl': { imports: [from('./peers/tfjsGpu.js', 'tfjsGpu')], peer: "tfjsGpu('webgl')" },
};

/** The names of all peers. */
export const peerNames: readonly string[] = [...Object.keys(programs), 'pytorch'];

/** The program of PyTorch. */
export const torchProgram = join(sources, 'peers/torchTraining.py');

/** Bundles a program and gives the name of its file in the workplace. */
async function bundle(
  name: string,
  source: string,
  platform: Platform,
  options: BundleOptions = {},
): Promise<{ file: string; hash: string }> {
  const file = `programs/${name}.mjs`;
  const { outputFiles } = await build({
    stdin: { contents: source, resolveDir: sources, loader: 'ts' },
    bundle: true,
    minify: true,
    format: 'esm',
    write: false,
    tsconfig: join(root, 'tsconfig.base.json'),
    plugins: [moduleTextPlugin],
    nodePaths: [join(workplace, 'node_modules')],
    ...(platform === 'node'
      ? {
          platform: 'node',
          target: 'node20',
          external: ['onnxruntime-node', 'onnxruntime-web', '@jax-js/jax'],
          mainFields: ['main'],
          banner: {
            js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.filename);",
          },
          // tfjs-backend-wasm looks for its .wasm files beside itself.
          define: {
            __dirname: JSON.stringify(join(workplace, 'node_modules/@tensorflow/tfjs-backend-wasm/dist')),
          },
        }
      : {
          platform: 'browser',
          target: 'es2022',
          // Without its worker in the bundle: that would be this very bundle.
          conditions: ['onnxruntime-web-use-extern-wasm'],
        }),
    ...options,
  });
  const text = outputFiles[0]!.contents;
  await mkdir(join(workplace, 'programs'), { recursive: true });
  await writeFile(workplace + file, text);
  return { file, hash: createHash('sha256').update(text).digest('hex') };
}

const bundled = new Map<string, Promise<{ file: string; hash: string }>>();

function bundleOnce(...[name, source, platform, options]: Parameters<typeof bundle>) {
  const known = bundled.get(name) ?? bundle(name, source, platform, options);
  bundled.set(name, known);
  return known;
}

/** The program of a peer for a network: a file in the workplace, as a path relative to it. */
export async function programFor(peer: string, platform: Platform, { family }: Network): Promise<string> {
  const { imports, peer: expression, ofFamily, ...source } = programs[peer]!;
  const options = { ...source.options, ...(platform === 'page' ? source.pageOptions : {}) };
  const lines = [
    ...(ofFamily ? [importOfModels(family)] : []),
    ...imports,
    from(`./hosts/${platform}.js`, 'serve'),
    `serve(${expression});`,
  ];
  const name = `${platform}-${peer}${ofFamily ? `-${family}` : ''}`;
  return (await bundleOnce(name, lines.join('\n'), platform, options)).file;
}

/** Writes the files of a network for an input, as far as they are missing or made by other code; gives their folder, relative to the workplace. */
export async function exportFiles(network: Network, input: Shape, work: Work): Promise<string> {
  const folder = `networks/${network.name}/`;
  const lines = [
    importOfModels(network.family),
    from('./exporter.js', 'exportNetwork'),
    'await exportNetwork(models);',
  ];
  const { file, hash } = await bundleOnce(`export-${network.family}`, lines.join('\n'), 'node');
  const record = `${workplace}${folder}made-by.json`;
  const made: Record<string, string> = existsSync(record) ? JSON.parse(await readFile(record, 'utf8')) : {};
  const wanted = Object.values(fileNames(input));
  const done = wanted.filter((name) => made[name] === hash);
  if (done.length === wanted.length) return folder;
  work.note(`Exporting ${network.name} for ${formatShape(input)}`);
  const job: ExportJob = {
    network: network.name,
    gain2: network.gain2,
    input,
    folder: workplace + folder,
    done,
  };
  await promisify(execFile)(process.execPath, [workplace + file, JSON.stringify(job)], {
    signal: work.signal,
  });
  for (const name of wanted) made[name] = hash;
  await writeFile(record, JSON.stringify(made, null, 2));
  return folder;
}
