/** Writes docs/size.md: what a page loads for each family. `node scripts/script.mjs scripts/size.ts` */
import { mkdir, writeFile } from 'node:fs/promises';
import { bundleSize, familyPrograms } from '../packages/testing/src/bundleSize.js';

const kilobytes = (bytes: number): string => (bytes / 1000).toFixed(1);
const sizes = await Promise.all(
  Object.entries(familyPrograms).map(async ([name, program]) => ({ name, ...(await bundleSize(program)) })),
);
const later = (file: string): string =>
  kilobytes(sizes[0]!.later.find(({ name }) => name.endsWith(file))?.bytes ?? Number.NaN);
const table = [
  '| network | first load, kB |',
  '| ------- | -------------: |',
  ...sizes.map(({ name, first }) => `| \`${name}\` | ${kilobytes(first)} |`),
].join('\n');
await mkdir('docs', { recursive: true });
await writeFile(
  'docs/size.md',
  `# What a page loads

\`compile\` of \`@cnn/core\` with one network, the wasm and the reference back end included, bundled and minified
by esbuild and compressed with gzip; from the sources, which weigh what the built packages do. Tests hold them to
that, and \`mobilenetV2\` to 60 kB.

${table}

Two parts come when they are wanted, if the bundler splits modules that are imported on demand (Vite, webpack,
Rollup and esbuild with \`splitting\` do): the gpu back end, ${later('compilers.ts')} kB, where there is a GPU and gpu.js is
installed; and the kernels of training, ${later('training.ts')} kB, where a graph has such an op. In a bundle of one file they are
part of it.

Weights are not in these figures. \`node scripts/script.mjs scripts/size.ts\` writes this page anew.
`,
);
console.log(table);
