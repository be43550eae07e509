/** Tests how data folders are read: every layout gives the classes and pictures of torchvision's ImageFolder, or says why not. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { imagenetPreset } from '@cnn/image';
import type { Dataset } from '@cnn/train';
import colours from 'picocolors';
import { afterAll, expect, test } from 'vitest';
import { type Layout, layouts, makeLayout } from '../../test/layouts.js';
import type { Terminal } from '../terminal.js';
import { openEvaluationData, openTrainingData } from './data.js';

const root = mkdtempSync(join(tmpdir(), 'cnn-layouts-'));
afterAll(() => rmSync(root, { recursive: true }));

/** Gives the classes with their pictures, in order: `cat 2, dog 1`. */
async function counted(classes: readonly string[], dataset: Dataset): Promise<string> {
  const counts = classes.map(() => 0);
  for (let index = 0; index < dataset.size; index++) counts[(await dataset.at(index)).label]!++;
  return classes.map((name, label) => `${name} ${counts[label]}`).join(', ');
}

/** Reads a data folder for training. */
async function read(data: string, { options = {} }: Layout) {
  const notes: string[] = [];
  const terminal: Terminal = {
    print: () => undefined,
    note: (line) => notes.push(line),
    live: false,
    progress: () => undefined,
    colours: colours.createColors(false),
  };
  const preset = { ...imagenetPreset, resize: 4, crop: 4 };
  const request = {
    data,
    preset,
    onBadImage: 'fail',
    validation: 0,
    seed: 1,
    choosing: true,
    ...options,
  } as const;
  try {
    const { classes, train, validation, test } = await openTrainingData(request, terminal);
    const found: Record<string, string> = { train: await counted(classes, train) };
    if (validation) found.validation = await counted(classes, validation);
    if (test) found.test = await counted(classes, test);
    return { found, notes: notes.join('\n') };
  } catch (error) {
    const evaluated = await openEvaluationData(request, terminal).then(
      async ({ part, classes, dataset }) => `${part}: ${await counted(classes, dataset)}`,
      () => undefined,
    );
    return { refused: (error as Error).message, evaluated };
  }
}

const skipped = ({ needs }: Layout): boolean =>
  (needs === 'Linux' && process.platform !== 'linux') ||
  (needs === 'another user than root' && (process.platform === 'win32' || process.getuid?.() === 0));

test('every layout differs from ImageFolder exactly where it gives a reason', () => {
  for (const { name, ours, refused, because, imageFolder } of layouts) {
    const fails = Object.values(imageFolder).some((found) => /^(Found no|Couldn't find)/.test(found));
    expect([name, because !== undefined]).toEqual([
      name,
      ours !== undefined || (refused !== undefined && !fails),
    ]);
  }
});

for (const [index, layout] of layouts.entries()) {
  const { name, needs, parts = { train: '.' }, imageFolder, ours, refused, evaluates, says = [] } = layout;
  test.skipIf(skipped(layout))(`${name}${needs ? ` (needs ${needs})` : ''}`, async () => {
    const folder = join(root, String(index));
    const unlock = makeLayout(folder, layout);
    // A link may lead out of the data folder.
    const data = parts.train === 'data' ? join(folder, 'data') : folder;
    const placed = (text: string) => text.replaceAll('{data}', data);
    const result = await read(data, layout).finally(unlock);
    if (refused !== undefined) {
      expect(result.refused).toContain(placed(refused));
      expect(result.evaluated).toBe(evaluates);
      return;
    }
    const expected = Object.entries(parts).map(([part, place]) => [part, imageFolder[place]]);
    expect(result.found).toEqual({ ...Object.fromEntries(expected), ...ours });
    for (const words of says) expect(result.notes).toContain(placed(words));
    if (says.length === 0) expect(result.notes).not.toMatch(/left out|taken for|only one class/i);
  });
}
