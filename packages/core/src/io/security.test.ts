/** Tests that SECURITY.md states the limits as they are. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { defaultLimits } from './limits.js';

test('SECURITY.md states the default limits', () => {
  const text = readFileSync(new URL('../../../../SECURITY.md', import.meta.url), 'utf8');
  for (const [name, value] of Object.entries(defaultLimits)) {
    const row = text.split('\n').find((line) => line.includes(`\`limits.${name}\``));
    const power = /\(2\^(\d+)\)/.exec(row ?? '')?.[1];
    const stated = power ? 2 ** Number(power) : Number(/[\d,]+/.exec(row ?? '')?.[0].replaceAll(',', ''));
    expect([name, stated]).toEqual([name, value]);
  }
});
