/**
 * The benchmark's cache folder `.bench`, ignored by git: installed peers, bundled programs, exported
 * networks. Everything in it can be deleted at any time.
 */
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { installLocked, isInstalled } from '@cnn/testing/lockedPackages';

/** Root folder of the repository, with a trailing slash. */
export const root = fileURLToPath(new URL('../../..', import.meta.url));

/** Path of the cache folder, with a trailing slash. */
export const cacheFolder = fileURLToPath(new URL('../.bench/', import.meta.url));

/** Folder that names the peers, with a lockfile; they are installed in the cache folder. */
const peers = fileURLToPath(new URL('../peers/', import.meta.url));

/** Exact versions of the peers that come from npm. */
const { dependencies: pins } = JSON.parse(readFileSync(`${peers}package.json`, 'utf8')) as {
  readonly dependencies: Readonly<Record<string, string>>;
};

/** The `package.json` beside the installed peers, from which they are resolved. */
export const besidePeers = `${cacheFolder}package.json`;

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
export async function installPeers(context: RunContext): Promise<void> {
  await mkdir(cacheFolder, { recursive: true });
  for (const file of ['package.json', 'pnpm-lock.yaml']) await copyFile(peers + file, cacheFolder + file);
  if (await isInstalled(cacheFolder)) return;
  context.note(`Installing the peers into ${cacheFolder}`);
  await installLocked(cacheFolder, context.signal);
}

/** Name and version of the npm library behind a peer; undefined for @cnn and PyTorch. */
export function libraryOf(peer: string): { readonly name: string; readonly version: string } | undefined {
  if (peer.startsWith('tfjs')) return { name: 'tfjs', version: pins['@tensorflow/tfjs-core']! };
  if (peer.startsWith('jax')) return { name: 'jax-js', version: pins['@jax-js/jax']! };
  if (peer.startsWith('onnxruntime-web'))
    return { name: 'onnxruntime-web', version: pins['onnxruntime-web']! };
  return peer === 'onnxruntime-node' ? { name: peer, version: pins[peer]! } : undefined;
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
