#!/usr/bin/env node
/** The command `cnn`. */
import { enableWideSimd } from '@cnn/core';
import { run } from './program.js';
import { processTerminal } from './terminal.js';

// The process is the command's own, so it may switch the engine's wider vectors on.
enableWideSimd();
const interrupted = new AbortController();
process.once('SIGINT', () => interrupted.abort());
process.exitCode = await run(process.argv.slice(2), processTerminal, interrupted.signal);
