/** A measured program in a page: the command calls it by a global name. */
import type { Peer } from '../protocol.js';
import { type Program, programOf } from './host.js';

/** The global that the command calls. */
export interface PageGlobals {
  program?: Program;
}

/** Offers the program to the command. A page cannot ask for its memory. */
export function serve(peer: Peer): void {
  (globalThis as PageGlobals).program = programOf(
    peer,
    ({ files }) =>
      async (name) => {
        const response = await fetch(files + name);
        if (!response.ok) throw new Error(`${files}${name}: ${response.status} ${response.statusText}`);
        return response.arrayBuffer();
      },
    () => 0,
  );
}
