/** Runs the TypeScript examples of a README, so that they stay true. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, expect, test, vi } from 'vitest';

/**
 * Registers a test for each ```ts block of a README: it must run to its end. Examples are written beside
 * the README for the time of the test, so that their imports mean the sources.
 */
export function readmeExamples(path: string): void {
  const blocks = [...readFileSync(path, 'utf8').matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code]) => code!);
  const folder = join(dirname(path), '.readme');
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  test.each(blocks.map((code, index) => [index + 1, code] as const))(
    'example %i runs',
    { timeout: 120_000 },
    async (index, code) => {
      mkdirSync(folder, { recursive: true });
      const file = join(folder, `example${index}.ts`);
      writeFileSync(file, code);
      const log = vi.spyOn(console, 'log').mockImplementation(() => undefined);
      await import(/* @vite-ignore */ file);
      expect(log.mock.calls.flat().join('\n')).not.toMatch(/NaN|undefined|\[object Object\]/);
      log.mockRestore();
    },
  );
}
