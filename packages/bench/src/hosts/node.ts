/** A measured program in Node: the job comes as an argument, so that the work starts with the process; then messages. */
import { readFile } from 'node:fs/promises';
import type { BlockRequest, Job, Peer } from '../protocol.js';
import { programOf } from './host.js';

/** Starts on the job of the command line, and answers requests for blocks until the command lets go. */
export function serve(peer: Peer): void {
  const program = programOf(peer, {
    readerFor:
      ({ files }) =>
      async (name) => {
        const { buffer, byteOffset, byteLength } = await readFile(files + name);
        return buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer;
      },
    peakMemory: () => process.resourceUsage().maxRSS / 1024,
    kernels: () => 0,
  });
  process.on('message', async (request: BlockRequest) => process.send?.(await program.block(request)));
  process.on('disconnect', () => process.exit());
  program.start(JSON.parse(process.argv[2]!) as Job).then((answer) => process.send?.(answer));
}
