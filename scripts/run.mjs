/**
 * The two commands of the README, for a machine that has only Node and npm: `npm start` runs `cnn` from its
 * sources, `npm test` runs every check. Fetches pnpm in the version that package.json names; needs no dependency
 * of its own.
 */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { families } from './families.mjs';
import { unchanged } from './unchanged.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const { packageManager } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 16)) {
  console.error(`This project needs Node 20.16 or newer; this is ${process.version}.`);
  process.exit(1);
}

const [job, ...rest] = process.argv.slice(2);
/** `npm run test:full`: every test in its long form, and the pages of the documentation. */
const full = job === 'test' && rest.includes('--full');
if (full) Object.assign(process.env, { CNN_SLOW_TESTS: '1', CNN_ONNX_ALL: '1' });

const env = {
  ...process.env,
  TURBO_TELEMETRY_DISABLED: '1',
  DO_NOT_TRACK: '1',
  npm_config_update_notifier: 'false',
};

/** Runs a command in a folder; `quiet` keeps its output back unless it fails. Gives the exit code. */
function run(command, args, { quiet = false, cwd = root } = {}) {
  return new Promise((resolve) => {
    const output = [];
    const child = spawn(command, args, {
      cwd,
      env,
      stdio: quiet ? ['ignore', 'pipe', 'pipe'] : 'inherit',
    });
    child.stdout?.on('data', (part) => output.push(part));
    child.stderr?.on('data', (part) => output.push(part));
    child.on('error', (error) => {
      console.error(`Cannot run ${command}: ${error.message}`);
      resolve(1);
    });
    child.on('close', (code) => {
      if (code !== 0) process.stdout.write(Buffer.concat(output));
      resolve(code ?? 1);
    });
  });
}

const pnpm = (...args) => ['npx', ['-y', packageManager, ...args]];
const local = (tool, ...args) => [`node_modules/.bin/${tool}`, args];

/** Runs a step, says how long it took, and gives whether it passed. */
async function step(name, [command, args], options = { quiet: true }) {
  const started = performance.now();
  const code = await run(command, args, options);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.error(`${code === 0 ? 'ok    ' : 'FAILED'}  ${name} (${seconds} s)`);
  return code === 0;
}

/** Installs dependencies; ends the process where that fails. */
async function install(...filters) {
  const command = pnpm('install', '--frozen-lockfile', '--prefer-offline', ...filters);
  if (!(await step('install dependencies', command))) process.exit(1);
}

/** The packages that `cnn` runs with (20, 18 MB), not the packages that build, test and measure it (460, 900 MB). */
const production = ['--prod', '--filter=.', '--filter-prod=@cnn/cli...'];

async function start(args) {
  // A smaller install would remove what `npm test` has installed. The packages of `--backend gpu` are optional.
  const everything = existsSync(`${root}node_modules/.bin/vitest`) || args.some((arg) => /\bgpu$/.test(arg));
  await install(...(everything ? [] : production));
  const command = args.length > 0 ? args : ['demo'];
  // `cnn` names itself as it was called, in the command lines that it prints.
  env.CNN_COMMAND = 'npm start --';
  const cnn = ['scripts/script.mjs', 'packages/cli/src/main.ts'].map((file) => join(root, file));
  // npm runs scripts in the root, and says in INIT_CWD in which folder it was called: paths are relative to that.
  process.exit(await run(process.execPath, [...cnn, ...command], { cwd: process.env.INIT_CWD || root }));
}

/** Sources that the tests in a browser and on a GPU run: those of core, of the families and of the tests' tools. */
const networks = new RegExp(`^(packages/(core|testing|train|${families.join('|')})/|vitest\\.config)`);

/** Checks that read the sources alone, and the files that they read if a pass is worth remembering. */
const checks = [
  ['types', local('tsc'), /^(packages|docs)\/.*\.(ts|json)$/],
  ['format and lint', local('biome', 'ci', '--error-on-warnings')],
  ['package consistency and imports', [process.execPath, ['scripts/check-packages.mjs']]],
  ['unused files and exports', local('knip')],
  // The root has dependencies because `npm start` installs only those: sherif's rule against them is off.
  ['dependency versions', local('sherif', '--ignore-rule=root-package-dependencies')],
  [
    'documentation',
    local('typedoc', '--options', 'scripts/typedoc.check.mjs'),
    /^(packages\/[\w-]+\/(src\/.*\.ts|package\.json)|.*\.md|typedoc\.json)$/,
  ],
  ...(full ? [['pages of the documentation', local('typedoc')]] : []),
];

const build = ['build', local('turbo', 'run', 'build', '--output-logs=errors-only')];
const runtime = [
  'onnxruntime-node, for tests',
  [process.execPath, ['scripts/script.mjs', 'scripts/onnxRuntime.ts']],
];

/** Checks of what was built. */
const builtChecks = [['packed packages', [process.execPath, ['scripts/check-packed.mjs']], /^packages\//]];

/** Projects of vitest that take long and read few packages. */
const slowProjects = [
  ['tests on a GPU', ['gpu'], networks],
  ['tests in a browser', ['browser', 'browser-plain'], networks],
];

/** Runs checks one by one, all of them, and gives the names of the failed ones. */
async function failing(list) {
  const failed = [];
  for (const [name, command, inputs] of list) {
    const { passed, remember } = inputs ? unchanged(name, inputs) : {};
    if (passed) console.error(`same    ${name} (passed on the same files)`);
    else if (!(await step(name, command))) failed.push(name);
    else remember?.();
  }
  return failed;
}

/** Runs the tests. Without a browser, those that need one are left out, and nothing is remembered of them. */
async function runTests(hasBrowser) {
  const known = slowProjects.map(([name, projects, inputs]) => ({
    name,
    projects,
    ...unchanged(name, inputs),
  }));
  const same = known.filter(({ passed }) => passed);
  for (const { name } of same) console.error(`same    ${name} (passed on the same files)`);
  const without = same.flatMap(({ projects }) => projects.map((project) => `--project=!${project}`));
  const command = local('vitest', 'run', '--reporter=dot', ...without);
  if (!(await step('tests', command, { quiet: false }))) return ['tests'];
  if (hasBrowser) for (const { remember } of known) remember();
  return [];
}

async function test() {
  const started = performance.now();
  await install();
  const sources = failing(checks);
  const browser = run(process.execPath, ['scripts/script.mjs', 'scripts/browser.ts'], { quiet: true });
  const unready = (await Promise.all([failing([build]), failing([runtime])])).flat();
  const hasBrowser = (await browser) === 0;
  const others = unready.length > 0 ? [sources] : [sources, failing(builtChecks), runTests(hasBrowser)];
  const failed = [unready, ...(await Promise.all(others))].flat();
  console.error(`All checks took ${((performance.now() - started) / 1000).toFixed(0)} s.`);
  if (failed.length > 0) console.error(`FAILED: ${failed.join(', ')}`);
  process.exit(failed.length > 0 ? 1 : 0);
}

if (job === 'start') await start(rest);
else if (job === 'test') await test();
else {
  console.error('Usage: node scripts/run.mjs start [arguments for cnn] | test [--full]');
  process.exit(2);
}
