/** A writer that is killed at any moment leaves a whole file; the child is killed by the signal that nothing can catch. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { writeAtomically } from './atomicFile.js';

const SIZE = 4_000_000;
const folder = mkdtempSync(join(tmpdir(), 'cnn-atomic-'));
const path = join(folder, 'checkpoint');
const script = join(folder, 'writer.ts');

beforeAll(() =>
  writeFileSync(
    script,
    `import { rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { writeAtomically } from ${JSON.stringify(join(import.meta.dirname, 'atomicFile.ts'))};
// The killed runner cannot take its bundle away; it is loaded by now.
rmSync(fileURLToPath(new URL('.', import.meta.url)), { recursive: true });
for (let round = 0; ; round++) {
  await writeAtomically(${JSON.stringify(path)}, new Uint8Array(${SIZE}).fill(round));
  if (round === 0) console.log('writing');
}`,
  ),
);
afterAll(() => rmSync(folder, { recursive: true }));

test('replaces a file and leaves nothing beside it', async () => {
  const file = join(folder, 'file');
  await writeAtomically(file, Uint8Array.of(1));
  await writeAtomically(file, Uint8Array.of(2, 3));
  expect([...readFileSync(file)]).toEqual([2, 3]);
  await expect(writeAtomically(join(folder, 'absent', 'file'), Uint8Array.of(1))).rejects.toThrow('ENOENT');
  expect(readdirSync(folder).sort()).toEqual(['file', 'writer.ts']);
});

test.each([1, 8, 15, 23])('a kill after %i ms loses nothing', async (milliseconds) => {
  const runner = join(import.meta.dirname, '../../../../scripts/script.mjs');
  const child = spawn(process.execPath, [runner, script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'close');
  await once(child.stdout, 'data');
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
  child.kill('SIGKILL');
  expect((await ended)[1]).toBe('SIGKILL');
  const bytes = readFileSync(path);
  expect(bytes.length).toBe(SIZE);
  expect(bytes.every((byte) => byte === bytes[0])).toBe(true);
});
