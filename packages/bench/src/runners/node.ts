/**
 * Runs a peer in Node. The job is an argument, so that work starts with the process; blocks are requested by
 * messages.
 */
import { readFile } from 'node:fs/promises';
import type { BlockRequest, Job } from '../messages.js';
import type { Peer } from '../peer.js';
import { createRunner } from './runner.js';

/** Starts the job of the command line and answers block requests until the parent process disconnects. */
export function serve(peer: Peer): void {
  const runner = createRunner(peer, {
    readerFor:
      ({ files }) =>
      async (name) => {
        const { buffer, byteOffset, byteLength } = await readFile(files + name);
        return buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer;
      },
    peakMemory: () => process.resourceUsage().maxRSS / 1024,
    kernels: () => 0,
  });
  process.on('message', async (request: BlockRequest) => process.send?.(await runner.block(request)));
  process.on('disconnect', () => process.exit());
  runner.start(JSON.parse(process.argv[2]!) as Job).then((answer) => process.send?.(answer));
}
