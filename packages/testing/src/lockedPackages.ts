/**
 * Packages that stand outside the workspace because they are large and few commands need them: a folder with a
 * `package.json` and a `pnpm-lock.yaml` of its own. The command that needs them installs them, in exact versions.
 */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const pnpm = fileURLToPath(new URL('../../../node_modules/.bin/pnpm', import.meta.url));

const textOf = (file: string): Promise<string | undefined> => readFile(file, 'utf8').catch(() => undefined);

/** True if the folder holds what its lockfile says: pnpm writes its copy of the lockfile at the end. */
export async function isInstalled(folder: string): Promise<boolean> {
  const [wanted, installed] = await Promise.all(
    ['pnpm-lock.yaml', 'node_modules/.pnpm/lock.yaml'].map((file) => textOf(join(folder, file))),
  );
  return wanted !== undefined && wanted === installed;
}

/** Installs the packages of a folder into its `node_modules`, without running their scripts; does nothing if they are there. */
export async function installLocked(folder: string, signal?: AbortSignal): Promise<void> {
  if (await isInstalled(folder)) return;
  const args = ['install', '--ignore-workspace', '--frozen-lockfile', '--ignore-scripts', '--prefer-offline'];
  // One flat folder, as npm makes it: bundlers and programs elsewhere find packages of packages in it.
  args.push('--config.node-linker=hoisted', '--config.confirmModulesPurge=false');
  await promisify(execFile)(pnpm, args, { cwd: folder, signal });
}
