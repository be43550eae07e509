/**
 * Image folders as torchvision lists them: the order of classes and files. The layouts of the command `cnn` test what is
 * found and left out.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import {
  compareCodePoints,
  countLeftOut,
  encodePng,
  imageFolder,
  imagenetLabels,
  imagenetWnids,
} from './index.js';

const root = mkdtempSync(join(tmpdir(), 'cnn-image-folder-'));
afterAll(() => rmSync(root, { recursive: true }));
const png = encodePng({ width: 2, height: 2, data: new Uint8Array(12) });
let made = 0;

/** Makes a folder with files; a text is the content of a file. */
function folderOf(...files: readonly string[]): string {
  const folder = join(root, String(made++));
  for (const file of files) {
    mkdirSync(join(folder, file, '..'), { recursive: true });
    writeFileSync(join(folder, file), png);
  }
  return folder;
}

/** Paths of a folder's pictures with their labels. */
async function listed(folder: string) {
  const { classes, entries } = await imageFolder(folder);
  return {
    classes,
    entries: entries.map(({ path, label }) => [relative(folder, path).replaceAll('\\', '/'), label]),
  };
}

test('classes and files are in the order of their code points, not of UTF-16 units', async () => {
  const [grin, wide] = ['\u{1F600}', '\u{FF21}'];
  const folder = folderOf(
    `${grin}/a.png`,
    `${wide}/${grin}.png`,
    `${wide}/${wide}.png`,
    'b/a.png',
    'B/a.png',
  );
  const { classes, entries } = await listed(folder);
  expect(classes).toEqual(['B', 'b', wide, grin]);
  expect(entries.map(([path]) => path)).toEqual([
    'B/a.png',
    'b/a.png',
    `${wide}/${wide}.png`,
    `${wide}/${grin}.png`,
    `${grin}/a.png`,
  ]);
  expect(['ab', 'a', '\u{10000}', '\u{FFFF}'].sort(compareCodePoints)).toEqual([
    'a',
    'ab',
    '\u{FFFF}',
    '\u{10000}',
  ]);
});

test('pictures of subfolders belong to the class, in the order of os.walk sorted by path', async () => {
  const folder = folderOf(
    'cat/sub/1.png',
    'cat/9.png',
    'cat/sub/deep/2.jpeg',
    'cat/sub-b/3.JPG',
    'dog/1.png',
  );
  const { entries } = await listed(folder);
  expect(entries).toEqual([
    ['cat/9.png', 0],
    ['cat/sub/1.png', 0],
    ['cat/sub-b/3.JPG', 0],
    ['cat/sub/deep/2.jpeg', 0],
    ['dog/1.png', 1],
  ]);
});

test('what is left out is counted by its reason', async () => {
  const folder = folderOf(
    'cat/1.png',
    'cat/2.webp',
    'cat/3.WEBP',
    'cat/._1.png',
    '__MACOSX/1.png',
    '.git/1',
    '0.jpg',
  );
  const { leftOut } = await imageFolder(folder);
  expect(countLeftOut(leftOut)).toBe(
    '2 hidden folders, 1 picture outside of the class folders, 1 hidden file, 2 .webp pictures',
  );
});

test('the error of a file that vanishes has its path', async () => {
  const folder = folderOf('cat/1.png');
  await expect(imageFolder(folder, { signal: AbortSignal.abort() })).rejects.toThrow('aborted');
  const { entries, load } = await imageFolder(folder);
  rmSync(entries[0]!.path);
  await expect(load(entries[0]!)).rejects.toThrow(`${entries[0]!.path}: ENOENT`);
  await expect(load(entries[0]!, { signal: AbortSignal.abort() })).rejects.toThrow('aborted');
});

test('the WordNet ids are those of the labels, in order', () => {
  expect([imagenetWnids.length, new Set(imagenetWnids).size]).toEqual([1000, 1000]);
  expect([...imagenetWnids].sort()).toEqual(imagenetWnids);
  const at = (wnid: string) => imagenetLabels[imagenetWnids.indexOf(wnid)];
  expect([at('n01440764'), at('n02123045'), at('n15075141')]).toEqual(['tench', 'tabby', 'toilet tissue']);
});
