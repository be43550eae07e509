/**
 * `npm run playground`: serves the playground on this machine, with the headers that let threads share memory.
 * `-- --port 8080` takes a port, `-- --out <folder>` writes the site for a web server instead.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { playgroundFiles } from '../packages/testing/src/playgroundSite.js';
import { isolation, serve } from '../packages/testing/src/site.js';

const { values } = parseArgs({ options: { port: { type: 'string' }, out: { type: 'string' } } });
const files = await playgroundFiles();
if (values.out) {
  await mkdir(values.out, { recursive: true });
  for (const [name, bytes] of files) await writeFile(join(values.out, name), bytes);
  console.log(
    `${files.size} files in ${values.out}. Serve them with ${Object.keys(isolation).join(' and ')}.`,
  );
} else {
  const port = Number(values.port ?? 8000);
  const { origin } = await serve((path) => files.get(path.slice(1) || 'index.html'), isolation, port);
  console.log(`The playground is at ${origin} (Ctrl-C ends it).`);
  await new Promise<void>((resolve) => process.once('SIGINT', resolve));
  process.exit(0);
}
