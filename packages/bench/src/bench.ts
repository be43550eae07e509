/**
 * Runs suites: installs and exports what they need, measures one network at a time, and reports each row at
 * once.
 */
import { execFile } from 'node:child_process';
import { cpus } from 'node:os';
import { promisify } from 'node:util';
import { type Environment, limitToAvx2 } from './avx2.js';
import { type Browsers, openBrowsers } from './browserProcess.js';
import { cacheFolder, installNode, installPeers, libraryOf, type RunContext } from './cacheFolder.js';
import { measure, type Row, type Schedule } from './measure.js';
import type { Job } from './messages.js';
import type { Network } from './networks.js';
import { startInNode } from './nodeProcess.js';
import { exportFiles, programFor, torchProgram } from './programs.js';
import type { Contender, Runtime, Suite } from './suite.js';

/** Suites to run, executables to use, and callbacks. */
export interface BenchOptions {
  readonly suites: readonly Suite[];
  scheduleFor(suite: Suite): Schedule;
  /** Paths of further Node executables. */
  readonly nodes: readonly string[];
  /** Path of a Python with PyTorch. Default `python3`; without PyTorch the table shows PyTorch as failed. */
  readonly python?: string;
  /** Path of a browser. Default: the browser that the tests use. */
  readonly browser?: string;
  readonly context: RunContext;
  /** Receives a description of the current step. */
  progress(line: string): void;
  /** Receives each measured row, with the versions of its runtimes and libraries by name. */
  onRow(suite: Suite, network: Network, row: MeasuredRow, versions: Readonly<Record<string, string>>): void;
}

/** A row, and the load of the machine before it was measured. */
export interface MeasuredRow {
  readonly results: Row;
  /** Share of the cores that other programs used, from 0 to 1. */
  readonly busy: number;
}

/** Measures the share of the cores in use, from 0 to 1, over 250 ms in which this process is idle. */
async function busyShare(): Promise<number> {
  const times = () =>
    cpus().reduce(
      ({ idle, all }, { times }) => ({
        idle: idle + times.idle,
        all: all + times.idle + times.user + times.nice + times.sys + times.irq,
      }),
      { idle: 0, all: 0 },
    );
  const before = times();
  await new Promise((resolve) => setTimeout(resolve, 250));
  const after = times();
  return 1 - (after.idle - before.idle) / Math.max(1, after.all - before.all);
}

/**
 * Assumed speed of each peer in millions of multiply-adds per millisecond, used only to estimate the
 * duration.
 */
const assumedSpeed: Readonly<Record<string, number>> = {
  ours: 100,
  'onnxruntime-node': 120,
  'onnxruntime-web': 15,
  'tfjs-wasm': 16,
  'ours-webgpu': 2,
  'ours-webgl2': 2,
  'tfjs-webgpu': 0.3,
  'onnxruntime-webgpu': 0.3,
  'tfjs-webgl': 2,
  'ours-training': 30,
  pytorch: 30,
  'jax-training': 0.06,
  'tfjs-training': 0.02,
};

/** Estimates the seconds that measuring a network in a suite takes. */
export function secondsFor(
  { kind, batch, contenders }: Suite,
  { macs }: Network,
  { rounds, warmUp, blockWarmUp, block }: Schedule,
): number {
  return contenders.reduce((sum, { peer, runtime }) => {
    const run = 1 + (macs * batch) / (assumedSpeed[peer] ?? 1);
    const load = (runtime === 'chromium' ? 900 : 250) + macs / 5;
    const effort = ({ milliseconds, runs }: Schedule['block']): number => Math.max(milliseconds, runs * run);
    const milliseconds =
      kind === 'cold starts'
        ? rounds * (load + run)
        : load + run + effort(warmUp) + rounds * (40 + effort(blockWarmUp) + effort(block));
    return sum + milliseconds / 1000;
  }, 0);
}

