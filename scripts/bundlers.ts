/**
 * Installs the packed packages in a folder of its own, bundles a page with Vite and with webpack, and runs both in
 * the browser. Not part of `npm test`, as it installs two bundlers: after a build, run
 * `node scripts/script.mjs scripts/bundlers.ts` in the root of the repository.
 */
import { execFile } from 'node:child_process';
import { copyFile, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { chromium } from 'playwright';
import { findBrowser } from '../packages/testing/src/browser.js';
import { installLocked } from '../packages/testing/src/lockedPackages.js';
import { isolation, serve } from '../packages/testing/src/site.js';

/** The bundlers and their versions. */
const { dependencies: bundlers } = JSON.parse(await readFile('scripts/bundlers/package.json', 'utf8')) as {
  readonly dependencies: Readonly<Record<string, string>>;
};

/** A page that runs LeNet-5 on the wasm back end and on the reference, and tells how far they are apart. */
const program = `
import { compile, initialise } from '@cnn/core';
import { lenet5 } from '@cnn/lenet';
const picture = Float32Array.from({ length: 1024 }, (_, i) => Math.sin(i));
async function run(backend) {
  const model = lenet5();
  const session = await compile(model, { weights: initialise(model, { seed: 1 }), input: [1, 1, 32, 32], backend, threads: 2 });
  const { data } = await session.run(picture);
  await session.dispose();
  return { data, threads: session.threads };
}
Promise.all([run('wasm'), run('reference')]).then(
  ([{ data, threads }, reference]) => {
    globalThis.result = { threads, difference: Math.max(...data.map((value, i) => Math.abs(value - reference.data[i]))) };
  },
  (error) => { globalThis.result = { error: String(error) }; },
);
`;

const folder = await mkdtemp(join(tmpdir(), 'bundlers-'));
const run = (command: string, args: readonly string[], cwd = folder) =>
  promisify(execFile)(command, args, { cwd, maxBuffer: 1 << 26 });
try {
  for (const name of ['core', 'lenet'])
    await run(
      resolve('node_modules/.bin/pnpm'),
      ['pack', '--pack-destination', folder],
      resolve('packages', name),
    );
  const packed = (await readdir(folder)).map((file) => `./${file}`);
  for (const file of ['package.json', 'pnpm-lock.yaml'])
    await copyFile(join('scripts/bundlers', file), join(folder, file));
  await installLocked(folder);
  await run('npm', ['install', '--no-save', '--no-audit', '--no-fund', '--ignore-scripts', ...packed]);
  await writeFile(join(folder, 'main.js'), program);
  await writeFile(
    join(folder, 'index.html'),
    '<!doctype html><script type="module" src="/main.js"></script>',
  );
  await writeFile(
    join(folder, 'webpack.mjs'),
    `import webpack from 'webpack';
webpack({ mode: 'production', context: import.meta.dirname, entry: './main.js', output: { path: import.meta.dirname + '/webpack' } },
  (error, stats) => {
    if (error || stats.hasErrors()) { console.error(error ?? stats.toString()); process.exitCode = 1; }
  });`,
  );
  await run('npx', ['vite', 'build', '--outDir', 'vite']);
  await run(process.execPath, ['webpack.mjs']);
  const { source: _, ...options } = (await findBrowser())!;
  const browser = await chromium.launch(options);
  try {
    for (const [bundler, version] of Object.entries(bundlers)) {
      const site = await serve((path) => {
        if (path !== '/') return new URL(`${bundler}${path}`, pathToFileURL(`${folder}/`));
        if (bundler === 'webpack') return '<!doctype html><script src="/main.js"></script>';
        return new URL('vite/index.html', pathToFileURL(`${folder}/`));
      }, isolation);
      const page = await browser.newPage();
      page.on('pageerror', ({ message }) => console.error(message));
      await page.goto(site.origin);
      const result = (await (await page.waitForFunction('globalThis.result')).jsonValue()) as {
        readonly threads?: number;
        readonly difference?: number;
      };
      const fine = result.threads === 2 && result.difference! < 1e-5;
      console.log(`${fine ? 'ok    ' : 'FAILED'}  ${bundler} ${version}: ${JSON.stringify(result)}`);
      if (!fine) process.exitCode = 1;
      await site.close();
    }
  } finally {
    await browser.close();
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}
