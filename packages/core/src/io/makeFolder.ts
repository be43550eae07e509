/** Makes folders. Node only. */
import { printable } from '../printable.js';
import { requireBuiltin } from './requireBuiltin.js';

/**
 * Makes a folder, unless it exists, and its missing parents. Makes them one by one: Node's own `recursive`
 * never ends if the system reports an existing parent as missing (`/proc/x` on Linux; Node 20 and 24).
 * @throws Error in a browser, and Node's own if the folder cannot be made.
 */
export async function makeFolder(path: string): Promise<void> {
  const load = <T>(name: `node:${string}`): T =>
    requireBuiltin<T>(name, `Making the folder ${printable(path)}`, 'pages have no folders');
  const fs = load<typeof import('node:fs/promises')>('node:fs/promises');
  const { dirname, resolve } = load<typeof import('node:path')>('node:path');
  /** Makes one folder; succeeds too if it exists, or another process makes it in the meantime. */
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
