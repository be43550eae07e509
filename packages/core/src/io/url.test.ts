import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { readWeights } from './readWeights.js';
import { isUrlText, shownUrl } from './url.js';

test.each([
  ['https://me:s3cret@h/x?token=s3cret#s3cret', 'https://h/x?...'],
  ['http:\\\\me:s3cret@h/x', 'http://h/x'],
  ['http:me:s3cret@h', 'http://h/'],
  ['http:/me:s3cret@h/x', 'http://h/x'],
  ['  http://me:s3cret@h/x', 'http://h/x'],
  ['ftp://me:s3cret@h/x', 'ftp://h/x'],
  ['blob:http://me:s3cret@h/x', 'blob:http://h/x'],
  ['http://me:s3cret/@h/x', 'http://h/x'],
  ['http://me:s3cret?@h/x', 'http://h/x'],
  ['https://h/a@b/x', 'https://h/a@b/x'],
  ['data:,x', 'data:,x'],
  ['http://h/\x9b2J', String.raw`http://h/\x9b2J`],
])('%s is shown as %s', async (text, shown) => {
  expect(isUrlText(text)).toBe(true);
  expect(shownUrl(text)).toBe(shown);
});

test.each([
  'ftp://me:s3cret@h/x',
  ' ftp://me:s3cret@h/x',
  'http://me:s3cret/@h/x',
  's3://me:s3cret@h/x',
  'file://me:s3cret@h/x',
])('the error for %s shows no password', async (text) => {
  const error = await readWeights(text).catch((reason: Error) => reason);
  expect(error).toBeInstanceOf(Error);
  expect(String(error)).toMatch(/not supported|not a complete URL/);
  expect(inspect(error)).not.toContain('s3cret');
});

test('a path is no URL', () => {
  for (const path of ['C:\\x', 'C:/x', 'C://x', './http:x', 'a/b://c']) expect(isUrlText(path)).toBe(false);
});
