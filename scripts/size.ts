/** Writes docs/size.md, the size of a bundle for each family: `node scripts/script.mjs scripts/size.ts`. */
import { mkdir, writeFile } from 'node:fs/promises';
import { bundleSize, familyPrograms } from '../packages/testing/src/bundleSize.js';

const kilobytes = (bytes: number): string => (bytes / 1000).toFixed(1);
const sizes = await Promise.all(
  Object.entries(familyPrograms).map(async ([name, program]) => ({ name, ...(await bundleSize(program)) })),
);
/** Returns the size in kB of a file that bundles load on demand. */
function onDemand(file: string): string {
  const part = sizes[0]!.later.find(({ name }) => name.endsWith(file));
  if (!part) throw new Error(`No bundle loads ${file} on demand. Has the file another name?`);
  return kilobytes(part.bytes);
}
const table = [
  '| network | first load, kB |',
  '| ------- | -------------: |',
  ...sizes.map(({ name, first }) => `| \`${name}\` | ${kilobytes(first)} |`),
].join('\n');
await mkdir('docs', { recursive: true });
await writeFile(
  'docs/size.md',
  `# What a page loads

The size of \`compile\` of \`@cnn/core\` with one network, including the wasm and reference back ends, bundled and
minified by esbuild and compressed with gzip. The figures are for the sources; a test checks that the built packages are
at most 1 % larger, and another that \`mobilenetV2\` has at most 60 kB.

${table}

Two parts are loaded on demand if the bundler splits dynamic imports, as Vite, webpack, Rollup and esbuild with
\`splitting\` do: the gpu back end (${onDemand('compilers.ts')} kB), if there is a GPU and gpu.js is installed, and
the kernels of training and of rare ops (${onDemand('deferred.ts')} kB), if the graph has one of these ops. A bundle of one
file includes both.

Weights are not included. \`node scripts/script.mjs scripts/size.ts\` updates this page.
`,
);
console.log(table);
