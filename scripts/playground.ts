/**
 * `npm run playground`: serves the playground on this machine, with the headers that let threads share memory.
 * `-- --port 8080` takes a port, `-- --out <folder>` writes the site for a web server instead.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { playgroundFiles } from '../packages/testing/src/playgroundSite.js';
import { isolation, type Site, serve } from '../packages/testing/src/site.js';

/** Port without `--port`; if another program has it, one of the `PORTS - 1` ports after it. */
const DEFAULT_PORT = 8000;
const PORTS = 20;

/** Ends the process with a sentence, instead of a stack. */
function refuse(reason: string): never {
  console.error(`playground: ${reason}`);
  process.exit(1);
}

const read = () => {
  try {
    return parseArgs({ options: { port: { type: 'string' }, out: { type: 'string' } } }).values;
  } catch (error) {
    return refuse((error as Error).message);
  }
};
const values = read();

/** Serves on the requested port, or on the first free one of the default ports. */
async function serveOnFreePort(find: Parameters<typeof serve>[0]): Promise<Site> {
  const requested = values.port === undefined ? undefined : Number(values.port);
  if (requested !== undefined && !(Number.isInteger(requested) && requested >= 0 && requested <= 65_535))
    refuse(`--port is '${values.port}'; give a whole number from 0 to 65535.`);
  const first = requested ?? DEFAULT_PORT;
  const ports = Array.from({ length: requested === undefined ? PORTS : 1 }, (_, i) => first + i);
  for (const port of ports)
    try {
      return await serve(find, { headers: isolation, port });
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (code === 'EACCES') refuse(`port ${port} needs more rights; give another one with --port 8080.`);
      if (code !== 'EADDRINUSE') refuse(`the site cannot be served on port ${port} (${message}).`);
    }
  return refuse(
    requested === undefined
      ? `the ports ${first} to ${ports.at(-1)} are taken; give another one with --port 9000.`
      : `port ${requested} is taken; give another one, or leave --port out for the next free one.`,
  );
}

const files = await playgroundFiles();
if (values.out) {
  await mkdir(values.out, { recursive: true });
  for (const [name, bytes] of files) await writeFile(join(values.out, name), bytes);
  console.log(
    `${files.size} files in ${values.out}. Serve them with ${Object.keys(isolation).join(' and ')}.`,
  );
} else {
  const { origin } = await serveOnFreePort((path) => files.get(path.slice(1) || 'index.html'));
  console.log(`The playground is at ${origin} (Ctrl-C ends it).`);
  await new Promise<void>((resolve) => process.once('SIGINT', resolve));
  process.exit(0);
}
