/** Runs a TypeScript script of the repository against the sources: `node scripts/script.mjs <file.ts> [arguments]`. */
import { rmSync } from 'node:fs';
import { mkdtemp, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { moduleTextPlugin } from './moduleText.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const [file, ...rest] = process.argv.slice(2);
if (!file) throw new Error('Usage: node scripts/script.mjs <file.ts> [arguments]');
/** In a bundle every source file still knows its own place. */
const ownUrl = {
  name: 'own-url',
  setup: ({ onLoad }) =>
    onLoad(
      { namespace: 'file', filter: /packages\/[^/]+\/(src|scripts|test)\/.*\.ts$/ },
      async ({ path }) => ({
        loader: 'ts',
        contents: (await readFile(path, 'utf8')).replaceAll(
          'import.meta.url',
          JSON.stringify(pathToFileURL(path).href),
        ),
      }),
    ),
};
/** Optional packages stay outside, at the place that the importing file finds; one that is missing is an error at run time. */
const optional = {
  name: 'optional',
  setup: ({ onResolve, resolve }) =>
    onResolve({ filter: /^(gpu\.js|webgpu)$/ }, async ({ path, importer, resolveDir, kind, pluginData }) => {
      if (pluginData === optional) return undefined;
      const found = await resolve(path, { importer, resolveDir, kind, pluginData: optional });
      return { path: found.errors.length > 0 ? path : pathToFileURL(found.path).href, external: true };
    }),
};
// Beside node_modules, so that the bundle finds the libraries that stay outside of it.
const folder = await mkdtemp(join(root, 'node_modules', '.script-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
const outfile = join(folder, 'script.mjs');
await build({
  entryPoints: [resolve(file)],
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  sourcemap: 'inline',
  // They look for files beside their own.
  external: ['esbuild', 'playwright'],
  outfile,
  plugins: [ownUrl, optional, moduleTextPlugin],
  tsconfig: join(root, 'tsconfig.base.json'),
  banner: {
    js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
  },
});
process.argv = [process.argv[0], resolve(file), ...rest];
await import(pathToFileURL(outfile).href);
