/**
 * Remembers which checks passed on which files, in `node_modules/.cache/checks`: one whose files are the same need
 * not run again. Where `CI` is set, or all tests are asked for (`CNN_SLOW_TESTS`), everything runs.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const cache = join(root, 'node_modules/.cache/checks');
/** Folders that hold no sources. */
const skipped = new Set(['node_modules', 'dist', 'api']);
/** Files that every check depends on: the versions of the tools, and how they are called. */
const common = /^(pnpm-lock\.yaml|package\.json|scripts\/.*|biome\.json|tsconfig[\w.]*)$/;

/** All files of the repository, by their paths in it. */
function* filesIn(folder = '') {
  for (const item of readdirSync(join(root, folder), { withFileTypes: true })) {
    const path = folder ? `${folder}/${item.name}` : item.name;
    if (item.isFile()) yield path;
    else if (item.isDirectory() && !item.name.startsWith('.') && !skipped.has(item.name))
      yield* filesIn(path);
  }
}

let all;

/**
 * Says whether a check has passed on the present files.
 * @param {RegExp} inputs - matches the paths of the files that the check reads, besides the files that all checks read.
 * @returns whether it has, and a function to call when it passes.
 */
export function unchanged(name, inputs) {
  if (process.env.CI || process.env.CNN_SLOW_TESTS) return { passed: false, remember: () => {} };
  all ??= [...filesIn()].sort();
  const settings = Object.entries(process.env).filter(([variable]) => /^(CNN|CHROMIUM)_/.test(variable));
  const hash = createHash('sha256').update(`${process.version} ${process.platform} ${inputs} ${settings}`);
  for (const path of all.filter((file) => common.test(file) || inputs.test(file)))
    hash
      .update(`${path}\0`)
      .update(readFileSync(join(root, path)))
      .update('\0');
  const digest = hash.digest('hex');
  const file = join(cache, name.replaceAll(/\W+/g, '-'));
  return {
    passed: existsSync(file) && readFileSync(file, 'utf8') === digest,
    remember() {
      mkdirSync(cache, { recursive: true });
      writeFileSync(file, digest);
    },
  };
}
