#!/usr/bin/env node
/** The command `cnn`. */
import { run } from './program.js';
import { processTerminal } from './terminal.js';

const interrupted = new AbortController();
process.once('SIGINT', () => interrupted.abort());
process.exitCode = await run(process.argv.slice(2), processTerminal, interrupted.signal);
