/**
 * Compiles programs against the types of packed packages as strict users do: the library of ES2022 and DOM alone, no
 * types of Node, and declaration files checked (`skipLibCheck: false`); as ES modules and as CommonJS.
 */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const root = fileURLToPath(new URL('..', import.meta.url));
const run = promisify(execFile);

const compilerOptions = {
  target: 'es2022',
  lib: ['es2022', 'dom'],
  types: [],
  module: 'nodenext',
  strict: true,
  noEmit: true,
  skipLibCheck: false,
};

/** Entry points of a package that have types, as import specifiers. */
const entriesOf = ({ name, exports }) =>
  Object.entries(exports ?? {}).flatMap(([path, target]) =>
    typeof target === 'object' ? [path.replace(/^\./, name)] : [],
  );

/** Gives what the compiler says of the packages, as lines; none if they compile. `files` are paths of tarballs. */
export async function typeProblems(files) {
  const folder = await mkdtemp(join(tmpdir(), 'types-'));
  const modules = join(folder, 'node_modules');
  try {
    const entries = [];
    for (const file of files) {
      await run('tar', ['-xzf', file, '-C', folder]);
      const manifest = JSON.parse(await readFile(join(folder, 'package/package.json'), 'utf8'));
      await mkdir(dirname(join(modules, manifest.name)), { recursive: true });
      await rename(join(folder, 'package'), join(modules, manifest.name));
      entries.push(...entriesOf(manifest));
      for (const name of Object.keys(manifest.dependencies ?? {}).filter(
        (name) => !name.startsWith('@cnn/'),
      )) {
        await mkdir(dirname(join(modules, name)), { recursive: true });
        const own = join(root, 'packages', manifest.name.replace('@cnn/', ''), 'node_modules', name);
        await symlink(own, join(modules, name), 'junction').catch((error) => {
          if (error.code !== 'EEXIST') throw error;
        });
      }
    }
    const imports = entries.map((entry, i) => `import * as m${i} from '${entry}';\nvoid m${i};\n`).join('');
    for (const extension of ['mts', 'cts']) await writeFile(join(folder, `program.${extension}`), imports);
    await writeFile(
      join(folder, 'tsconfig.json'),
      JSON.stringify({ compilerOptions, files: ['program.mts', 'program.cts'] }),
    );
    return await run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', folder]).then(
      () => [],
      ({ stdout, message }) => (stdout || message).trim().split('\n'),
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
