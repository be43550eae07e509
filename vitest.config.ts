/** One node project per package; `@cnn/*` means the source, so that tests need no build. */
import { readdirSync } from 'node:fs';
import { defineConfig } from 'vitest/config';

const root = import.meta.dirname;
const packages = readdirSync(`${root}/packages`);

export default defineConfig({
  resolve: { alias: [{ find: /^@cnn\/([a-z0-9]+)$/, replacement: `${root}/packages/$1/src/index.ts` }] },
  test: {
    projects: packages.map((name) => ({
      extends: true,
      test: { name, root: `${root}/packages/${name}`, include: ['src/**/*.test.ts'], testTimeout: 60_000 },
    })),
  },
});
