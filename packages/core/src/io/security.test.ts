/** Tests that SECURITY.md states the limits as they are. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { defaultLimits, MAX_NAME } from './limits.js';
import { MAX_TEXT } from './pickleText.js';

test('SECURITY.md states the limits', () => {
  const text = readFileSync(new URL('../../../../SECURITY.md', import.meta.url), 'utf8');
  const options = Object.entries(defaultLimits).map(
    ([name, value]) => [`\`limits.${name}\``, value] as const,
  );
  const fixed = [
    ['| characters of each name', MAX_NAME],
    ['| bytes of a text', MAX_TEXT],
  ] as const;
  for (const [name, value] of [...options, ...fixed]) {
    const row = text.split('\n').find((line) => line.includes(name));
    const power = /\(2\^(\d+)\)/.exec(row ?? '')?.[1];
    const stated = power ? 2 ** Number(power) : Number(/\d[\d,]*/.exec(row ?? '')?.[0].replaceAll(',', ''));
    expect([name, stated]).toEqual([name, value]);
  }
});
