/**
 * The program of a worker, as text, so that it works in every bundler and needs no file. Plain JavaScript
 * for Node (a CommonJS worker) and for browsers (a classic one). Two ways of working: `share` serves runs
 * that are asked for through words in shared memory until it is told to end; `own` keeps a memory of its own
 * and is told everything by messages.
 */
import { SLICE_MS } from '../../common/yield.js';
import { control } from '../kernels/control.js';

/** What workers are asked through `control.command`. */
export const Command = { run: 1, profile: 2, commit: 3, profileCommit: 4, end: 5 } as const;

/** How often a worker looks for a run before it goes to sleep: 1 to 2 ms, and never inside a plan. */
const SPINS = 200_000;

// Comments inside the text would be loaded by every page, so they stand here. `share` and `own` are the two ways.
// `nextTurn` lets messages have their turn: in browsers timers would wait 4 ms each time, in Node messages to oneself
// come first. `locked` resolves when the lock is held that a page watches: it is free again when this worker is gone.
export const workerSource = `'use strict';
const inNode = !!globalThis.process?.getBuiltinModule;
const port = inNode ? process.getBuiltinModule('node:worker_threads').parentPort : self;
const answer = (message, transfer) => port.postMessage(message, transfer || []);

function share({ module, memory, thread, threads, from, ends, computing, times, byMessage }) {
  const { walk } = new WebAssembly.Instance(module, { env: { memory } }).exports;
  const words = new Int32Array(memory.buffer);
  const stamps = new Float64Array(memory.buffer, times, ends.length + 1);
  const middle = computing ? ends[computing - 1] : from;
  const end = ends.length ? ends[ends.length - 1] : from;
  let asked = Atomics.load(words, ${control.asked / 4});
  answer('ready');
  for (;;) {
    for (let spins = 0; Atomics.load(words, ${control.asked / 4}) === asked; spins++)
      if (spins === ${SPINS}) {
        Atomics.add(words, ${control.sleeping / 4}, 1);
        Atomics.wait(words, ${control.asked / 4}, asked);
        Atomics.sub(words, ${control.sleeping / 4}, 1);
        spins = 0;
      }
    asked = Atomics.load(words, ${control.asked / 4});
    const command = words[${control.command / 4}];
    if (command === ${Command.run}) walk(from, middle);
    else if (command === ${Command.commit}) walk(middle, end);
    else if (command === ${Command.end}) return;
    else {
      const [first, last] = command === ${Command.profile} ? [0, computing] : [computing, ends.length];
      let start = first ? middle : from;
      if (thread === 0) stamps[0] = performance.now();
      for (let phase = first; phase < last; phase++) {
        walk(start, ends[phase]);
        start = ends[phase];
        if (thread === 0) stamps[phase - first + 1] = performance.now();
      }
    }
    if (Atomics.add(words, ${control.finished / 4}, 1) === threads - 1) {
      Atomics.store(words, ${control.completed / 4}, asked);
      Atomics.notify(words, ${control.completed / 4});
      if (byMessage) answer('done');
    }
  }
}

let own;
let stopped = false;
const channel = inNode ? undefined : new MessageChannel();
const nextTurn = () => new Promise((resolve) => {
  if (inNode) setImmediate(resolve);
  else {
    channel.port1.onmessage = resolve;
    channel.port2.postMessage(undefined);
  }
});
function start({ module, pages, image }) {
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  new Uint8Array(memory.buffer).set(new Uint8Array(image));
  own = { memory, walk: new WebAssembly.Instance(module, { env: { memory } }).exports.walk };
  answer('ready');
}
const read = (fetches) => fetches.map(({ at, floats }) => new Float32Array(own.memory.buffer, at, floats).slice());
const answerWith = (outputs, times) => answer({ outputs, times }, outputs.map((output) => output.buffer));
async function run({ feeds, fetches, from, ends, computing, timed }) {
  stopped = false;
  for (const { at, data } of feeds) new Float32Array(own.memory.buffer, at, data.length).set(data);
  const times = [performance.now()];
  let turn = times[0];
  let at = from;
  for (const end of ends.slice(0, computing)) {
    own.walk(at, end);
    at = end;
    const now = performance.now();
    times.push(now);
    if (!timed && now - turn > ${SLICE_MS}) {
      await nextTurn();
      turn = performance.now();
      if (stopped) return answer({ stopped: true });
    }
  }
  const outputs = read(fetches);
  for (const end of ends.slice(computing)) {
    own.walk(at, end);
    at = end;
    times.push(performance.now());
  }
  answerWith(outputs, times);
}
let locked = Promise.resolve();
const hold = (lock) => new Promise((resolve) => {
  navigator.locks.request(lock, () => {
    resolve();
    return new Promise(() => undefined);
  });
});
function receive(message) {
  if (message.share) share(message.share);
  else if (message.own) start(message.own);
  else if (message.run) run(message.run);
  else if (message.read) answerWith(read(message.read), []);
  else stopped = true;
}
if (inNode) port.on('message', receive);
else self.onmessage = ({ data }) => {
  if (data.lock) locked = hold(data.lock);
  else locked.then(() => receive(data));
};
`;
