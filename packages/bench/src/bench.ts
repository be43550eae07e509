/** Runs suites: gets what they need, measures network by network, and keeps every row as soon as it is there. */
import { execFile } from 'node:child_process';
import { cpus } from 'node:os';
import { promisify } from 'node:util';
import { type Environment, holdToAvx2 } from './avx2.js';
import { type Browsers, openBrowsers } from './browserProcess.js';
import { measure, type Row, type Schedule } from './measure.js';
import type { Network } from './networks.js';
import { startInNode } from './nodeProcess.js';
import { exportFiles, programFor, torchProgram } from './programs.js';
import type { Job } from './protocol.js';
import type { Contender, Runtime, Suite } from './suite.js';
import { installNode, installPeers, libraryOf, type Work, workplace } from './workplace.js';

/** What to run, and whom to tell. */
export interface BenchOptions {
  readonly suites: readonly Suite[];
  scheduleFor(suite: Suite): Schedule;
  /** Paths of Nodes that may be used. */
  readonly nodes: readonly string[];
  /** A Python; where it has no PyTorch, the table says so. Default `python3`. */
  readonly python?: string;
  /** Path of a browser. Default: the one that the tests would find. */
  readonly browser?: string;
  readonly work: Work;
  /** What is being done now. */
  progress(line: string): void;
  /** A row that has been measured, with the versions of all that took part. */
  onRow(suite: Suite, network: Network, row: MeasuredRow, versions: Readonly<Record<string, string>>): void;
}

/** A row, and how busy the machine was before it. */
export interface MeasuredRow {
  readonly results: Row;
  /** Share of the cores that other programs used. */
  readonly busy: number;
}

/** Share of the cores that are in use, watched for a moment in which this process does nothing. */
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

/** Multiply-adds a millisecond, in millions, that the peers are assumed to do: for estimates of time alone. */
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

/** About how many seconds a network takes in a suite. */
export function secondsFor(
  { kind, batch, contenders }: Suite,
  { macs }: Network,
  { rounds, warmUp, wakeUp, turn }: Schedule,
): number {
  return contenders.reduce((sum, { peer, runtime }) => {
    const run = 1 + (macs * batch) / (assumedSpeed[peer] ?? 1);
    const load = (runtime === 'chromium' ? 900 : 250) + macs / 5;
    const effort = ({ milliseconds, runs }: Schedule['turn']): number => Math.max(milliseconds, runs * run);
    const milliseconds =
      kind === 'starts'
        ? rounds * (load + run)
        : load + run + effort(warmUp) + rounds * (40 + effort(wakeUp) + effort(turn));
    return sum + milliseconds / 1000;
  }, 0);
}

/** Finds the executables for the runtimes of Node. */
async function findNodes(
  runtimes: ReadonlySet<Runtime>,
  paths: readonly string[],
  work: Work,
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
    const path = await installNode(Number(runtime.slice('node'.length)), work);
    found.set(runtime, { path, version: await versionOf(path) });
  }
  return found;
}

async function versionOf(path: string): Promise<string> {
  try {
    return (await promisify(execFile)(path, ['--version'])).stdout.trim();
  } catch (error) {
    throw new Error(`${path} is no Node: ${error instanceof Error ? error.message : error}`);
  }
}

/** What the peers that are held to AVX2 need in their environments; says why where one cannot be held. */
async function holdPeers(suites: readonly Suite[], work: Work): Promise<ReadonlyMap<string, Environment>> {
  const held = new Map<string, Environment>();
  const peers = suites.flatMap(({ contenders }) => contenders.filter(({ avx2 }) => avx2));
  for (const peer of new Set(peers.map(({ peer }) => peer))) {
    const answer = await holdToAvx2(peer, work);
    if ('environment' in answer) held.set(peer, answer.environment);
    else work.note(`${peer} is not measured with AVX2 alone: ${answer.impossible}.`);
  }
  return held;
}

/** Runs all suites. Everything that it started has ended when it returns or throws. */
export async function bench(options: BenchOptions): Promise<void> {
  const { work, progress } = options;
  const asked = options.suites.flatMap((suite) => suite.contenders);
  if (asked.some(({ peer }) => /^(tfjs|jax|onnxruntime)/.test(peer))) await installPeers(work);
  const held = await holdPeers(options.suites, work);
  const suites = options.suites.map((suite) => ({
    ...suite,
    contenders: suite.contenders.filter(({ peer, avx2 }) => !avx2 || held.has(peer)),
  }));
  const contenders = suites.flatMap((suite) => suite.contenders);
  const runtimes = new Set(contenders.map(({ runtime }) => runtime));
  const nodes = await findNodes(runtimes, options.nodes, work);
  let browsers: Browsers | undefined;
  try {
    if (runtimes.has('chromium')) browsers = await openBrowsers(options.browser);
    // What a page is waited for fails at once when its browser closes.
    work.signal.addEventListener('abort', () => void browsers?.close(), { once: true });
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
        const files = await exportFiles(network, input, work);
        const start = async ({ name, peer, runtime, wide, avx2 }: Contender) => {
          const job: Job = {
            network: network.name,
            input,
            files,
            ...(suite.threads ? { threads: suite.threads } : {}),
            ...(suite.compared ? { compared: suite.compared } : {}),
            ...(wide ? { wide } : {}),
          };
          if (runtime === 'chromium')
            return browsers!.start(name, await programFor(peer, 'page', network), job, work.signal);
          const [executable, program] =
            runtime === 'python'
              ? [options.python ?? 'python3', torchProgram]
              : [nodes.get(runtime)!.path, workplace + (await programFor(peer, 'node', network))];
          const placed = { ...job, files: workplace + files };
          return startInNode(executable, program, placed, work.signal, avx2 ? held.get(peer) : {});
        };
        const busy = await busyShare();
        const results = await measure(suite, start, options.scheduleFor(suite), (what) => {
          work.signal.throwIfAborted();
          progress(`${suite.title}: ${network.name}: ${what}`);
        });
        options.onRow(suite, network, { results, busy }, versions(suite));
      }
  } finally {
    await browsers?.close();
  }
}
