/** Writes files atomically: at any moment either the old or the new file exists, complete. Node only. */
import { printable } from '../printable.js';
import { requireBuiltin } from './requireBuiltin.js';

/**
 * Writes a file atomically: writes a temporary file in the same folder, flushes it to disk (fsync), and
 * renames it. A crash or power loss before the rename leaves the old file.
 * @throws Error in a browser, and Node's own if the folder cannot be written to.
 */
export async function writeAtomically(path: string, bytes: Uint8Array): Promise<void> {
  const load = <T>(name: `node:${string}`): T =>
    requireBuiltin<T>(name, `Writing the file ${printable(path)}`, 'offer the bytes as a download instead');
  const fs = load<typeof import('node:fs/promises')>('node:fs/promises');
  const { dirname } = load<typeof import('node:path')>('node:path');
  const { randomUUID } = load<typeof import('node:crypto')>('node:crypto');
  const temporary = `${path}.${randomUUID()}.partial`;
  try {
    const file = await fs.open(temporary, 'wx');
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await fs.rename(temporary, path);
  } catch (error) {
    await fs.rm(temporary, { force: true });
    throw error;
  }
  // The rename is stored in the folder, which is flushed too; some systems refuse to.
  const folder = await fs.open(dirname(path), 'r').catch(() => undefined);
  await folder?.sync().catch(() => undefined);
  await folder?.close();
}
