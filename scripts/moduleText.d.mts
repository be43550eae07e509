import type { Plugin } from 'esbuild';

/** Bundles a module and all that it imports to one minified script; `files` are the sources. */
export function moduleText(
  path: string,
): Promise<{ readonly text: string; readonly files: readonly string[] }>;

/** For esbuild: resolves `import text from './worker.js?text'`. */
export const moduleTextPlugin: Plugin;

/** For Vite, the same. */
export const moduleTextVitePlugin: {
  readonly name: string;
  readonly enforce: 'pre';
  resolveId(specifier: string, importer?: string): string | undefined;
  load(this: { addWatchFile(file: string): void }, id: string): Promise<string | undefined>;
};