/** Finds the executable of each Node runtime; installs Node versions that are missing. */
async function findNodes(
  runtimes: ReadonlySet<Runtime>,
  paths: readonly string[],
  context: RunContext,
): Promise<ReadonlyMap<Runtime, { path: string; version: string }>> {
  const found = new Map<Runtime, { path: string; version: string }>([
    ['node', { path: process.execPath, version: process.version }],
  ]);
  for (const path of [...paths, process.execPath]) {
    const version = path === process.execPath ? process.version : await versionOf(path);
    const runtime: Runtime = `node${Number.parseInt(version.slice(1), 10)}`;
    if (!found.has(runtime)) found.set(runtime, { path, version });
  }
  for (const runtime of runtimes) {
    if (!runtime.startsWith('node') || found.has(runtime)) continue;
    const path = await installNode(Number(runtime.slice('node'.length)), context);
    found.set(runtime, { path, version: await versionOf(path) });
  }
  return found;
}

async function versionOf(path: string): Promise<string> {
  try {
    return (await promisify(execFile)(path, ['--version'])).stdout.trim();
  } catch (error) {
    throw new Error(`${path} is not a Node executable: ${error instanceof Error ? error.message : error}`);
  }
}

/** Returns the environment of each peer that can be limited to AVX2, and prints why the others cannot. */
async function avx2Environments(
  suites: readonly Suite[],
  context: RunContext,
): Promise<ReadonlyMap<string, Environment>> {
  const environments = new Map<string, Environment>();
  const peers = suites.flatMap(({ contenders }) => contenders.filter(({ avx2 }) => avx2));
  for (const peer of new Set(peers.map(({ peer }) => peer))) {
    const answer = await limitToAvx2(peer, context);
    if ('environment' in answer) environments.set(peer, answer.environment);
    else context.note(`${peer} is not measured with AVX2 only: ${answer.impossible}.`);
  }
  return environments;
}

/** Runs all suites. When it returns or throws, all processes and browsers that it started have ended. */
export async function bench(options: BenchOptions): Promise<void> {
  const { context, progress } = options;
  const requested = options.suites.flatMap((suite) => suite.contenders);
  if (requested.some(({ peer }) => /^(tfjs|jax|onnxruntime)/.test(peer))) await installPeers(context);
  const avx2 = await avx2Environments(options.suites, context);
  const suites = options.suites.map((suite) => ({
    ...suite,
    contenders: suite.contenders.filter((contender) => !contender.avx2 || avx2.has(contender.peer)),
  }));
  const contenders = suites.flatMap((suite) => suite.contenders);
  const runtimes = new Set(contenders.map(({ runtime }) => runtime));
  const nodes = await findNodes(runtimes, options.nodes, context);
  let browsers: Browsers | undefined;
  try {
    if (runtimes.has('chromium')) browsers = await openBrowsers(options.browser);
    // Closing a browser rejects all pending calls of its pages at once.
    context.signal.addEventListener('abort', () => void browsers?.close(), { once: true });
    const versions = (suite: Suite): Record<string, string> => {
      const named: Record<string, string> = {};
      for (const { peer, runtime } of suite.contenders) {
        if (runtime === 'chromium') named.Chromium = browsers!.version;
        const node = nodes.get(runtime)?.version.slice(1);
        if (node) named[`Node ${Number.parseInt(node, 10)}`] = node;
        const library = libraryOf(peer);
        if (library) named[library.name] = library.version;
      }
      return named;
    };
    for (const suite of suites)
      for (const network of suite.networks) {
        const input = [suite.batch, ...network.picture];
        const files = await exportFiles(network, input, context);
        const start = async ({ name, peer, runtime, wideSimd, avx2: limited }: Contender) => {
          const job: Job = {
            network: network.name,
            input,
            files,
            ...(suite.threads ? { threads: suite.threads } : {}),
            ...(suite.compared ? { compared: suite.compared } : {}),
            ...(wideSimd ? { wideSimd } : {}),
          };
          if (runtime === 'chromium')
            return browsers!.start(name, await programFor(peer, 'page', network), job, context.signal);
          const [executable, program] =
            runtime === 'python'
              ? [options.python ?? 'python3', torchProgram]
              : [nodes.get(runtime)!.path, cacheFolder + (await programFor(peer, 'node', network))];
          const local = { ...job, files: cacheFolder + files };
          return startInNode(executable, program, local, context.signal, limited ? avx2.get(peer) : {});
        };
        const busy = await busyShare();
        const results = await measure(suite, start, options.scheduleFor(suite), (what) => {
          context.signal.throwIfAborted();
          progress(`${suite.title}: ${network.name}: ${what}`);
        });
        options.onRow(suite, network, { results, busy }, versions(suite));
      }
  } finally {
    await browsers?.close();
  }
}
