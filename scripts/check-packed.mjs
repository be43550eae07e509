/** Packs every public package as it would be published, and lets publint, attw and TypeScript look at the result. */
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { typeProblems } from './packedTypes.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = await mkdtemp(join(tmpdir(), 'packed-'));
/** Entry points that are no modules with types. */
const excludeEntrypoints = ['./weights/*', './worker.js'];

/** Returns the problems of a packed package, as sentences. */
async function problemsOf(file) {
  const data = await readFile(join(folder, file));
  const tarball = data.buffer.slice(data.byteOffset, data.byteOffset + data.length);
  const { messages, pkg } = await publint({ strict: true, level: 'error', pack: { tarball } });
  const { problems = [] } = await checkPackage(createPackageFromTarballData(data), { excludeEntrypoints });
  return [
    ...messages.map((message) => `publint: ${formatMessage(message, pkg)}`),
    ...problems.map((problem) => `attw: ${JSON.stringify(problem)}`),
  ];
}

let failed = false;
try {
  const names = await readdir(join(root, 'packages'));
  const manifests = names.map(async (name) =>
    JSON.parse(await readFile(join(root, 'packages', name, 'package.json'), 'utf8')),
  );
  const published = (await Promise.all(manifests)).filter((manifest) => !manifest.private);
  const filters = published.map(({ name }) => `--filter=${name}`);
  await promisify(execFile)(
    join(root, 'node_modules/.bin/pnpm'),
    ['--recursive', ...filters, 'pack', '--pack-destination', folder],
    { cwd: root, maxBuffer: 1 << 26 },
  );
  const packed = await readdir(folder);
  if (packed.length !== published.length) throw new Error(`${packed.length} packages were packed.`);
  for (const file of packed)
    for (const problem of await problemsOf(file)) {
      failed = true;
      console.error(`${file}: ${problem}`);
    }
  for (const problem of await typeProblems(packed.map((file) => join(folder, file)))) {
    failed = true;
    console.error(`types: ${problem}`);
  }
  console.log(`${packed.length} packages looked at.`);
} finally {
  await rm(folder, { recursive: true, force: true });
}
process.exit(failed ? 1 : 0);
