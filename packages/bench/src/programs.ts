/**
 * Bundles the measured programs and the program that exports networks, minified, from the sources into the
 * cache folder.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Shape } from '@cnn/core';
import { formatShape } from '@cnn/core/graph';
import { type BuildOptions, build } from 'esbuild';
import { moduleTextPlugin } from '../../../scripts/moduleText.mjs';
import { cacheFolder, type RunContext, root } from './cacheFolder.js';
import type { ExportJob } from './exporter.js';
import type { Network } from './networks.js';
import { fileNames } from './peer.js';

const sources = fileURLToPath(new URL('.', import.meta.url));

/** Platform of a program. */
export type Platform = 'node' | 'page';

type BundleOptions = Pick<BuildOptions, 'alias' | 'mainFields'>;

/** Source of a peer's program: its imports, and the expression that creates the peer. */
interface ProgramSource {
  readonly imports: readonly string[];
  readonly peer: string;
  /** Further options of the bundle. */
  readonly options?: BundleOptions;
  /** Further options of the bundle for pages. */
  readonly pageOptions?: BundleOptions;
  /** True if the program contains the models of the network's family. */
  readonly withModels?: boolean;
}

const importOf = (file: string, ...names: string[]): string =>
  `import { ${names.join(', ')} } from '${file}';`;

const importOfModels = (family: string): string =>
  importOf(family === 'cifar' ? './cifarModels.js' : `@cnn/${family}`, 'models');

const programs: Readonly<Record<string, ProgramSource>> = {
  ours: { withModels: true, imports: [importOf('./peers/ours.js', 'ours')], peer: 'ours(models)' },
  'ours-webgpu': {
    withModels: true,
    imports: [importOf('./peers/ours.js', 'ours'), importOf('@cnn/core', 'gpuBackend')],
    peer: "ours(models, gpuBackend({ mode: 'webgpu' }))",
  },
  'ours-webgl2': {
    withModels: true,
    imports: [importOf('./peers/ours.js', 'ours'), importOf('@cnn/core', 'gpuBackend')],
    peer: "ours(models, gpuBackend({ mode: 'webgl2' }))",
  },
  'ours-training': {
    withModels: true,
    imports: [importOf('./peers/oursTraining.js', 'oursTraining')],
    peer: 'oursTraining(models)',
  },
  'jax-training': { imports: [importOf('./peers/jaxTraining.js', 'jaxTraining')], peer: 'jaxTraining' },
  'tfjs-training': {
    imports: [importOf('./peers/tfjsTraining.js', 'tfjsTraining')],
    peer: 'tfjsTraining',
    // Only its ES modules contain the gradients.
    options: { mainFields: ['module', 'main'] },
  },
  'onnxruntime-node': {
    imports: [importOf('./peers/onnxruntimeNode.js', 'onnxruntimeNode')],
    peer: 'onnxruntimeNode',
  },
  'onnxruntime-web': {
    imports: [importOf('./peers/onnxruntimeWeb.js', 'onnxruntimeWeb')],
    peer: 'onnxruntimeWeb',
    // Node loads the installed package; a page needs only the CPU part of it.
    pageOptions: { alias: { 'onnxruntime-web': 'onnxruntime-web/wasm' } },
  },
  'onnxruntime-webgpu': {
    imports: [importOf('./peers/onnxruntimeWebgpu.js', 'onnxruntimeWebgpu')],
    peer: 'onnxruntimeWebgpu',
  },
  'tfjs-wasm': { imports: [importOf('./peers/tfjsWasm.js', 'tfjsWasm')], peer: 'tfjsWasm' },
  'tfjs-webgpu': { imports: [importOf('./peers/tfjsGpu.js', 'tfjsGpu')], peer: "tfjsGpu('webgpu')" },
  'tfjs-webgl': { imports: [importOf('./peers/tfjsGpu.js', 'tfjsGpu')], peer: "tfjsGpu('webgl')" },
};

/** Names of all peers. */
export const peerNames: readonly string[] = [...Object.keys(programs), 'pytorch'];

/** Path of PyTorch's program. */
export const torchProgram = join(sources, 'peers/torchTraining.py');

/** Bundles a program; returns its file, relative to the cache folder, and the SHA-256 of the bundle. */
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
    nodePaths: [join(cacheFolder, 'node_modules')],
    ...(platform === 'node'
      ? {
          platform: 'node',
          target: 'node20',
          external: ['onnxruntime-node', 'onnxruntime-web', '@jax-js/jax'],
          mainFields: ['main'],
          banner: {
            js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.filename);",
          },
          // tfjs-backend-wasm searches for its .wasm files in `__dirname`.
          define: {
            __dirname: JSON.stringify(join(cacheFolder, 'node_modules/@tensorflow/tfjs-backend-wasm/dist')),
          },
        }
      : {
          platform: 'browser',
          target: 'es2022',
          // Excludes onnxruntime's worker, whose source would be this bundle itself.
          conditions: ['onnxruntime-web-use-extern-wasm'],
        }),
    ...options,
  });
  const text = outputFiles[0]!.contents;
  await mkdir(join(cacheFolder, 'programs'), { recursive: true });
  await writeFile(cacheFolder + file, text);
  return { file, hash: createHash('sha256').update(text).digest('hex') };
}

const bundled = new Map<string, Promise<{ file: string; hash: string }>>();

function bundleOnce(name: string, source: string, platform: Platform, options?: BundleOptions) {
  const known = bundled.get(name) ?? bundle(name, source, platform, options);
  bundled.set(name, known);
  return known;
}

/** Bundles the program of a peer for a network; returns its file, relative to the cache folder. */
export async function programFor(peer: string, platform: Platform, { family }: Network): Promise<string> {
  const { imports, peer: expression, withModels, ...source } = programs[peer]!;
  const options = { ...source.options, ...(platform === 'page' ? source.pageOptions : {}) };
  const lines = [
    ...(withModels ? [importOfModels(family)] : []),
    ...imports,
    importOf(`./runners/${platform}.js`, 'serve'),
    `serve(${expression});`,
  ];
  const name = `${platform}-${peer}${withModels ? `-${family}` : ''}`;
  return (await bundleOnce(name, lines.join('\n'), platform, options)).file;
}

/**
 * Exports the files of a network for an input shape, unless they exist and were made by the same code.
 * @returns their folder, relative to the cache folder.
 */
export async function exportFiles(network: Network, input: Shape, context: RunContext): Promise<string> {
  const folder = `networks/${network.name}/`;
  const lines = [
    importOfModels(network.family),
    importOf('./exporter.js', 'exportNetwork'),
    'await exportNetwork(models);',
  ];
  const { file, hash } = await bundleOnce(`export-${network.family}`, lines.join('\n'), 'node');
  const record = `${cacheFolder}${folder}made-by.json`;
  const made: Record<string, string> = existsSync(record) ? JSON.parse(await readFile(record, 'utf8')) : {};
  const wanted = Object.values(fileNames(input));
  const done = wanted.filter((name) => made[name] === hash);
  if (done.length === wanted.length) return folder;
  context.note(`Exporting ${network.name} for ${formatShape(input)}`);
  const job: ExportJob = {
    network: network.name,
    gain2: network.gain2,
    input,
    folder: cacheFolder + folder,
    done,
  };
  await promisify(execFile)(process.execPath, [cacheFolder + file, JSON.stringify(job)], {
    signal: context.signal,
  });
  for (const name of wanted) made[name] = hash;
  await writeFile(record, JSON.stringify(made, null, 2));
  return folder;
}
