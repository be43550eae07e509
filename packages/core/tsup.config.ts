import { writeFile } from 'node:fs/promises';
import { moduleText, moduleTextPlugin } from '../../scripts/moduleText.mjs';
import { preset } from '../../scripts/tsup.preset.js';

export default preset({
  entry: { index: 'src/index.ts', graph: 'src/graph.ts', io: 'src/io.ts' },
  // The entries share their modules, in CommonJS too: an error class or a graph is the same in all of them.
  splitting: true,
  esbuildPlugins: [moduleTextPlugin],
  // The worker's program as a file too, for pages whose content security policy forbids workers from text.
  onSuccess: async () => {
    const { text } = await moduleText('src/backends/wasm/runtime/worker.ts');
    await writeFile('dist/worker.js', text);
  },
});
