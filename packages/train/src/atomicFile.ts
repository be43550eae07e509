/** Writes a file so that at every moment either the old or the new one is there, whole. Node only. */

/**
 * Writes to a second file beside it, makes sure that it is on the disk, and renames it into place: a crash or
 * a loss of power at any point leaves the file that was there before.
 * @throws Error in a browser, and when the folder cannot be written to.
 */
export async function writeAtomically(path: string, bytes: Uint8Array): Promise<void> {
  const fs = typeof process === 'undefined' ? undefined : process.getBuiltinModule?.('node:fs/promises');
  if (!fs)
    throw new Error(
      'Checkpoints can be written to files in Node 20.16 or newer; in a browser take the bytes of checkpoint() and store them.',
    );
  const { dirname } = process.getBuiltinModule('node:path');
  const temporary = `${path}.${process.pid}.partial`;
  try {
    const file = await fs.open(temporary, 'w');
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await fs.rename(temporary, path);
  } catch (error) {
    await fs.rm(temporary, { force: true });
    throw new Error(`Cannot write the checkpoint ${path}: ${(error as Error).message}.`, { cause: error });
  }
  // The rename is in the folder's own data, which some systems cannot be made to write.
  const folder = await fs.open(dirname(path), 'r').catch(() => undefined);
  await folder?.sync().catch(() => undefined);
  await folder?.close();
}
