/** Builds the playground site: its files, its script bundled from the sources, and the weights of LeNet-5. */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { moduleTextPlugin } from '../../../scripts/moduleText.mjs';

const repository = new URL('../../../', import.meta.url);

/** Returns the files of the site by name. */
export async function playgroundFiles(): Promise<ReadonlyMap<string, Uint8Array>> {
  const { outputFiles } = await build({
    entryPoints: ['docs/playground/playground.ts'],
    absWorkingDir: fileURLToPath(repository),
    tsconfig: 'tsconfig.base.json',
    plugins: [moduleTextPlugin],
    bundle: true,
    splitting: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    outdir: 'site',
    write: false,
    logLevel: 'error',
  });
  const scripts = outputFiles.map(({ path, contents }) => [path.split(/[\\/]/).at(-1)!, contents] as const);
  const sources = {
    'index.html': 'docs/playground/index.html',
    'style.css': 'docs/playground/style.css',
    'lenet5.safetensors': 'packages/lenet/weights/lenet5.safetensors',
  };
  const files = Object.entries(sources).map(
    async ([name, path]) => [name, new Uint8Array(await readFile(new URL(path, repository)))] as const,
  );
  return new Map([...scripts, ...(await Promise.all(files))]);
}
