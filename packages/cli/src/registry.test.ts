/** Tests families that are not installed, with Node's error caught in a folder without packages. */
import { execFileSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { expect, test } from 'vitest';
import { findModel, loadFamily } from './registry.js';

/** Gives Node's error for a missing package. */
function missing(name: string): Error {
  const script = `import('${name}').catch(({ code, message }) => console.log(JSON.stringify({ code, message })))`;
  const text = execFileSync(process.execPath, ['--input-type=module', '-e', script], { cwd: tmpdir() });
  const { code, message } = JSON.parse(String(text)) as { code: string; message: string };
  return Object.assign(new Error(message), { code });
}

test('a family that is not installed is named with its install command', async () => {
  expect(await loadFamily('nin', () => Promise.reject(missing('@cnn/nin')))).toEqual({
    family: 'nin',
    install: 'npm install @cnn/nin',
  });
});

test('a missing dependency of a family is an error, not a missing family', async () => {
  const error = missing('fast-png');
  await expect(loadFamily('nin', () => Promise.reject(error))).rejects.toBe(error);
});

test('an unknown name gives similar ones', async () => {
  await expect(findModel('resnet51')).rejects.toThrow(
    /no model called 'resnet51'\. Similar names are .*resnet50/,
  );
});

test('a name of millions of characters is refused by its length, uncompared, and cut in the message', async () => {
  const error: Error = await findModel(`resnet${'x'.repeat(3_000_000)}`).then(
    () => new Error('found'),
    (reason: Error) => reason,
  );
  expect(error.message).toMatch(/no model called 'resnetx+\.\.\.': the name has 3,000,006 characters/);
  expect(error.message).not.toContain('Similar names');
  expect(error.message.length).toBeLessThan(300);
});
