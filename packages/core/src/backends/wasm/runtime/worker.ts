/**
 * The program of a worker. The build bundles this module to text (`./worker.js?text`), so that the back end
 * works in every bundler and needs no file. It runs in Node (a CommonJS worker) and in browsers (a classic
 * worker), and works in one of two ways: after a `share` message it serves runs requested through control
 * words in shared memory; after an `own` message it keeps a memory of its own and takes all requests by
 * message.
 */
import { Command, control } from './controlWords.js';
import { type Execute, executeInSlices, executePhases, executeUpdates } from './execute.js';
import type { Answer, OwnMessage, Request, RunMessage, ShareMessage, ValueRange } from './messages.js';

/** Posts messages to the calling thread: the parent port in Node, the worker's global scope in browsers. */
interface Port {
  postMessage(message: unknown, transfer: ArrayBuffer[]): void;
}

declare const self: Port & { onmessage: (event: MessageEvent<Request>) => void };

const nodePort =
  typeof process === 'object' && typeof process.getBuiltinModule === 'function'
    ? process.getBuiltinModule('node:worker_threads').parentPort
    : undefined;
const port: Port = nodePort ?? self;

const post = (message: unknown, transfer: ArrayBuffer[] = []): void => port.postMessage(message, transfer);

/** Polls of `control.requested` before the worker goes to sleep: 1 to 2 ms. */
const MAX_POLLS = 200_000;

const instantiate = (module: WebAssembly.Module, memory: WebAssembly.Memory): Execute =>
  new WebAssembly.Instance(module, { env: { memory } }).exports.execute as Execute;

/** Serves runs requested through shared memory; returns after `Command.end`. */
function serve({
  module,
  memory,
  thread,
  threads,
  commands,
  computePhaseCount,
  times,
  byMessage,
}: ShareMessage): void {
  const { from, ends } = commands;
  const execute = instantiate(module, memory);
  const words = new Int32Array(memory.buffer);
  const stamps = new Float64Array(memory.buffer, times, ends.length + 1);
  const firstUpdate = ends[computePhaseCount - 1] ?? from;
  const end = ends.at(-1) ?? from;
  const [requested, sleeping, finished, completed] = [
    control.requested / 4,
    control.sleeping / 4,
    control.finished / 4,
    control.completed / 4,
  ];
  const profile = (first: number, last: number): void => {
    if (thread === 0) stamps[0] = performance.now();
    executePhases(execute, commands, first, last, (phase) => {
      if (thread === 0) stamps[phase - first + 1] = performance.now();
    });
  };
  let run = Atomics.load(words, requested);
  post('ready');
  for (;;) {
    for (let polls = 0; Atomics.load(words, requested) === run; polls++)
      if (polls === MAX_POLLS) {
        Atomics.add(words, sleeping, 1);
        Atomics.wait(words, requested, run);
        Atomics.sub(words, sleeping, 1);
        polls = 0;
      }
    run = Atomics.load(words, requested);
    const command = words[control.command / 4];
    if (command === Command.run) execute(from, firstUpdate);
    else if (command === Command.commit) execute(firstUpdate, end);
    else if (command === Command.profile) profile(0, computePhaseCount);
    else if (command === Command.profileCommit) profile(computePhaseCount, ends.length);
    else return;
    if (Atomics.add(words, finished, 1) === threads - 1) {
      Atomics.store(words, completed, run);
      Atomics.notify(words, completed);
      if (byMessage) post('done');
    }
  }
}

let own: { readonly memory: WebAssembly.Memory; readonly execute: Execute };
let stopped = false;

/** Creates the memory of a worker that does not share one. */
function start({ module, pages, image }: OwnMessage): void {
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  new Uint8Array(memory.buffer).set(new Uint8Array(image));
  own = { memory, execute: instantiate(module, memory) };
  post('ready');
}

const read = (ranges: readonly ValueRange[]): Float32Array<ArrayBuffer>[] =>
  ranges.map(({ at, floats }) => new Float32Array(own.memory.buffer as ArrayBuffer, at, floats).slice());

/** Posts an answer; the buffers of its outputs are transferred. */
function answer(outputs: readonly Float32Array<ArrayBuffer>[], times: readonly number[]): void {
  const message: Answer = { outputs, times };
  post(
    message,
    outputs.map(({ buffer }) => buffer),
  );
}

async function run({ feeds, outputs, commands, computePhaseCount }: RunMessage): Promise<void> {
  stopped = false;
  for (const { at, data } of feeds) new Float32Array(own.memory.buffer, at, data.length).set(data);
  const times = await executeInSlices(own.execute, commands, computePhaseCount, () => stopped);
  if (!times) {
    post({ stopped: true, outputs: [], times: [] } satisfies Answer);
    return;
  }
  const values = read(outputs);
  answer(values, [...times, ...executeUpdates(own.execute, commands, computePhaseCount)]);
}

async function receive(request: Request): Promise<void> {
  if ('share' in request) serve(request.share);
  else if ('own' in request) start(request.own);
  else if ('run' in request) await run(request.run);
  else if ('read' in request) answer(read(request.read), []);
  else stopped = true;
}

/** Receives a request. Throws errors outside of promises: pages do not hear of promises that reject in a worker. */
const take = (request: Request): void =>
  void receive(request).catch((error) =>
    setTimeout(() => {
      throw error;
    }),
  );

/** Longest wait for the lock in milliseconds; afterwards the worker works without it. */
const LOCK_MS = 2000;

/**
 * Resolves when this worker holds the lock that the page waits for, and has told the page so. The browser
 * releases the lock if the worker dies. Resolves without the lock where there are no Web Locks, or they are
 * refused: in sandboxed frames, and if the user blocks cookies.
 */
let locked = Promise.resolve();
const hold = (lock: string): Promise<void> =>
  new Promise((resolve) => {
    const { locks } = navigator as { readonly locks?: LockManager };
    if (!locks) {
      resolve();
      return;
    }
    setTimeout(resolve, LOCK_MS);
    locks
      .request(lock, () => {
        post('locked');
        resolve();
        return new Promise(() => undefined);
      })
      .catch(() => resolve());
  });

if (nodePort) nodePort.on('message', take);
else
  self.onmessage = ({ data }) => {
    if ('lock' in data) locked = hold(data.lock);
    else void locked.then(() => take(data));
  };
