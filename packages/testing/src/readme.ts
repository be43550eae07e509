/** Runs the TypeScript examples of a README as tests. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, expect, test, vi } from 'vitest';

/**
 * Declares a test for each ```ts block of a README, which must run without an error. The examples are written
 * to a temporary folder beside the README, so that their imports resolve to the sources.
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
