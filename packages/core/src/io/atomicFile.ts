/** Writes a file so that at every moment either the old or the new one is there, whole. Node only. */
import { builtin } from '../platform.js';

/**
 * Writes to a second file beside it, makes sure that it is on the disk, and renames it into place: a crash or
 * a loss of power at any point leaves the file that was there before.
 * @throws Error in a browser, and Node's own when the folder cannot be written to.
 */
export async function writeAtomically(path: string, bytes: Uint8Array): Promise<void> {
  const fs = builtin<typeof import('node:fs/promises')>('node:fs/promises');
  const dirname = builtin<typeof import('node:path')>('node:path')?.dirname;
  if (!fs || !dirname) throw new Error(`Writing the file ${path} needs Node 20.16 or newer.`);
  const temporary = `${path}.${globalThis.crypto.randomUUID()}.partial`;
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
  // The rename is in the folder's own data, which some systems cannot be made to write.
  const folder = await fs.open(dirname(path), 'r').catch(() => undefined);
  await folder?.sync().catch(() => undefined);
  await folder?.close();
}
