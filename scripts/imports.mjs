/** Reads which modules the TypeScript files of a folder import, for the checks of packages and of circles. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Import and re-export with `from`, import for the effect alone, and `import()`. */
const IMPORT =
  /(?:^|\n)\s*(?:import|export)\b[^'";]*?from\s*'([^']+)'|(?:^|\n)\s*import\s*'([^']+)'|import\(\s*'([^']+)'\s*\)/g;

/** All TypeScript files under a folder; none if there is no such folder. */
export function* sources(folder) {
  if (!existsSync(folder)) return;
  for (const item of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, item.name);
    if (item.isDirectory()) yield* sources(path);
    else if (item.name.endsWith('.ts')) yield path;
  }
}

/** The names of the modules that a file imports or re-exports: statically, for types only, or with `import()`. */
export const importsOf = (file) =>
  [...readFileSync(file, 'utf8').matchAll(IMPORT)].map(([, from, bare, dynamic]) => from ?? bare ?? dynamic);
