/** Kills a process that hangs, from a separate thread, since an infinite loop blocks its own timers. */
import { Worker } from 'node:worker_threads';

const program = `
const { workerData: { beats, timeout } } = require('node:worker_threads');
for (;;) {
  const seen = Atomics.load(beats, 0);
  if (seen < 0) break;
  if (Atomics.wait(beats, 0, seen, timeout) === 'timed-out') {
    require('node:fs').writeSync(2, '\\nfuzz: seed ' + Atomics.load(beats, 1) + ' hangs: no progress for ' + timeout / 1000 + ' s.\\n');
    process.kill(process.pid, 'SIGKILL');
  }
}`;

/** Kills the process if a case takes too long. Call `beat` at the start of a case, and `stop` at the end. */
export class Watchdog {
  readonly #beats = new Int32Array(new SharedArrayBuffer(8));

  /** @param timeout - longest time of a case, in milliseconds. */
  constructor(timeout: number) {
    new Worker(program, { eval: true, workerData: { beats: this.#beats, timeout } }).unref();
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
