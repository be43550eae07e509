/**
 * The folder that the command works in, ignored by git: the peers that it installs, the programs that it
 * bundles, the networks that it exports. Everything in it can be deleted at any time.
 */
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { installLocked, isInstalled } from '@cnn/testing/lockedPackages';

/** The repository. */
export const root = fileURLToPath(new URL('../../..', import.meta.url));

/** The folder, with a slash at the end. */
export const workplace = fileURLToPath(new URL('../.bench/', import.meta.url));

/** The folder that names the peers, with a lockfile; they are installed in the workplace. */
const peers = fileURLToPath(new URL('../peers/', import.meta.url));

/** The versions of the peers that come from npm. */
const { dependencies: pins } = JSON.parse(readFileSync(`${peers}package.json`, 'utf8')) as {
  readonly dependencies: Readonly<Record<string, string>>;
};

/** The `package.json` beside the installed peers: where they are resolved from. */
export const besidePeers = `${workplace}package.json`;

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
  await promisify(execFile)('npm', args, { cwd: folder, signal: work.signal });
}

/** Installs the peers if they are missing. */
export async function installPeers(work: Work): Promise<void> {
  await mkdir(workplace, { recursive: true });
  for (const file of ['package.json', 'pnpm-lock.yaml']) await copyFile(peers + file, workplace + file);
  if (await isInstalled(workplace)) return;
  work.note(`Installing the peers into ${workplace}`);
  await installLocked(workplace, work.signal);
}

/** The library behind a peer, as far as it comes from npm; undefined for ours. */
export function libraryOf(peer: string): { readonly name: string; readonly version: string } | undefined {
  if (peer.startsWith('tfjs')) return { name: 'tfjs', version: pins['@tensorflow/tfjs-core']! };
  if (peer.startsWith('jax')) return { name: 'jax-js', version: pins['@jax-js/jax']! };
  if (peer.startsWith('onnxruntime-web'))
    return { name: 'onnxruntime-web', version: pins['onnxruntime-web']! };
  return peer === 'onnxruntime-node' ? { name: peer, version: pins[peer]! } : undefined;
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
