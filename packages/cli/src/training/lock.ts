/** A lock on the folder of a run, so that two commands never write into it at once. */
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { link, open, readFile, rename, rm, rmdir } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import { UsageError } from '../errors.js';
import { makeResultFolder, reasonOf } from '../files.js';

const LOCK = 'run.lock';

/** Owner of a lock, as its file says. */
interface Owner {
  readonly pid: number;
  readonly host: string;
}

/** Folders that this process has locked: a lock with its own number may be left from a process before it. */
const held = new Set<string>();

/**
 * Locks a folder, which is made if there is none, until the result is disposed of. A lock whose process has ended
 * is taken over.
 * @throws UsageError if another run holds it.
 */
export async function lockFolder(out: string): Promise<AsyncDisposable> {
  const made = !existsSync(out);
  await makeResultFolder(out);
  const path = join(resolve(out), LOCK);
  const text = JSON.stringify({ pid: process.pid, host: hostname() } satisfies Owner);
  if (!(await create(path, text))) {
    await removeStale(path, out);
    if (!(await create(path, text))) throw busy(out, path, undefined);
  }
  held.add(path);
  return {
    async [Symbol.asyncDispose]() {
      held.delete(path);
      await rm(path, { force: true });
      // A run that failed before its first file leaves no folder behind.
      if (made) await rmdir(out).catch(() => undefined);
    },
  };
}

/** Throws if another run holds the lock of a folder; makes and changes nothing. */
export async function requireUnlocked(out: string): Promise<void> {
  const path = join(resolve(out), LOCK);
  const text = await readFile(path, 'utf8').catch(() => undefined);
  if (text !== undefined) requireStale(text, path, out);
}

/** Throws if the owner of a lock may still run. */
function requireStale(text: string, path: string, out: string): void {
  const owner = ownerOf(text);
  // The file of a process that is just writing it is empty.
  if (held.has(path) || !owner || mayRun(owner)) throw busy(out, path, owner);
}

/** Creates the file of a lock; false if there is one. */
async function create(path: string, text: string): Promise<boolean> {
  try {
    const file = await open(path, 'wx');
    try {
      await file.writeFile(text);
    } finally {
      await file.close();
    }
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw new Error(`Cannot write ${path}: ${reasonOf(error)}. Give another folder with --out.`, {
      cause: error,
    });
  }
}

/** Removes the lock of a process that has ended. @throws UsageError if it may still run. */
async function removeStale(path: string, out: string): Promise<void> {
  const text = await readFile(path, 'utf8').catch(() => undefined);
  if (text === undefined) return;
  requireStale(text, path, out);
  // Another process may have taken the lock over since it was read, so it is moved away before it is judged.
  const moved = `${path}.${randomUUID()}`;
  const gone = await rename(path, moved).then(
    () => false,
    () => true,
  );
  if (gone) return;
  const fresh = (await readFile(moved, 'utf8')) !== text;
  if (fresh) await link(moved, path).catch(() => undefined);
  await rm(moved, { force: true });
  if (fresh) throw busy(out, path, undefined);
}

function ownerOf(text: string): Owner | undefined {
  try {
    const { pid, host } = JSON.parse(text) as Partial<Owner>;
    return Number.isSafeInteger(pid) && typeof host === 'string' ? { pid: pid!, host } : undefined;
  } catch {
    return undefined;
  }
}

/** True if the owner of a lock may still run: always for another machine, which cannot be asked. */
function mayRun({ pid, host }: Owner): boolean {
  if (host !== hostname()) return true;
  if (pid === process.pid) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

const busy = (out: string, path: string, owner: Owner | undefined): UsageError =>
  new UsageError(
    `Another run is writing into ${out}${owner ? ` (process ${owner.pid} on ${owner.host})` : ''}. Give another folder with --out; if no such process runs, remove ${path}.`,
  );
