#!/usr/bin/env node
/** The command `cnn`. */
import { enableWideSimd } from '@cnn/core';
import { holdsGpu } from './gpu.js';
import { run } from './program.js';
import { terminalOn } from './terminal.js';

// A closed pipe (`cnn list | head`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});

// The process runs nothing else, so it may enable 256-bit SIMD in V8.
enableWideSimd();

const terminal = terminalOn(process);
// The first Ctrl-C aborts the command, and training saves its state; a second one ends the process.
const interrupted = new AbortController();
process.once('SIGINT', () => {
  terminal.note('Stopping. Ctrl-C again quits at once.');
  interrupted.abort();
});
process.exitCode = await run(process.argv.slice(2), terminal, interrupted.signal);

// An open GPU keeps the process alive, so it exits here, after the output is flushed.
if (holdsGpu()) {
  const written = (stream: NodeJS.WriteStream) => new Promise((done) => stream.write('', done));
  await Promise.all([written(process.stdout), written(process.stderr)]);
  process.exit();
}
