/** A build that holds code of other packages ships their licences: beside it, in `THIRD_PARTY.txt`. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Options } from 'tsup';

/** The folder of the package that a bundled file is from; undefined for our own. */
const packageOf = (file: string): string | undefined =>
  /^.*node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(file.replaceAll('\\', '/'))?.[0];

/** Name, version and licence of a package. @throws Error for one without a licence file. */
async function noticeOf(folder: string): Promise<string> {
  const { name, version } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as {
    readonly name: string;
    readonly version: string;
  };
  const licence = await readFile(join(folder, 'LICENSE'), 'utf8');
  return `${name} ${version}\n\n${licence.trim()}\n`;
}

/** Writes the notices of all that esbuild puts into a bundle. */
export const notices: NonNullable<Options['esbuildPlugins']>[number] = {
  name: 'notices',
  setup({ initialOptions, onEnd }) {
    initialOptions.metafile = true;
    onEnd(async ({ metafile }) => {
      const { absWorkingDir = process.cwd(), outdir = 'dist' } = initialOptions;
      const inputs = Object.values(metafile!.outputs).flatMap((output) => Object.keys(output.inputs));
      const folders = [...new Set(inputs.flatMap((file) => packageOf(file) ?? []))].sort();
      if (folders.length === 0) return;
      const texts = await Promise.all(folders.map((folder) => noticeOf(resolve(absWorkingDir, folder))));
      const rule = `\n${'-'.repeat(80)}\n\n`;
      const folder = resolve(absWorkingDir, outdir);
      // The builds of both formats run at once, and this may be the first file.
      await mkdir(folder, { recursive: true });
      await writeFile(
        join(folder, 'THIRD_PARTY.txt'),
        `This build holds code of these packages.\n${rule}${texts.join(rule)}`,
      );
    });
  },
};
