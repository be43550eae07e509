/**
 * Bundles a TypeScript module to the text of a classic script: `import text from './worker.js?text'`. A plugin for
 * esbuild (builds, scripts, pages) and one for Vite (tests).
 */
import { dirname, resolve } from 'node:path';
import { build } from 'esbuild';

const SUFFIX = '?text';

const sourceOf = (specifier, importer) =>
  resolve(dirname(importer), specifier.slice(0, -SUFFIX.length).replace(/\.js$/, '.ts'));

/** The module and all that it imports as one minified script, and the files it was made from. */
export async function moduleText(path) {
  const { outputFiles, metafile } = await build({
    entryPoints: [path],
    bundle: true,
    minify: true,
    format: 'iife',
    target: 'es2022',
    legalComments: 'none',
    tsconfigRaw: {},
    metafile: true,
    write: false,
    logLevel: 'silent',
  });
  return { text: outputFiles[0].text, files: Object.keys(metafile.inputs).map((file) => resolve(file)) };
}

/** For esbuild. */
export const moduleTextPlugin = {
  name: 'module-text',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /\?text$/ }, ({ path, importer }) => ({
      path: sourceOf(path, importer),
      namespace: 'module-text',
    }));
    onLoad({ filter: /.*/, namespace: 'module-text' }, async ({ path }) => {
      const { text, files } = await moduleText(path);
      return { contents: text, loader: 'text', watchFiles: files };
    });
  },
};

/** For Vite. */
export const moduleTextVitePlugin = {
  name: 'module-text',
  enforce: 'pre',
  resolveId(specifier, importer) {
    if (importer && specifier.endsWith(SUFFIX)) return `${sourceOf(specifier, importer)}${SUFFIX}`;
    return undefined;
  },
  async load(id) {
    if (!id.endsWith(SUFFIX)) return undefined;
    const { text, files } = await moduleText(id.slice(0, -SUFFIX.length));
    for (const file of files) this.addWatchFile(file);
    return `export default ${JSON.stringify(text)};`;
  },
};
