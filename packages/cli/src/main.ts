#!/usr/bin/env node
/** The command `cnn`. */
import { enableWideSimd } from '@cnn/core';
import { run } from './program.js';
import { terminalOn } from './terminal.js';

// Whoever reads the result may have seen enough (`cnn list | head`): that is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});

// The process is the command's own, so it may switch the engine's wider vectors on.
enableWideSimd();

// The first Ctrl-C ends the work in order; a second one ends the process.
const interrupted = new AbortController();
process.once('SIGINT', () => interrupted.abort());
process.exitCode = await run(process.argv.slice(2), terminalOn(process), interrupted.signal);
