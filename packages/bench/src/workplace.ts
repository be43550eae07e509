/**
 * The folder that the command works in, ignored by git: the peers that it installs, the programs that it
 * bundles, the networks that it exports. Everything in it can be deleted at any time.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { formatShape, type Shape } from '@cnn/core';
import { build } from 'esbuild';
import type { ExportJob } from './exporter.js';
import type { Network } from './networks.js';
import { fileNames } from './protocol.js';

const execute = promisify(execFile);

/** The repository. */
export const root = fileURLToPath(new URL('../../..', import.meta.url));

const sources = fileURLToPath(new URL('.', import.meta.url));

/** The folder, with a slash at the end. */
export const workplace = fileURLToPath(new URL('../.bench/', import.meta.url));

/** The peers that are installed here; onnxruntime-node comes with the workspace. */
export const pins: Readonly<Record<string, string>> = {
  'onnxruntime-web': '1.30.0',
  '@tensorflow/tfjs-core': '4.22.0',
  '@tensorflow/tfjs-backend-wasm': '4.22.0',
  '@tensorflow/tfjs-backend-webgl': '4.22.0',
  '@tensorflow/tfjs-backend-webgpu': '4.22.0',
};

/** Says what is being done, and runs until it is told to stop. */
export interface Work {
  note(line: string): void;
  readonly signal: AbortSignal;
}

async function installInto(
  folder: string,
  packages: Readonly<Record<string, string>>,
  work: Work,
): Promise<void> {
  const missing: string[] = [];
  for (const [name, version] of Object.entries(packages)) {
    const manifest = join(folder, 'node_modules', name, 'package.json');
    const found =
      existsSync(manifest) && (JSON.parse(await readFile(manifest, 'utf8')) as { version: string });
    if (!found || (found.version !== version && !found.version.startsWith(`${version}.`)))
      missing.push(`${name}@${version}`);
  }
  if (missing.length === 0) return;
  await mkdir(folder, { recursive: true });
  if (!existsSync(join(folder, 'package.json')))
    await writeFile(join(folder, 'package.json'), '{ "private": true }\n');
  const args = ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--save-exact', ...missing];
  work.note(`Installing into ${folder}: npm ${args.join(' ')}`);
  await execute('npm', args, { cwd: folder, signal: work.signal });
}

/** Installs the peers where they are missing. */
export const installPeers = (work: Work): Promise<void> => installInto(workplace, pins, work);

/** The version of the library behind a peer; undefined for ours. */
export function versionOfPeer(peer: string): string | undefined {
  if (peer.startsWith('tfjs')) return pins['@tensorflow/tfjs-core'];
  if (peer.startsWith('onnxruntime-web')) return pins['onnxruntime-web'];
  if (peer !== 'onnxruntime-node') return pins[peer];
  const require = createRequire(import.meta.url);
  // Its package.json is not among what it exports.
  const entry = require.resolve('onnxruntime-node');
  const manifest = readFileSync(join(dirname(entry), '../package.json'), 'utf8');
  return (JSON.parse(manifest) as { version: string }).version;
}

/** Installs a Node of that major version from npm, and gives the path of its executable. */
export async function installNode(major: number, work: Work): Promise<string> {
  const name = `node-${process.platform}-${process.arch}`;
  const folder = join(workplace, `node${major}`);
  try {
    await installInto(folder, { [name]: String(major) }, work);
  } catch (error) {
    work.signal.throwIfAborted();
    throw new Error(
      `Node ${major} could not be installed as ${name}@${major}; name one with --node <path>. ${error instanceof Error ? error.message : error}`,
    );
  }
  return join(folder, 'node_modules', name, 'bin/node');
}

/** Where a program runs. */
export type Platform = 'node' | 'page';

/** A program around a peer: what it imports, and the expression for the peer. */
interface ProgramSource {
  readonly imports: readonly string[];
  readonly peer: string;
  /** Names that stand for others in a page. */
  readonly alias?: Readonly<Record<string, string>>;
  /** Whether it holds the models of the network's family. */
  readonly ofFamily?: boolean;
}

const from = (file: string, ...names: string[]): string => `import { ${names.join(', ')} } from '${file}';`;

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
  'onnxruntime-node': {
    imports: [from('./peers/onnxruntimeNode.js', 'onnxruntimeNode')],
    peer: 'onnxruntimeNode',
  },
  'onnxruntime-web': {
    imports: [from('./peers/onnxruntimeWeb.js', 'onnxruntimeWeb')],
    peer: 'onnxruntimeWeb',
    alias: { 'onnxruntime-web': 'onnxruntime-web/wasm' },
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
export const peerNames: readonly string[] = Object.keys(programs);

/** Bundles a program and gives the name of its file in the workplace. */
async function bundle(
  name: string,
  source: string,
  platform: Platform,
  alias: Readonly<Record<string, string>> = {},
): Promise<{ file: string; hash: string }> {
  const file = `programs/${name}.mjs`;
  const { outputFiles } = await build({
    stdin: { contents: source, resolveDir: sources, loader: 'ts' },
    bundle: true,
    minify: true,
    format: 'esm',
    write: false,
    tsconfig: join(root, 'tsconfig.base.json'),
    nodePaths: [join(workplace, 'node_modules')],
    ...(platform === 'node'
      ? {
          platform: 'node',
          target: 'node20',
          external: ['onnxruntime-node', 'onnxruntime-web'],
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
          alias,
        }),
  });
  const text = outputFiles[0]!.contents;
  await mkdir(join(workplace, 'programs'), { recursive: true });
  await writeFile(workplace + file, text);
  return { file, hash: createHash('sha256').update(text).digest('hex') };
}

const bundled = new Map<string, Promise<{ file: string; hash: string }>>();

function bundleOnce(...[name, source, platform, alias]: Parameters<typeof bundle>) {
  const known = bundled.get(name) ?? bundle(name, source, platform, alias);
  bundled.set(name, known);
  return known;
}

/** The program of a peer for a network: a file in the workplace, as a path relative to it. */
export async function programFor(peer: string, platform: Platform, { family }: Network): Promise<string> {
  const { imports, peer: expression, alias, ofFamily } = programs[peer]!;
  const lines = [
    ...(ofFamily ? [from(`@cnn/${family}`, 'models')] : []),
    ...imports,
    from(`./hosts/${platform}.js`, 'serve'),
    `serve(${expression});`,
  ];
  const name = `${platform}-${peer}${ofFamily ? `-${family}` : ''}`;
  return (await bundleOnce(name, lines.join('\n'), platform, alias)).file;
}

/** Writes the files of a network for an input, as far as they are missing or made by other code; gives their folder, relative to the workplace. */
export async function exportFiles(network: Network, input: Shape, work: Work): Promise<string> {
  const folder = `networks/${network.name}/`;
  const source = `import { models } from '@cnn/${network.family}';\nimport { exportNetwork } from './exporter.js';\nawait exportNetwork(models);\n`;
  const { file, hash } = await bundleOnce(`export-${network.family}`, source, 'node');
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
  await execute(process.execPath, [workplace + file, JSON.stringify(job)], { signal: work.signal });
  for (const name of wanted) made[name] = hash;
  await writeFile(record, JSON.stringify(made, null, 2));
  return folder;
}
