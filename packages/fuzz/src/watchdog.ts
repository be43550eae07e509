/** Ends a process that hangs, from a thread of its own: nothing else can end a loop without an end. */
import { Worker } from 'node:worker_threads';

const program = `
const { workerData: { beats, patience } } = require('node:worker_threads');
for (;;) {
  const seen = Atomics.load(beats, 0);
  if (seen < 0) break;
  if (Atomics.wait(beats, 0, seen, patience) === 'timed-out') {
    require('node:fs').writeSync(2, '\\nfuzz: seed ' + Atomics.load(beats, 1) + ' hangs: it has computed for ' + patience / 1000 + ' s without a pause.\\n');
    process.kill(process.pid, 'SIGKILL');
  }
}`;

/** Watches over cases that are announced by `beat`, until it is stopped. */
export class Watchdog {
  readonly #beats = new Int32Array(new SharedArrayBuffer(8));

  /** @param patience - milliseconds that one case may take. */
  constructor(patience: number) {
    new Worker(program, { eval: true, workerData: { beats: this.#beats, patience } }).unref();
  }

  beat(seed: number): void {
    Atomics.store(this.#beats, 1, seed);
    Atomics.add(this.#beats, 0, 1);
    Atomics.notify(this.#beats, 0);
  }

  stop(): void {
    Atomics.store(this.#beats, 0, -1);
    Atomics.notify(this.#beats, 0);
  }
}
