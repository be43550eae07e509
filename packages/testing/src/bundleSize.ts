/** Measures the size of the packages in a page, minified and compressed: loaded at once, and on demand. */
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build, type Metafile } from 'esbuild';
import { moduleTextPlugin } from '../../../scripts/moduleText.mjs';

const repository = fileURLToPath(new URL('../../../', import.meta.url));

/** A part of a bundle that a page loads on demand. */
export interface LaterPart {
  /** Path of the imported module, such as `.../deferred.ts`. */
  readonly name: string;
  readonly bytes: number;
}

/** Sizes of a bundle in bytes, compressed with gzip. */
export interface BundleSize {
  /** Size of what is loaded at once. */
  readonly first: number;
  readonly later: readonly LaterPart[];
  /** Text of what is loaded at once. */
  readonly text: string;
}

/** Returns the paths of an output and of its static imports, recursively. */
function closure(outputs: Metafile['outputs'], path: string, seen = new Set<string>()): ReadonlySet<string> {
  if (seen.has(path) || !outputs[path]) return seen;
  seen.add(path);
  for (const { path: other, kind } of outputs[path].imports)
    if (kind === 'import-statement') closure(outputs, other, seen);
  return seen;
}

/**
 * Bundles a program for a browser, split at dynamic imports, and measures it.
 * @param from - package whose dependencies are bundled in their built form. Default: bundles the sources.
 */
export async function bundleSize(program: string, from?: string): Promise<BundleSize> {
  const { metafile, outputFiles } = await build({
    stdin: {
      contents: program,
      resolveDir: from ? `${repository}packages/${from}` : repository,
      sourcefile: 'entry.ts',
      loader: 'ts',
    },
    absWorkingDir: repository,
    ...(from ? { tsconfigRaw: {} } : { tsconfig: 'tsconfig.base.json' }),
    plugins: [moduleTextPlugin],
    bundle: true,
    splitting: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    external: ['gpu.js'],
    outdir: 'bundle',
    write: false,
    metafile: true,
  });
  const texts = new Map(Object.keys(metafile.outputs).map((path, index) => [path, outputFiles[index]!.text]));
  const gzip = (paths: Iterable<string>): number =>
    [...paths].reduce((sum, path) => sum + gzipSync(texts.get(path)!, { level: 9 }).length, 0);
  const [entry] = Object.entries(metafile.outputs).find(([, { entryPoint }]) =>
    entryPoint?.endsWith('entry.ts'),
  )!;
  const first = closure(metafile.outputs, entry);
  const later = Object.entries(metafile.outputs)
    .filter(([path, { entryPoint }]) => entryPoint && path !== entry)
    .map(([path, { entryPoint }]) => ({
      name: entryPoint!,
      bytes: gzip([...closure(metafile.outputs, path)].filter((part) => !first.has(part))),
    }));
  return { first: gzip(first), later, text: [...first].map((path) => texts.get(path)).join('\n') };
}

/** Programs of a page: `compile` and one network of each family, by its builder. */
export const familyPrograms: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries({
    lenet: 'lenet5',
    alexnet: 'alexnet',
    vgg: 'vgg16',
    googlenet: 'googlenet',
    resnet: 'resnet50',
    nin: 'nin',
    densenet: 'densenet121',
    efficientnet: 'efficientnetB0',
    mobilenet: 'mobilenetV2',
    senet: 'seresnet50',
    shufflenet: 'shufflenetV2X1_0',
  }).map(([name, builder]) => [
    builder,
    `export { compile } from '@cnn/core'; export { ${builder} } from '@cnn/${name}';`,
  ]),
);
