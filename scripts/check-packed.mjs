/** Packs every public package as it would be published, and lets publint and attw look at the result. */
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const root = fileURLToPath(new URL('..', import.meta.url));
const run = promisify(execFile);
const bin = (tool) => join(root, 'node_modules/.bin', tool);
const folder = await mkdtemp(join(tmpdir(), 'packed-'));
let failed = false;
const look = async (tool, ...args) => {
  await run(bin(tool), args, { cwd: root, maxBuffer: 1 << 26 }).catch((error) => {
    failed = true;
    console.error(`${tool} ${args.at(-1)}\n${error.stdout}${error.stderr}`);
  });
};
try {
  for (const name of await readdir(join(root, 'packages'))) {
    const path = join(root, 'packages', name);
    const manifest = JSON.parse(await readFile(join(path, 'package.json'), 'utf8'));
    if (manifest.private) continue;
    await run(bin('pnpm'), ['pack', '--pack-destination', folder], { cwd: path });
  }
  const packed = (await readdir(folder)).map((file) => join(folder, file));
  for (const file of packed) {
    await look('publint', '--strict', file);
    await look('attw', '--quiet', '--exclude-entrypoints', './weights/*', './worker.js', '--', file);
  }
  console.log(`${packed.length} packages looked at.`);
} finally {
  await rm(folder, { recursive: true, force: true });
}
process.exit(failed ? 1 : 0);
