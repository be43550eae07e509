/** Tests the built packages in Node: each can be imported and required, with the same exports. */
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { describe, expect, test } from 'vitest';
import { bundleSize, familyPrograms } from './bundleSize.js';

const packages = new URL('../../', import.meta.url);

/** Packages with an ES module and a CommonJS entry; `cnn` has only a command. */
const names = readdirSync(packages).filter((name) => {
  const { private: own, main } = JSON.parse(
    readFileSync(new URL(`${name}/package.json`, packages), 'utf8'),
  ) as { readonly private?: boolean; readonly main?: string };
  return !own && main;
});
const built = names.every((name) => existsSync(new URL(`${name}/dist/index.js`, packages)));
if (!built) {
  const message = 'The packages are not built, so their builds are not tested; run npx turbo run build.';
  if (process.env.CI) throw new Error(message);
  console.warn(message);
}

/** Runs a program in a separate Node, without aliases to the sources; parses its output as JSON. */
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
  ])('of %s leave only what %s needs in a bundle', async (family, builder) => {
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
    // Records of published weights, and blocks of other networks of the family.
    expect(text).not.toMatch(/torchvisionWeights\(|function (skipAndPad|timmV3|invertedResidual|megviiUnit)/);
  });

  // docs/size.md measures the sources. Bundlers leave a few training ops out of the builds, whose calls are marked pure.
  test('are at most 1 % larger in a page than the sources', async () => {
    const [sources, builds] = await Promise.all([
      bundleSize(familyPrograms.mobilenetV2!),
      bundleSize(familyPrograms.mobilenetV2!, 'cli'),
    ]);
    const ratio = builds.first / sources.first;
    expect(ratio).toBeLessThan(1.01);
    expect(ratio).toBeGreaterThan(0.97);
    expect(builds.later).toHaveLength(sources.later.length);
  });

  // @cnn/image's CommonJS build contains the PNG codec, and tsup's replacement for import.meta.url.
  test('contain the licences of the libraries in them', () => {
    const notices = readFileSync(new URL('image/dist/THIRD_PARTY.txt', packages), 'utf8');
    const licensed = [
      ...notices.matchAll(/^(\S+) \d+\.\d+\.\d+\n\n(?:The )?MIT License[^-]*Permission is/gm),
    ];
    expect(licensed.map(([, name]) => name).sort()).toEqual(['fast-png', 'fflate', 'iobuffer', 'tsup']);
    // No other build contains third-party code.
    const withNotices = names.filter((name) => existsSync(new URL(`${name}/dist/THIRD_PARTY.txt`, packages)));
    expect(withNotices).toEqual(['image']);
  });

  // The JPEG decoder is an ES module that loads a WebAssembly file.
  test('decode JPEG in both formats', async () => {
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
