/** The worked example of CONTRIBUTING.md shows code that is in the repository. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const read = (path: string): string => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');

/** The added lines by file, from the blocks of the language `diff`; a line `# path` begins a file. */
const added = [...read('CONTRIBUTING.md').matchAll(/^```diff\n(.*?)^```/gms)].flatMap(([, block]) =>
  block!
    .split(/^# /m)
    .slice(1)
    .map((part): readonly [string, readonly string[]] => {
      const [path, ...lines] = part.split('\n');
      return [path!, lines.filter((line) => line.startsWith('+')).map((line) => line.slice(1))];
    }),
);

test('the example has diffs', () => expect(added.length).toBeGreaterThan(8));

test.each(added)('%s has the lines that the example adds', (path, lines) => {
  const present = new Set(read(path).split('\n'));
  expect(lines.filter((line) => !present.has(line))).toEqual([]);
});
