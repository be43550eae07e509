/** Makes folders for what is written. Node only. */
import { builtin } from '../platform.js';

/**
 * Makes a folder where there is none, and those above it. One after the other: Node's own `recursive` never ends
 * where a system says that a folder's parent, which is there, is not (`/proc/x` on Linux; seen in Node 20 and 24).
 * @throws Error in a browser, and Node's own when the folder cannot be made.
 */
export async function makeFolder(path: string): Promise<void> {
  const fs = builtin<typeof import('node:fs/promises')>('node:fs/promises');
  const { dirname, resolve } = builtin<typeof import('node:path')>('node:path') ?? {};
  if (!fs || !dirname || !resolve) throw new Error(`Making the folder ${path} needs Node 20.16 or newer.`);
  /** What is there already, or was made by others in the meantime, is as good. */
  const makeOne = (folder: string): Promise<void> =>
    fs.mkdir(folder).catch(async (error: unknown) => {
      if (!(await fs.stat(folder).catch(() => undefined))?.isDirectory()) throw error;
    });
  const make = (folder: string): Promise<void> =>
    makeOne(folder).catch(async (error: NodeJS.ErrnoException) => {
      const parent = dirname(folder);
      if (error.code !== 'ENOENT' || parent === folder) throw error;
      await make(parent);
      await makeOne(folder);
    });
  await make(resolve(path));
}
