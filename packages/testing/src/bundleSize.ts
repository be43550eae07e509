/** What the packages weigh in a page: minified and compressed, at first and later. */
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build, type Metafile } from 'esbuild';
import { moduleTextPlugin } from '../../../scripts/moduleText.mjs';

const repository = fileURLToPath(new URL('../../../', import.meta.url));

/** A part of a bundle that a page loads when it is wanted. */
export interface LaterPart {
  /** `training`, `compilers`: the module that is imported. */
  readonly name: string;
  readonly bytes: number;
}

/** Sizes in bytes, compressed with gzip. */
export interface BundleSize {
  /** What is loaded at once. */
  readonly first: number;
  readonly later: readonly LaterPart[];
  /** The text of what is loaded at once. */
  readonly text: string;
}

/** An output and all that it imports statically. */
function closure(outputs: Metafile['outputs'], path: string, seen = new Set<string>()): ReadonlySet<string> {
  if (seen.has(path) || !outputs[path]) return seen;
  seen.add(path);
  for (const { path: other, kind } of outputs[path].imports)
    if (kind === 'import-statement') closure(outputs, other, seen);
  return seen;
}

/**
 * Bundles a program for a browser as others do: split where modules are imported on demand. From the sources, or from
 * the built packages as the one in `from` finds them.
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

/** `compile` and one network of each family, as a program that a page would hold. */
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
