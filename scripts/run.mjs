/**
 * The two commands of the README, for a machine that has only Node and npm: `npm start` runs `cnn` from its
 * sources, `npm test` runs every check. Fetches pnpm in the version that package.json names; needs no dependency
 * of its own.
 */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const { packageManager } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 16)) {
  console.error(`This project needs Node 20.16 or newer; this is ${process.version}.`);
  process.exit(1);
}

const env = {
  ...process.env,
  TURBO_TELEMETRY_DISABLED: '1',
  DO_NOT_TRACK: '1',
  npm_config_update_notifier: 'false',
};

/** Runs a command; `quiet` keeps its output back unless it fails. Gives the exit code. */
function run(command, args, { quiet = false } = {}) {
  return new Promise((resolve) => {
    const output = [];
    const child = spawn(command, args, {
      cwd: root,
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

/** The packages that `cnn` runs with (20, 18 MB), not those that build, test and measure it (460, 900 MB). */
const production = ['--prod', '--filter=.', '--filter-prod=@cnn/cli...'];

async function start(args) {
  // A smaller install would remove what `npm test` has installed. The packages of `--backend gpu` are optional.
  const everything = existsSync(`${root}node_modules/.bin/vitest`) || args.some((arg) => /\bgpu$/.test(arg));
  await install(...(everything ? [] : production));
  const command = args.length > 0 ? args : ['demo'];
  process.exit(await run(process.execPath, ['scripts/script.mjs', 'packages/cli/src/main.ts', ...command]));
}

async function test() {
  await install();
  if (!(await step('build', local('turbo', 'run', 'build', '--output-logs=errors-only')))) process.exit(1);
  const started = performance.now();
  const checks = [
    ['types', local('tsc')],
    ['format and lint', local('biome', 'ci', '--error-on-warnings')],
    ['package consistency and imports', [process.execPath, ['scripts/check-packages.mjs']]],
    ['unused files and exports', local('knip')],
    ['dependency versions', local('sherif', '--ignore-rule=root-package-dependencies')],
    ['documentation', local('typedoc')],
    ['packed packages', [process.execPath, ['scripts/check-packed.mjs']]],
  ];
  const failed = [];
  const beside = (async () => {
    for (const [name, command] of checks) if (!(await step(name, command))) failed.push(name);
  })();
  const [tests] = await Promise.all([
    step('tests', local('vitest', 'run', '--reporter=dot'), { quiet: false }),
    beside,
  ]);
  if (!tests) failed.push('tests');
  console.error(`All checks took ${((performance.now() - started) / 1000).toFixed(0)} s.`);
  if (failed.length > 0) console.error(`FAILED: ${failed.join(', ')}`);
  process.exit(failed.length > 0 ? 1 : 0);
}

const [job, ...rest] = process.argv.slice(2);
if (job === 'start') await start(rest);
else if (job === 'test') await test();
else {
  console.error('Usage: node scripts/run.mjs start [arguments for cnn] | test');
  process.exit(2);
}
