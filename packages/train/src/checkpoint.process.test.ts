/** Tests the error of a checkpoint that cannot be written, without filling a disk. */
import { writeAtomically } from '@cnn/core/io';
import { expect, test, vi } from 'vitest';
import { saveCheckpoint } from './checkpoint.js';

vi.mock('@cnn/core/io', async (original) => {
  const actual = await original<typeof import('@cnn/core/io')>();
  return { ...actual, writeAtomically: vi.fn() };
});

test.each([
  [{ code: 'ENOSPC' }, 'The disk is full: make room, or give a path on another disk.'],
  [{ code: 'EACCES' }, 'Give another path.'],
  [{}, 'In a browser store the bytes of checkpoint().'],
])('the advice for %j fits where the code runs', async (properties, advice) => {
  vi.mocked(writeAtomically).mockRejectedValueOnce(Object.assign(new Error('it failed'), properties));
  await expect(saveCheckpoint('a/b', new Uint8Array(1))).rejects.toThrow(
    `Cannot write the checkpoint a/b: it failed. ${advice}`,
  );
});
