/**
 * The benchmark's cache folder `.bench`, ignored by git: installed peers, bundled programs, exported
 * networks. Everything in it can be deleted at any time.
 */
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** Root folder of the repository, with a trailing slash. */
export const root = fileURLToPath(new URL('../../..', import.meta.url));

/** Path of the cache folder, with a trailing slash. */
export const cacheFolder = fileURLToPath(new URL('../.bench/', import.meta.url));

/**
 * Exact versions of the peers that are installed into the cache folder; onnxruntime-node comes with the
 * workspace.
 */
export const pins: Readonly<Record<string, string>> = {
  '@jax-js/jax': '0.1.25',
  'onnxruntime-web': '1.30.0',
  '@tensorflow/tfjs-core': '4.22.0',
  '@tensorflow/tfjs-backend-wasm': '4.22.0',
  '@tensorflow/tfjs-backend-webgl': '4.22.0',
  '@tensorflow/tfjs-backend-webgpu': '4.22.0',
};

/** Messages and cancellation of one invocation of the benchmark. */
export interface RunContext {
  /** Prints a line for the user. */
  note(line: string): void;
  /** Cancels all work. */
  readonly signal: AbortSignal;
}

async function installInto(
  folder: string,
  packages: Readonly<Record<string, string>>,
  context: RunContext,
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
  context.note(`Installing into ${folder}: npm ${args.join(' ')}`);
  await promisify(execFile)('npm', args, { cwd: folder, signal: context.signal });
}

/** Installs missing peers into the cache folder. */
export const installPeers = (context: RunContext): Promise<void> => installInto(cacheFolder, pins, context);

/** Name and version of the npm library behind a peer; undefined for @cnn and PyTorch. */
export function libraryOf(peer: string): { readonly name: string; readonly version: string } | undefined {
  if (peer.startsWith('tfjs')) return { name: 'tfjs', version: pins['@tensorflow/tfjs-core']! };
  if (peer.startsWith('jax')) return { name: 'jax-js', version: pins['@jax-js/jax']! };
  if (peer.startsWith('onnxruntime-web'))
    return { name: 'onnxruntime-web', version: pins['onnxruntime-web']! };
  if (peer !== 'onnxruntime-node') return undefined;
  // The package does not export its package.json, so the file is read by path.
  const entry = createRequire(import.meta.url).resolve(peer);
  const { version } = JSON.parse(readFileSync(join(dirname(entry), '../package.json'), 'utf8')) as {
    version: string;
  };
  return { name: peer, version };
}

/** Installs a Node of the given major version from npm and returns the path of its executable. */
export async function installNode(major: number, context: RunContext): Promise<string> {
  const name = `node-${process.platform}-${process.arch}`;
  const folder = join(cacheFolder, `node${major}`);
  try {
    await installInto(folder, { [name]: String(major) }, context);
  } catch (error) {
    context.signal.throwIfAborted();
    throw new Error(
      `Node ${major} could not be installed as ${name}@${major}; pass the path of one with --node <path>. ${error instanceof Error ? error.message : error}`,
    );
  }
  return join(folder, 'node_modules', name, 'bin/node');
}
