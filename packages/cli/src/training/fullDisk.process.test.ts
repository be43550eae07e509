/** Tests the error of a training run on a full disk, without filling one. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeAtomically } from '@cnn/core/io';
import colours from 'picocolors';
import { afterAll, expect, test, vi } from 'vitest';
import { writeFolder } from '../../test/datasets.js';
import { words } from '../../test/words.js';
import { run } from '../program.js';

vi.mock('@cnn/core/io', async (original) => {
  const actual = await original<typeof import('@cnn/core/io')>();
  return { ...actual, writeAtomically: vi.fn() };
});

const root = mkdtempSync(join(tmpdir(), 'cnn-full-'));
afterAll(() => rmSync(root, { recursive: true }));

test('a full disk is named with the path and what to do', async () => {
  writeFolder(join(root, 'data'), { one: 1, two: 2 }, 3);
  vi.mocked(writeAtomically).mockRejectedValueOnce(
    Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' }),
  );
  const notes: string[] = [];
  const code = await run(
    words`train lenet5 --data ${join(root, 'data')} --batch 4 --out ${join(root, 'out')}`,
    {
      print: (line) => notes.push(line),
      note: (line) => notes.push(line),
      live: false,
      progress: () => undefined,
      colours: colours.createColors(false),
    },
  );
  expect([code, notes.at(-1)]).toEqual([
    1,
    `cnn: Cannot write ${join(root, 'out', 'run.json')}: the disk is full. Make room, or give a path on another disk.`,
  ]);
});
