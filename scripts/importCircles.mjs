/**
 * Finds files that import each other in a circle: statically, for types only, by re-exports, or with `import()`. Test
 * files count too. A circle means that none of its files can be read, tested or moved alone.
 */
import { readdirSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { importsOf, sources } from './imports.mjs';

/** The file that an import names; undefined for other packages than ours. */
function target(root, file, name) {
  if (name.startsWith('.')) return resolve(dirname(file), name.replace(/\.js$/, '.ts'));
  const own = /^@cnn\/([\w-]+)(?:\/([\w./-]+))?$/.exec(name);
  return own ? join(root, 'packages', own[1], 'src', `${own[2] ?? 'index'}.ts`) : undefined;
}

/** Returns the files that each file imports, for all files of all packages. */
function importGraph(root) {
  const packages = join(root, 'packages');
  const files = readdirSync(packages).flatMap((name) => [...sources(join(packages, name, 'src'))]);
  const known = new Set(files);
  return new Map(
    files.sort().map((file) => {
      const targets = importsOf(file).map((name) => target(root, file, name));
      return [file, [...new Set(targets)].filter((path) => known.has(path))];
    }),
  );
}

/** The shortest way from a file back to itself; undefined where there is none. */
function wayBack(imports, start) {
  const cameFrom = new Map();
  const queue = [start];
  for (const file of queue)
    for (const next of imports.get(file)) {
      if (next === start) {
        const way = [file];
        while (way[0] !== start) way.unshift(cameFrom.get(way[0]));
        return way;
      }
      if (cameFrom.has(next)) continue;
      cameFrom.set(next, file);
      queue.push(next);
    }
  return undefined;
}

/** One circle for each file that is in one, as sentences with the path; the same circle is told once. */
export function importCircles(root) {
  const imports = importGraph(resolve(root));
  const told = new Set();
  const problems = [];
  for (const file of imports.keys()) {
    const way = told.has(file) ? undefined : wayBack(imports, file);
    if (!way) continue;
    for (const member of way) told.add(member);
    const path = [...way, file].map((member) => relative(resolve(root), member).replaceAll('\\', '/'));
    problems.push(
      `Files import each other in a circle: ${path.join(' -> ')}. Move what they share to a file of its own.`,
    );
  }
  return problems;
}
