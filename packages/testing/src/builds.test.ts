/** The built packages in plain Node: each can be imported and required, and both ways give the same names. */
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { describe, expect, test } from 'vitest';
import { bundleSize, familyPrograms } from './bundleSize.js';

const packages = new URL('../../', import.meta.url);

/** Packages with an entry for both formats; `cnn` has a command only. */
const names = readdirSync(packages).filter((name) => {
  const { private: own, main } = JSON.parse(
    readFileSync(new URL(`${name}/package.json`, packages), 'utf8'),
  ) as { readonly private?: boolean; readonly main?: string };
  return !own && main;
});
const built = names.every((name) => existsSync(new URL(`${name}/dist/index.js`, packages)));
if (!built) {
  const message = 'The packages are not built, so they cannot be loaded; run npx turbo run build.';
  if (process.env.CI) throw new Error(message);
  console.warn(message);
}

/** Runs a program in a Node of its own, which knows nothing of the sources, and gives what it prints as JSON. */
async function inNode(type: 'module' | 'commonjs', program: string): Promise<unknown> {
  const { stdout } = await promisify(execFile)(process.execPath, [`--input-type=${type}`, '-e', program], {
    cwd: fileURLToPath(new URL('cli', packages)),
  });
  return JSON.parse(stdout);
}

const paths = (format: string): string =>
  JSON.stringify(names.map((name) => fileURLToPath(new URL(`${name}/dist/index.${format}`, packages))));

describe.runIf(built)('the builds', () => {
  test('are the same as ES modules and as CommonJS', async () => {
    const [imported, required] = await Promise.all([
      inNode(
        'module',
        `const all = await Promise.all(${paths('js')}.map((path) => import(path)));
        console.log(JSON.stringify(all.map((names) => Object.keys(names).sort())));`,
      ),
      inNode(
        'commonjs',
        `console.log(JSON.stringify(${paths('cjs')}.map((path) => Object.keys(require(path)).sort())));`,
      ),
    ]);
    expect(names).toEqual(expect.arrayContaining(['core', 'image', 'resnet']));
    expect(required).toEqual(imported);
  });

  test.each([
    ['resnet', 'resnet18'],
    ['mobilenet', 'mobilenetV1'],
    ['shufflenet', 'shufflenetV2X1_0'],
  ])('of %s leave in a bundle what %s needs alone', async (family, builder) => {
    const { outputFiles } = await build({
      stdin: {
        contents: `export { ${builder} } from '@cnn/${family}';`,
        resolveDir: fileURLToPath(new URL('cli', packages)),
      },
      bundle: true,
      format: 'esm',
      external: ['@cnn/core'],
      tsconfigRaw: {},
      write: false,
    });
    const { text } = outputFiles[0]!;
    expect(text).toContain(builder);
    // The records of published weights, and blocks that only other networks of the family have.
    expect(text).not.toMatch(/torchvisionWeights\(|function (skipAndPad|timmV3|invertedResidual|megviiUnit)/);
  });

  // docs/size.md is measured on the sources.
  test('weigh in a page what the sources do', async () => {
    const [sources, builds] = await Promise.all([
      bundleSize(familyPrograms.mobilenetV2!),
      bundleSize(familyPrograms.mobilenetV2!, 'cli'),
    ]);
    expect(Math.abs(builds.first / sources.first - 1)).toBeLessThan(0.01);
    expect(builds.later).toHaveLength(sources.later.length);
  });

  // Its codec of PNG is part of the CommonJS build, and so is what stands for import.meta.url there, which is tsup's.
  test('ship the licences of the libraries that they hold', () => {
    const notices = readFileSync(new URL('image/dist/THIRD_PARTY.txt', packages), 'utf8');
    const licensed = [
      ...notices.matchAll(/^(\S+) \d+\.\d+\.\d+\n\n(?:The )?MIT License[^-]*Permission is/gm),
    ];
    expect(licensed.map(([, name]) => name).sort()).toEqual(['fast-png', 'fflate', 'iobuffer', 'tsup']);
    // No other build holds any.
    const holding = names.filter((name) => existsSync(new URL(`${name}/dist/THIRD_PARTY.txt`, packages)));
    expect(holding).toEqual(['image']);
  });

  // Its decoder is an ES module with WebAssembly beside it.
  test('decode JPEG in both', async () => {
    const text = readFileSync(new URL('image/src/jpeg.test.ts', packages), 'utf8');
    const [, file] = /bytesOf\(\s*'([^']+)'/.exec(text)!;
    const decode = `decodeImage(Buffer.from('${file}', 'base64')).then(({ width, height }) => console.log(JSON.stringify([width, height])));`;
    const results = [
      inNode('module', `import { decodeImage } from '@cnn/image'; ${decode}`),
      inNode('commonjs', `const { decodeImage } = require('@cnn/image'); ${decode}`),
    ];
    expect(await Promise.all(results)).toEqual([
      [20, 12],
      [20, 12],
    ]);
  });
});
