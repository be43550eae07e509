#!/usr/bin/env node
/** The command `cnn`. */
import { enableWideSimd } from '@cnn/core';
import { holdsGpu } from './gpu.js';
import { run } from './program.js';
import { terminalOn } from './terminal.js';

// Whoever reads the result may have seen enough (`cnn list | head`): that is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});

// The process is the command's own, so it may switch the engine's wider vectors on.
enableWideSimd();

const terminal = terminalOn(process);
// The first Ctrl-C ends the work in order; a second one ends the process.
const interrupted = new AbortController();
process.once('SIGINT', () => {
  terminal.note('Stopping. Ctrl-C again ends at once.');
  interrupted.abort();
});
process.exitCode = await run(process.argv.slice(2), terminal, interrupted.signal);

// An open GPU would keep the process alive. What was written goes out first.
if (holdsGpu()) {
  const written = (stream: NodeJS.WriteStream) => new Promise((done) => stream.write('', done));
  await Promise.all([written(process.stdout), written(process.stderr)]);
  process.exit();
}
